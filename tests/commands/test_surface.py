"""The list of commands that every surface is made from."""

import dataclasses
import inspect
from typing import get_type_hints

import pytest

from orchestrator.commands.command import Who
from orchestrator.commands.surface import BY_NAME, COMMANDS
from orchestrator.commands.tools import ListTools, list_available_tools
from orchestrator.domain.tools import EMBEDDED_NAMES


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_is_what_it_says(command) -> None:
    assert command.handler.__name__ == command.name
    assert inspect.iscoroutinefunction(command.handler)
    assert command.summary.endswith(".")
    for shape in (command.request, command.result):
        assert dataclasses.is_dataclass(shape)
    hints = get_type_hints(command.handler)
    assert hints["request"] is command.request
    assert hints["return"] is command.result


def test_agents_may_call_exactly_what_a_profile_can_grant_them() -> None:
    open_to_agents = {command.name for command in COMMANDS if command.who is Who.ANYONE}
    assert open_to_agents == EMBEDDED_NAMES


def test_the_tools_that_a_profile_can_name_come_in_order(bench) -> None:
    found = bench.do(list_available_tools, ListTools())
    names = [tool.name for tool in found.tools]
    assert names == sorted(names)
    assert set(names) >= EMBEDDED_NAMES
    assert all(server.npm_package for server in found.mcp_servers)
