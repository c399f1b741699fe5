"""Calling a command by its name: who may, the request from JSON, the result to JSON, what is recorded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.commands.command import AnyCommand, Who
from orchestrator.commands.encoding import encode
from orchestrator.commands.surface import BY_NAME, COMMANDS
from orchestrator.commands.use import Agent, Caller, Use
from orchestrator.commands.wire import decode
from orchestrator.domain.effective import from_json
from orchestrator.domain.errors import NotFound, NotPermitted
from orchestrator.domain.grants import grants
from orchestrator.store import callers
from orchestrator.store.callers import Bearer

NAME_CHARACTERS: Final = 80
"""Of a tool's name that nobody knows: what is recorded of it."""


def open_to(caller: Caller) -> tuple[AnyCommand, ...]:
    """The commands that this caller may call, in the order of the documentation."""
    return tuple(command for command in COMMANDS if refusal(caller, command.name) is None)


def refusal(caller: Caller, name: str) -> str | None:
    """Why this caller may not call the command, naming the tool and the profile; `None` when it may.

    People may call every command there is. An agent may call those that are open to agents and that its
    effective profile grants.
    """
    if caller.agent is None:
        return None
    profile = caller.agent.effective.profile_id
    command = BY_NAME.get(name)
    if command is None:
        return f"{name[:NAME_CHARACTERS]} is no tool of this server; profile {profile} cannot grant it"
    if command.who is Who.PERSON:
        return f"{name} is for people and never an agent's; profile {profile} cannot grant it"
    if not grants(caller.agent.effective, name):
        return f"{name} is not granted by profile {profile}"
    return None


async def call(use: Use, name: str, arguments: bytes | str | Mapping[str, Any]) -> Any:
    """Call a command; the answer is plain JSON. What an agent calls, or is refused, is recorded first.

    Raises NotPermitted, NotFound for an unknown name, and the errors of the command.
    """
    agent = use.caller.agent
    if agent is not None:
        refused = refusal(use.caller, name)
        await use.database.run(
            callers.called, bearer_of(agent), name[:NAME_CHARACTERS], refused=refused, now=use.clock()
        )
        if refused is not None:
            raise NotPermitted(refused)
    command = BY_NAME.get(name)
    if command is None:
        raise NotFound(f"command {name[:NAME_CHARACTERS]} not found")
    return encode(await command.handler(use, decode(command.request, arguments)))


async def as_agent(use: Use, digest: str) -> Use | None:
    """The same for the agent whose token has this digest, while its attempt goes on; otherwise `None`."""
    bearer = await use.database.read(callers.bearer, digest)
    if bearer is None:
        return None
    agent = Agent(
        task_id=bearer.task_id,
        attempt=bearer.attempt,
        project_id=bearer.project_id,
        effective=from_json(bearer.effective),
    )
    return replace(use, caller=Caller(name=f"task/{agent.task_id}/attempt/{agent.attempt}", agent=agent))


def bearer_of(agent: Agent) -> Bearer:
    return Bearer(
        task_id=agent.task_id,
        attempt=agent.attempt,
        project_id=agent.project_id,
        effective={"profile_id": agent.effective.profile_id},
    )
