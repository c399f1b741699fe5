"""How each layer of the whitelist held in an attempt, as sentences."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from orchestrator.cli.output import text

Record = Mapping[str, Any]


def lines_of(enforcement: Mapping[str, Any]) -> Iterator[Text]:
    """A line for each layer, in the order in which they work; of a harness that records others, as it is."""
    for layer in sorted(enforcement, key=lambda name: (*_LAYERS, name).index(name)):
        said, tell = enforcement[layer], _LAYERS.get(layer)
        if tell is not None and isinstance(said, Mapping):
            line = tell(said)
        else:
            line = said if isinstance(said, str) else json.dumps(said)
        yield text(f"{layer}: {line}")


def _absent(record: Record) -> str:
    hidden = record.get("hidden") or ()
    more = f" Hidden of its MCP servers: {_names(hidden)}." if hidden else ""
    tools = record.get("tools")
    had = f"{_names(tools)} and no other built-in tools" if tools else "no built-in tool"
    without = "without settings, hooks or servers of the checkout or the user"
    return f"It was started with {had}, {without}.{more}"


def _verified(record: Record) -> str:
    if record.get("tools") is None:
        return "It ended before it reported its tools."
    servers = ", ".join(f"{name} ({state})" for name, state in (record.get("servers") or {}).items())
    reported = f"{_names(record['tools'], 'no tools')}; MCP servers: {servers or 'none'}"
    if record.get("held"):
        return f"Before its first turn it reported {reported}. That is no more than its profile grants."
    return f"It reported {reported}. That is not what its profile grants, so it was ended."


def _answered(record: Record) -> str:
    if not record.get("registered"):
        return "It ended before the worker could answer for its calls."
    granted, denied = record.get("granted", 0), record.get("denied", 0)
    if granted + denied == 0:
        return "It called no tool."
    answers = f"Of {granted + denied} calls the worker granted {granted} and denied {denied}"
    by_agent = record.get("denied_by_agent")
    more = f"; by its own count {by_agent} were denied" if by_agent and by_agent != denied else ""
    silence = ""
    if not record.get("fail_closed"):
        silence = " This version of it may go on with a call that nobody answers."
    return f"{answers}{more}.{silence}"


_LAYERS: Final[Mapping[str, Callable[[Record], str]]] = {
    "absent": _absent,
    "verified": _verified,
    "answered": _answered,
}


def _names(names: Any, none: str = "none") -> str:
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) and names else none
