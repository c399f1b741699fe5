"""What was heard of an attempt so far, as far as its end and its bill need it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.attempt import Usage

MOST: Final = 2**31 - 1
"""Largest figure of tokens, turns or dollars that is believed; what is stored of them has 32 bits."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """Taken line by line; several results are possible, and the last one counts."""

    init: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    retry: Mapping[str, Any] | None = None
    """The latest announcement that a request is tried again; `None` once something was answered."""
    rejection: Mapping[str, Any] | None = None
    """The latest word on a rate limit that refuses requests."""
    api_error: str | None = None
    """The code of the latest error of the service: `authentication_failed`, `rate_limit`,
    `model_not_found`, ..."""
    denials: dict[str, str] = field(default_factory=dict)
    """Calls that the command line counts as denied, of all results: id to tool."""
    cost_before: float = 0.0
    """What the session had cost before this attempt: a resumed session reports the sum."""
    background: set[str] = field(default_factory=set)
    """Tasks that still run behind the conversation; their end brings another result."""
    _tokens: dict[str, int] = field(default_factory=dict)
    _streaming: str | None = None

    def observe(self, raw: Mapping[str, Any]) -> None:
        """Take in one line of output."""
        match raw.get("type"):
            case "system":
                self._observe_system(raw)
            case "assistant":
                self._observe_assistant(raw)
            case "stream_event":
                self._observe_stream(raw.get("event"))
            case "rate_limit_event":
                info = raw.get("rate_limit_info")
                if isinstance(info, Mapping):
                    self.rejection = info if info.get("status") == "rejected" else None
            case "result":
                self.result = raw
                for denial in _mappings(raw.get("permission_denials")):
                    self.denials[str(denial.get("tool_use_id"))] = str(denial.get("tool_name"))

    @property
    def tokens(self) -> int:
        """Tokens in and out so far; what was read from the cache does not count."""
        return sum(self._tokens.values())

    def usage(self) -> Usage:
        """What the last result says was used; without one, what was counted on the way."""
        if self.result is None:
            return Usage(input_tokens=_whole(self.tokens))
        used = self.result.get("usage")
        used = used if isinstance(used, Mapping) else {}
        return Usage(
            cost_usd=max(0.0, _number(self.result.get("total_cost_usd")) - self.cost_before),
            input_tokens=_whole(used.get("input_tokens")),
            output_tokens=_whole(used.get("output_tokens")),
            cache_read_tokens=_whole(used.get("cache_read_input_tokens")),
            cache_creation_tokens=_whole(used.get("cache_creation_input_tokens")),
            turns=_whole(self.result.get("num_turns")),
        )

    def _observe_system(self, raw: Mapping[str, Any]) -> None:
        task = raw.get("task_id")
        match raw.get("subtype"):
            case "init":
                self.init = raw
            case "api_retry":
                self.retry = raw
            case "task_started" if isinstance(task, str):
                self.background.add(task)
            case "task_notification" if isinstance(task, str):
                self.background.discard(task)

    def _observe_assistant(self, raw: Mapping[str, Any]) -> None:
        self.retry = None
        error, message = raw.get("error"), raw.get("message")
        self.api_error = error if isinstance(error, str) else None
        if isinstance(message, Mapping):
            self._count(message.get("id"), message.get("usage"))

    def _observe_stream(self, event: object) -> None:
        """Pieces of a message carry what it used in the end; whole messages only what it began with."""
        if not isinstance(event, Mapping):
            return
        message = event.get("message")
        if event.get("type") == "message_start" and isinstance(message, Mapping):
            self._streaming = message["id"] if isinstance(message.get("id"), str) else None
            self._count(self._streaming, message.get("usage"))
        elif event.get("type") == "message_delta":
            self._count(self._streaming, event.get("usage"), add_input=True)

    def _count(self, message: object, usage: object, *, add_input: bool = False) -> None:
        """A message is counted once, by the highest figure seen for it."""
        if not isinstance(message, str) or not isinstance(usage, Mapping):
            return
        spent = int(_number(usage.get("output_tokens")))
        fresh = int(_number(usage.get("input_tokens")) + _number(usage.get("cache_creation_input_tokens")))
        known = self._tokens.get(message, 0)
        self._tokens[message] = known + spent if add_input and not fresh else max(known, fresh + spent)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _number(value: object) -> float:
    """A figure that the agent gave; what is no finite number, or beyond all sense, is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST <= value <= MOST:
        return 0.0
    return float(value)


def _whole(value: object) -> int:
    return max(0, int(_number(value)))
