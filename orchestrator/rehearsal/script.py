"""What a rehearsal answers: a script of rules, each with the replies it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from orchestrator.rehearsal.request import Request

LABEL: Final = "[rehearsal] "
"""What the text of every answer begins with, unless the script turns it off."""

Where = Literal["before_headers", "mid_stream"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """One tool_use block; the input is sent as it stands, valid for that tool or not."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An HTTP error instead of an answer. `headers` may hold retry-after and the rate limit's reset times."""

    status: int
    type: str = "api_error"
    message: str = "The rehearsal's script asked for this error."
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hang:
    """Silence until the client gives up or the server ends; mid-stream is after half of the answer."""

    where: Where = "before_headers"


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOff:
    """The connection is reset; mid-stream is after the first half of the answer."""

    where: Where = "mid_stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamError:
    """An error event in the middle of the stream; without streaming, the HTTP error of the same type."""

    type: str = "overloaded_error"
    message: str = "The rehearsal's script asked for this error."


@dataclass(frozen=True, kw_only=True, slots=True)
class Malformed:
    """A stream (or a body) that is no JSON where JSON must be."""


Fault = Failure | Hang | CutOff | StreamError | Malformed


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What the answer says was used; the client's cost estimate follows from it."""

    input_tokens: int = 100
    output_tokens: int = 20
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer of the model. Times are seconds; `stop_reason` follows from the tools unless given.

    `delay` passes before the headers, `pause` before each event of the stream; text comes in events of
    `piece` characters.
    """

    text: str | None = None
    tools: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    stop_reason: str | None = None
    usage: Tokens = Tokens()
    fault: Fault | None = None
    delay: float = 0.0
    pause: float = 0.0
    piece: int = 4096


Responder = Callable[[Request], Reply]
"""A reply worked out from the request, such as one that names the tools offered. Must not block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """What a request must be for a rule to answer it; what is not given does not matter.

    `prompt` is a regular expression searched in what the person last said. `turn` counts the model's
    answers so far in the whole conversation, `step` those since the person last spoke, `results` the tool
    results since then. `headers` are matched by exact value, `tool` must be among the tools offered.
    """

    prompt: str | None = None
    turn: int | None = None
    step: int | None = None
    results: int | None = None
    session: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    tool: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Replies in order, one for each step of a conversation; the last goes on for good.

    `times` is how many requests of one conversation the rule answers before it stands aside, `times_in_all`
    how many of any: with these a script says "first an error, then an answer". A rule with either gives its
    replies by how often it has answered, since a request that is tried again has the same step.
    """

    replies: tuple[Reply | Responder, ...]
    when: When = When()
    times: int | None = None
    times_in_all: int | None = None
    name: str | None = None


UNSCRIPTED: Final = Reply(text="The script has no reply for this request.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """Rules, tried from the first; `default` answers what none of them does.

    `label` begins the text of each answer with "[rehearsal] ". Message ids begin with `msg_rehearsal_`
    either way.
    """

    rules: tuple[Rule, ...] = ()
    default: Reply | Responder = UNSCRIPTED
    label: bool = True
    name: str = "script"


def steps(*replies: Reply | Responder, label: bool = True) -> Script:
    """A script that gives these replies in order, in every conversation."""
    return Script(rules=(Rule(replies=replies),), label=label)
