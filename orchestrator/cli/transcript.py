"""What an agent says, as lines on a terminal."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from orchestrator.cli.cost import spent
from orchestrator.cli.output import text
from orchestrator.commands.visible import one_line
from orchestrator.domain.attempt import AgentMessage

Body = Mapping[str, Any]

SHOWN_INPUT: Final = 120
"""Characters of a tool's input on its line."""

INTERRUPTED: Final = "The user doesn't want to proceed with this tool use"
"""What Claude Code notes of a call under way when it is told to stop; nobody rejected anything."""


def lines(message: AgentMessage, *, rehearsal: bool = False) -> Iterator[Text]:
    """The lines of one message; none for what only programs care about."""
    render = _KINDS.get(message.kind)
    if message.kind == "result":
        yield _result(message.body, rehearsal)
    elif render is not None:
        yield from render(message.body)


def _init(body: Body) -> Iterator[Text]:
    listed = body.get("tools")
    tools = ", ".join(map(str, listed)) if isinstance(listed, list) and listed else "none"
    yield text(f"agent is up: {body.get('model', 'unknown model')}, tools: {tools}", "dim")


def _said(body: Body) -> Iterator[Text]:
    # The prompt comes back as the user's text; only the agent's own words are news.
    if body.get("role") != "user":
        yield text(str(body.get("text", "")).strip())


def _thinking(body: Body) -> Iterator[Text]:
    if thought := str(body.get("thinking", "")).strip():
        yield text(f"· {one_line(thought)}", "dim italic")


def _tool_use(body: Body) -> Iterator[Text]:
    given = body.get("input")
    values = given.values() if isinstance(given, Mapping) else ()
    shown = one_line(" ".join(str(value) for value in values), SHOWN_INPUT)
    yield text(f"→ {body.get('name', 'a tool')} {shown}".rstrip(), "cyan")


def _tool_result(body: Body) -> Iterator[Text]:
    content = body.get("content")
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    said = str(content or "")
    if body.get("is_error") and said.startswith(INTERRUPTED):
        yield text("← interrupted by the worker, as after a question, when it is cancelled or put off", "dim")
        return
    style = "red" if body.get("is_error") else "dim"
    yield text(f"← {one_line(said, SHOWN_INPUT)}", style)


def _result(body: Body, rehearsal: bool) -> Text:
    cost = body.get("total_cost_usd")
    money = f", {spent(cost, rehearsal=rehearsal)}" if isinstance(cost, int | float) else ""
    turns = body.get("num_turns")
    took = "1 turn" if turns == 1 else f"{turns if turns is not None else '?'} turns"
    return text(f"agent is done: {took}{money}", "dim")


def _retry(body: Body) -> Iterator[Text]:
    what = body.get("error") or body.get("error_status") or body.get("subtype") or body.get("type")
    yield text(f"the model's service makes it wait or try again: {one_line(str(what))}", "yellow")


_KINDS: Final[Mapping[str, Callable[[Body], Iterator[Text]]]] = {
    "init": _init,
    "text": _said,
    "thinking": _thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "retry": _retry,
}
