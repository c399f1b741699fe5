"""Scripts that come with the program: one to try a profile with, one to probe what is granted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import Reply, Rule, Script, ToolCall

LOOKS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("Glob", {"pattern": "*"}),
    ("Bash", {"command": "ls -a", "description": "List the checkout"}),
    ("Grep", {"pattern": ".", "output_mode": "files_with_matches", "head_limit": 20}),
    ("Read", {"file_path": "README.md"}),
)
"""Ways to look round a checkout that change nothing, the most telling first."""


def look_round(request: Request) -> Reply:
    """Use the first of `LOOKS` that is offered, then say what was offered."""
    look = next((ToolCall(name=name, input=input_) for name, input_ in LOOKS if name in request.tools), None)
    if look is None or request.step > 0:
        return Reply(text=summary(request))
    return Reply(text="I look round the checkout first.", tools=(look,))


def summary(request: Request) -> str:
    """The closing words of a rehearsal."""
    offered = ", ".join(request.tools) if request.tools else "none"
    return (
        "This is a rehearsal: no model was asked and nothing was spent; a script answered.\n"
        f"Tools offered to the model ({len(request.tools)}): {offered}.\n"
        f"Model asked for: {request.model or 'none'}. Tool results seen: {request.results}."
    )


DEFAULT: Final = Script(default=look_round, name="default")
"""For a person who tries a profile: looks round with a tool that is offered, then names all of them."""


def probe(calls: Sequence[ToolCall], *, one_by_one: bool = False, text: str = "Probed.") -> Script:
    """Call these tools, offered or not, in one turn or one in each, then end with the text."""
    turns = [Reply(tools=(call,)) for call in calls] if one_by_one else [Reply(tools=tuple(calls))]
    return Script(rules=(Rule(replies=(*turns, Reply(text=text)), name="probe"),), name="probe")
