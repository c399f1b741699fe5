"""Where commands have an address of their own: a method, a path, and the command it is."""

from dataclasses import dataclass
from typing import Final

from orchestrator.commands.command import AnyCommand
from orchestrator.commands.surface import BY_NAME, COMMANDS

PREFIX: Final = "/api/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """An address. Names in braces are members of the command's request; the other members come from the query
    of a GET or DELETE, and else from the body."""

    method: str
    path: str
    command: AnyCommand

    @property
    def takes_body(self) -> bool:
        return self.method not in ("GET", "DELETE")


_NATURAL: Final = """
GET    /tasks                                      list_tasks
POST   /tasks                                      create_task
GET    /tasks/{task_id}                            get_task
PATCH  /tasks/{task_id}                            edit_task
POST   /tasks/{task_id}/cancel                     cancel_task
POST   /tasks/{task_id}/retry                      retry_task
POST   /tasks/{task_id}/answer                     answer_task
GET    /tasks/{task_id}/explanation                explain_task
GET    /tasks/{task_id}/attempts/{number}          get_attempt
GET    /tasks/{task_id}/attempts/{number}/messages attempt_messages
GET    /projects                                   list_projects
POST   /projects                                   create_project
GET    /projects/{project_id}                      get_project
PATCH  /projects/{project_id}                      edit_project
POST   /projects/{project_id}/pause                pause_project
POST   /projects/{project_id}/resume               resume_project
GET    /projects/{project_id}/profiles             list_project_profiles
POST   /projects/{project_id}/profiles             create_project_profile
PATCH  /projects/{project_id}/profiles/{agent_type} edit_project_profile
DELETE /projects/{project_id}/profiles/{agent_type} delete_project_profile
GET    /projects/{project_id}/profiles/{agent_type}/effective show_effective_profile
GET    /schedules                                  list_schedules
POST   /schedules                                  create_schedule
GET    /schedules/{schedule_id}                    get_schedule
PATCH  /schedules/{schedule_id}                    edit_schedule
DELETE /schedules/{schedule_id}                    delete_schedule
POST   /schedules/{schedule_id}/pause              pause_schedule
POST   /schedules/{schedule_id}/resume             resume_schedule
POST   /schedules/{schedule_id}/run                run_schedule_now
GET    /schedule-preview                           preview_schedule
GET    /profiles                                   list_profiles
POST   /profiles                                   create_profile
GET    /profiles/{profile_id}                      get_profile
PATCH  /profiles/{profile_id}                      edit_profile
DELETE /profiles/{profile_id}                      delete_profile
GET    /profiles/{profile_id}/check                check_profile
POST   /profiles/{profile_id}/install              install_profile
POST   /profiles/{profile_id}/export               export_profile
POST   /profiles/import                            import_profile
GET    /tools                                      list_available_tools
GET    /mcp-servers                                list_mcp_servers
POST   /mcp-servers                                create_mcp_server
GET    /mcp-servers/{name}                         get_mcp_server
PATCH  /mcp-servers/{name}                         edit_mcp_server
DELETE /mcp-servers/{name}                         delete_mcp_server
POST   /mcp-servers/{name}/probe                   probe_mcp_server
GET    /mcp-tools                                  list_mcp_tool_catalog
GET    /tokens                                     list_tokens
POST   /tokens                                     create_token
DELETE /tokens/{token}                             revoke_token
GET    /vault                                      vault_status
POST   /vault/sync                                 vault_sync
POST   /vault/resolve                              vault_resolve
GET    /doctor                                     doctor
"""


def _resources() -> tuple[Resource, ...]:
    natural = []
    for line in _NATURAL.strip().splitlines():
        method, path, name = line.split()
        natural.append(Resource(method=method, path=PREFIX + path, command=BY_NAME[name]))
    every = (
        Resource(method="POST", path=f"{PREFIX}/commands/{command.name}", command=command)
        for command in COMMANDS
    )
    return (*natural, *every)


RESOURCES: Final = _resources()
"""Every command by its name, and the addresses that are natural for some."""
