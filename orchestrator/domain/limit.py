"""Limits that hold over all hosts: how many attempts at once, and what may be spent a day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.domain.fairness import Use


class LimitScope(StrEnum):
    INSTANCE = "instance"
    """Everything; its name is empty."""
    HOST = "host"
    PROFILE = "profile"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """`None` is no limit. Only the instance has budgets: those of a project are its own."""

    scope: LimitScope
    name: str = ""
    max_concurrent: int | None = None
    budget_usd_per_day: float | None = None
    budget_tokens_per_day: int | None = None

    @property
    def use(self) -> Use:
        """What counts against it."""
        return self.scope.value, self.name

    @property
    def title(self) -> str:
        """The limit for people."""
        return "the instance" if self.scope is LimitScope.INSTANCE else f"{self.scope} {self.name}"

    @property
    def budgeted(self) -> bool:
        """Whether what is spent in a day is counted."""
        return self.budget_usd_per_day is not None or self.budget_tokens_per_day is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an attempt would run and as what: each member counts against the limit of its name."""

    host: str
    profile_id: str | None = None
    model: str | None = None

    @property
    def uses(self) -> tuple[Use, ...]:
        named = ((_HOST, self.host), (_PROFILE, self.profile_id), (_MODEL, self.model))
        return (_INSTANCE, *((scope, name) for scope, name in named if name is not None))


_INSTANCE: Final[Use] = (LimitScope.INSTANCE.value, "")
_HOST: Final = LimitScope.HOST.value
_PROFILE: Final = LimitScope.PROFILE.value
_MODEL: Final = LimitScope.MODEL.value


def rooms(limits: Iterable[Limit], running: Mapping[Use, int]) -> dict[Use, int]:
    """How many more may start, for each limit on how many run at once."""
    return {
        one.use: max(one.max_concurrent - running.get(one.use, 0), 0)
        for one in limits
        if one.max_concurrent is not None
    }


def count(places: Iterable[tuple[Place, int]]) -> dict[Use, int]:
    """What runs, by everything that it counts against."""
    counted: dict[Use, int] = {}
    for place, number in places:
        for use in place.uses:
            counted[use] = counted.get(use, 0) + number
    return counted
