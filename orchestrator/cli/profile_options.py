"""The fields of a profile as options of the command line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from orchestrator.cli.whole import WHOLE
from orchestrator.domain.errors import InvalidInput

CLEARED: Final = {
    "description": "description",
    "tag": "tags",
    "harness": "harness",
    "model": "model",
    "permission-mode": "permission_mode",
    "allow": "allowed_tools",
    "deny": "denied_tools",
    "server": "mcp_servers",
    "prompt": "system_prompt_suffix",
    "max-turns": "max_turns",
    "max-tokens": "max_tokens_per_task",
    "budget": "max_budget_usd",
    "timeout": "timeout_seconds",
    "settings": "settings",
    "needs": "install",
}
"""What can be made to inherit again, by the option that sets it."""

_NONE: Final = ["none"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Fields:
    """What can be said of a profile."""

    name: Annotated[str | None, Parameter(help="A name for people.")] = None
    description: Annotated[str | None, Parameter(help="What it is for.")] = None
    tag: Annotated[list[str] | None, Parameter(help="Again for each tag.")] = None
    harness: Annotated[str | None, Parameter(help="Which agent runs: claude, codex, opencode, droid.")] = None
    model: Annotated[str | None, Parameter(help="Model to use.")] = None
    permission_mode: Annotated[str | None, Parameter(help="Permission mode of the harness.")] = None
    allow: Annotated[
        list[str] | None, Parameter(help="A tool to allow; again for each. `none` for no tools at all.")
    ] = None
    deny: Annotated[list[str] | None, Parameter(help="A tool to deny; again for each.")] = None
    server: Annotated[
        list[str] | None, Parameter(help="An MCP server by name; again for each. `none` for none at all.")
    ] = None
    prompt: Annotated[
        str | None, Parameter(help="Instructions added to the agent's; @FILE reads a file.")
    ] = None
    max_turns: Annotated[int | None, WHOLE, Parameter(help="Turns of an attempt at most.")] = None
    max_tokens: Annotated[int | None, WHOLE, Parameter(help="Tokens of an attempt at most.")] = None
    budget: Annotated[float | None, Parameter(help="Spend of an attempt at most, in USD.")] = None
    timeout: Annotated[float | None, Parameter(help="Length of an attempt at most, in seconds.")] = None
    settings: Annotated[str | None, Parameter(help="Settings of the harness, as a JSON object.")] = None
    needs_npm: Annotated[list[str] | None, Parameter(help="An npm package it needs; again for each.")] = None
    needs_pip: Annotated[list[str] | None, Parameter(help="A pip package it needs; again for each.")] = None
    needs_command: Annotated[list[str] | None, Parameter(help="A command it needs; again for each.")] = None

    def given(self) -> dict[str, Any]:
        """The members of a request, those that were given. Raises InvalidInput."""
        fields = {
            "name": self.name,
            "description": self.description,
            "tags": _tuple(self.tag),
            "harness": self.harness,
            "model": self.model,
            "permission_mode": self.permission_mode,
            "allowed_tools": "none" if self.allow == _NONE else _tuple(self.allow),
            "denied_tools": _tuple(self.deny),
            "mcp_servers": "none" if self.server == _NONE else _tuple(self.server),
            "system_prompt_suffix": _prompt(self.prompt),
            "max_turns": self.max_turns,
            "max_tokens_per_task": self.max_tokens,
            "max_budget_usd": self.budget,
            "timeout_seconds": self.timeout,
            "settings": _object(self.settings),
            "install": self._install(),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _install(self) -> dict[str, tuple[str, ...]] | None:
        lists = {"npm": self.needs_npm, "pip": self.needs_pip, "commands": self.needs_command}
        return {kind: tuple(items) for kind, items in lists.items() if items} or None


def cleared(names: list[str] | None) -> dict[str, None]:
    """The members that are to inherit again. Raises InvalidInput."""
    for name in names or ():
        if name not in CLEARED:
            raise InvalidInput(f"clear: {name!r} is not one of {', '.join(CLEARED)}", field="clear")
    return {CLEARED[name]: None for name in names or ()}


def _tuple(items: list[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)


def _prompt(text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    return Path(text[1:]).read_text(encoding="utf-8")


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"settings: not valid JSON: {error}", field="settings") from None
    if not isinstance(value, dict):
        raise InvalidInput("settings must be a JSON object", field="settings")
    return value
