"""Which reply a request gets: pure, and the same for the same conversation."""

import re
from collections import Counter
from dataclasses import dataclass

from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import Reply, Responder, Rule, Script, When


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The reply, and the name of the rule that gave it."""

    reply: Reply
    rule: str


class Counts:
    """How often each rule has answered, in all and in each conversation."""

    def __init__(self) -> None:
        self._all: Counter[int] = Counter()
        self._of: Counter[tuple[int, str]] = Counter()

    def in_all(self, rule: int) -> int:
        return self._all[rule]

    def of(self, rule: int, session: str) -> int:
        return self._of[rule, session]

    def answered(self, rule: int, session: str) -> None:
        self._all[rule] += 1
        self._of[rule, session] += 1


def choose(script: Script, request: Request, counts: Counts) -> Choice:
    """The first rule that fits and is not used up, else the default. Counts the answer."""
    for index, rule in enumerate(script.rules):
        if fits(rule.when, request) and not _used_up(rule, index, request, counts):
            position = _position(rule, index, request, counts)
            counts.answered(index, request.session_id)
            answer = rule.replies[min(position, len(rule.replies) - 1)]
            return Choice(reply=_given(answer, request), rule=rule.name or f"rule {index + 1}")
    return Choice(reply=_given(script.default, request), rule="default")


def fits(when: When, request: Request) -> bool:
    """Whether every condition that is given holds."""
    facts = (
        (when.turn, request.turn),
        (when.step, request.step),
        (when.results, request.results),
        (when.session, request.session_id),
        (when.model, request.model),
        *((value, request.headers.get(name.lower(), "")) for name, value in when.headers.items()),
    )
    if any(wanted is not None and wanted != actual for wanted, actual in facts):
        return False
    if when.tool is not None and when.tool not in request.tools:
        return False
    return when.prompt is None or re.search(when.prompt, request.prompt) is not None


def _used_up(rule: Rule, index: int, request: Request, counts: Counts) -> bool:
    if rule.times_in_all is not None and counts.in_all(index) >= rule.times_in_all:
        return True
    return rule.times is not None and counts.of(index, request.session_id) >= rule.times


def _position(rule: Rule, index: int, request: Request, counts: Counts) -> int:
    if rule.times_in_all is not None:
        return counts.in_all(index)
    return request.step if rule.times is None else counts.of(index, request.session_id)


def _given(answer: Reply | Responder, request: Request) -> Reply:
    return answer if isinstance(answer, Reply) else answer(request)
