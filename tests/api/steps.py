"""A walk through every command: what is asked one after the other, and the members of each good answer.

`$TASK`, `$ASKED` and `$DONE` stand for tasks that the installation has from the start: one that waits for its
turn, one whose agent has asked a question, and one that was completed. A request that is followed by
members must succeed.
"""

import json
from dataclasses import dataclass
from typing import Any

EVERY = "id name description tags harness model permission_mode allowed_tools denied_tools mcp_servers"
EXPORTED = "agent_profile:\n  id: brought\n  name: Brought\n  model: haiku\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One request. `members` are those of its answer, optional ones in brackets; `None`: it is refused."""

    name: str
    request: dict[str, Any]
    members: str | None

    def fits(self, answer: dict[str, Any]) -> bool:
        """Whether the answer has these members: a `+` at the end allows any others."""
        assert self.members is not None
        words = self.members.split()
        must = {word for word in words if not word.startswith("[") and word != "+"}
        may = {word.strip("[]") for word in words if word.startswith("[")}
        return must <= answer.keys() and ("+" in words or answer.keys() <= must | may)


WALK = """
create_project {"id": "beta"} | created +
create_project {"id": "beta"} | no
edit_project {"project_id": "beta", "weight": 2.0} | updated fields
edit_project {"project_id": "nobody", "weight": 2.0} | no
get_project {"project_id": "beta"} | id name tasks +
get_project {"project_id": "nobody"} | no
list_projects {} | projects count
list_projects {"nonsense": 1} | no
pause_project {"project_id": "beta"} | project_id paused
pause_project {"project_id": "nobody"} | no
resume_project {"project_id": "beta"} | project_id paused
resume_project {"project_id": "nobody"} | no
create_profile {"id": "checker", "name": "Checker", "model": "opus"} | created name [warnings]
create_profile {"id": "checker", "name": "Checker"} | no
create_profile {"id": "../up", "name": "Up"} | no
edit_profile {"profile_id": "checker", "model": "haiku"} | updated fields [warnings]
edit_profile {"profile_id": "checker"} | no
edit_profile {"profile_id": "nobody", "model": "haiku"} | no
get_profile {"profile_id": "checker"} | EVERY install +
get_profile {"profile_id": "nobody"} | no
list_profiles {} | profiles count
list_profiles {"nonsense": 1} | no
create_project_profile {"project_id": "beta", "agent_type": "checker"} |
    created project_id agent_type path [warnings]
create_project_profile {"project_id": "beta", "agent_type": "checker"} | no
edit_project_profile {"project_id": "beta", "agent_type": "checker", "model": "opus"} |
    updated project_id agent_type fields path [warnings]
edit_project_profile {"project_id": "beta", "agent_type": "nobody", "model": "opus"} | no
list_project_profiles {"project_id": "beta"} | project_id agent_types
list_project_profiles {"project_id": "nobody"} | no
show_effective_profile {"project_id": "beta", "agent_type": "checker"} |
    project_id agent_type profile source fields
show_effective_profile {"project_id": "nobody", "agent_type": "checker"} | no
delete_project_profile {"project_id": "beta", "agent_type": "checker"} |
    deleted project_id agent_type removed_paths
delete_project_profile {"project_id": "beta", "agent_type": "checker"} | no
check_profile {"profile_id": "checker"} | profile_id valid issues manifest
check_profile {"profile_id": "nobody"} | no
install_profile {"profile_id": "checker"} | profile_id installed already_present manual ready
install_profile {"profile_id": "nobody"} | no
export_profile {"profile_id": "checker"} | yaml [gist_url] [gist_error]
export_profile {"profile_id": "nobody"} | no
import_profile {"source": EXPORTED} |
    imported id name ready [warnings] [installed] [already_present] [manual]
import_profile {"source": EXPORTED} | no
import_profile {"source": "other: 1"} | no
delete_profile {"profile_id": "brought"} | deleted name
delete_profile {"profile_id": "brought"} | no
list_available_tools {} | tools mcp_servers
list_available_tools {"nonsense": 1} | no
create_mcp_server {"name": "notes", "transport": "http", "url": "http://127.0.0.1:9/mcp"} |
    created scope project_id path [tool_count] [last_error]
create_mcp_server {"name": "notes", "transport": "http", "url": "http://127.0.0.1:9/mcp"} | no
create_mcp_server {"name": "bare", "transport": "stdio"} | no
create_mcp_server {"name": "agent-queue", "command": "x"} | no
edit_mcp_server {"name": "notes", "description": "Notes"} | updated scope path
edit_mcp_server {"name": "nobody", "description": "Notes"} | no
list_mcp_servers {} | servers count
list_mcp_servers {"project_id": "nobody"} | no
get_mcp_server {"name": "notes"} |
    name transport scope description is_builtin adapter_config notes [project_id] [tool_count]
    [last_probed_at] [last_error] [problem]
get_mcp_server {"name": "nobody"} | no
probe_mcp_server {"name": "notes"} | probed
probe_mcp_server {"name": "nobody"} | no
list_mcp_tool_catalog {"server_names": ["notes", "agent-queue"]} | servers count
list_mcp_tool_catalog {"project_id": "nobody"} | no
delete_mcp_server {"name": "notes"} | deleted scope path
delete_mcp_server {"name": "notes"} | no
create_task {"project_id": "beta", "title": "new"} | created +
create_task {"project_id": "nobody", "title": "new"} | no
create_task {"project_id": "beta", "title": "new", "profile_id": "nobody"} | no
edit_task {"task_id": "$TASK", "priority": 5} | updated fields
edit_task {"task_id": "$TASK", "profile_id": "nobody"} | no
get_task {"task_id": "$TASK"} | id project_id title state profile_id hold attempts +
get_task {"task_id": "nosuchtask000000"} | no
list_tasks {"states": ["COMPLETED"], "labels": {"team": "red"}} | tasks count +
list_tasks {"limit": 0} | no
explain_task {"task_id": "$TASK"} | task_id state summary reasons +
explain_task {"task_id": "nosuchtask000000"} | no
get_attempt {"task_id": "$DONE", "number": 1} | task_id number +
get_attempt {"task_id": "$DONE", "number": 9} | no
attempt_messages {"task_id": "$DONE", "number": 1} | task_id number state messages last +
attempt_messages {"task_id": "nosuchtask000000", "number": 1} | no
answer_task {"task_id": "$ASKED", "answer": "Blue"} | answered state
answer_task {"task_id": "$DONE", "answer": "Blue"} | no
cancel_task {"task_id": "$TASK"} | +
cancel_task {"task_id": "$TASK"} | no
retry_task {"task_id": "$TASK"} | +
retry_task {"task_id": "nosuchtask000000"} | no
ask_human {"question": "Which?"} | no
report_progress {"message": "Half"} | no
vault_sync {"nonsense": 1} | no
vault_sync {} | accepted rejected removed unchanged seconds [warnings] [strays] [git] +
vault_status {} | path count errors documents [git] +
vault_status {"nonsense": 1} | no
vault_resolve {"path": "x.md", "keep": "ours"} | no
create_token {"name": "other"} | created name token expires_at
create_token {"name": ""} | no
list_tokens {} | tokens count
list_tokens {"nonsense": 1} | no
revoke_token {"token": "nobody"} | no
doctor {"nonsense": 1} | no
doctor {} | healthy ready findings
"""
"""A command that is here with `no` alone needs an agent, a conflict, or a token whose id is random."""


def steps() -> tuple[Step, ...]:
    found = []
    for line in WALK.replace("\n    ", " ").strip().splitlines():
        asked, _, members = line.rpartition(" | ")
        name, _, request = asked.partition(" ")
        document = json.loads(request.replace("EXPORTED", json.dumps(EXPORTED)))
        told = members.strip().replace("EVERY", EVERY)
        found.append(Step(name=name, request=document, members=None if told == "no" else told))
    return tuple(found)
