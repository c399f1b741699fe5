"""Budgets: what is left of them, and the tightest of them as the limits of one attempt."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.domain.profile import EffectiveProfile

BudgetOf = Literal["task", "project_budget", "instance_budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What attempts used, as their command line reported it. Tokens are those in and out and those written to
    the cache; what was read from it does not count."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, more: "Spent") -> "Spent":
        return Spent(usd=self.usd + more.usd, tokens=self.tokens + more.tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be spent and what was. `of` is the reason that a task waits for when nothing is left; `title`
    is for people. `None` is no limit."""

    of: BudgetOf
    title: str
    usd: float | None
    tokens: int | None
    spent: Spent

    @property
    def is_spent(self) -> bool:
        return (self.usd is not None and self.spent.usd >= self.usd) or (
            self.tokens is not None and self.spent.tokens >= self.tokens
        )

    @property
    def sentence(self) -> str:
        used = [f"${self.spent.usd:.2f} of ${self.usd:.2f}"] if self.usd is not None else []
        used += [f"{self.spent.tokens:,} of {self.tokens:,} tokens"] if self.tokens is not None else []
        return f"{self.title[0].upper()}{self.title[1:]} is spent: {', '.join(used)}."


def within(effective: EffectiveProfile, budgets: Iterable[Budget]) -> EffectiveProfile:
    """The profile with what is left of each budget, where that is tighter. None of them is spent."""
    for budget in budgets:
        left = {
            "max_budget_usd": None if budget.usd is None else budget.usd - budget.spent.usd,
            "max_tokens_per_task": None if budget.tokens is None else budget.tokens - budget.spent.tokens,
        }
        tighter = {
            name: value
            for name, value in left.items()
            if value is not None and value < getattr(effective, name)
        }
        origins = {**effective.origins, **dict.fromkeys(tighter, budget.title)}
        effective = replace(effective, **tighter, origins=origins)  # type: ignore[arg-type]  # numbers
    return effective


def stopped_by(
    effective: EffectiveProfile, budgets: Iterable[Budget], *, unit: Literal["usd", "tokens"]
) -> Budget | None:
    """The budget whose rest an attempt ran into that spent as much as it might; `None` when it was a limit
    of its profile."""
    origin = effective.origins.get("max_budget_usd" if unit == "usd" else "max_tokens_per_task")
    return next((budget for budget in budgets if budget.title == origin), None)
