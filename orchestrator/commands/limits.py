"""Commands on limits that hold over all hosts."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.commands import checks
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.event import Event
from orchestrator.domain.limit import Limit, LimitScope, count
from orchestrator.domain.profile import SYSTEM_DEFAULT
from orchestrator.store import events, limits, profiles, workers
from orchestrator.store.database import Transaction

LISTED: Final = 20
"""Names of hosts or profiles that a warning lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetLimit:
    """A number that is absent stays as it is, and null takes it away; at least one is given."""

    scope: LimitScope
    name: str = ""
    """A host by its hostname, as `list_workers` shows it; a profile by its id; a model; empty for the
    instance."""
    max_concurrent: int | Unchanged | None = UNCHANGED
    budget_usd_per_day: float | Unchanged | None = UNCHANGED
    """Of the instance only; a project has its own. Days are UTC."""
    budget_tokens_per_day: int | Unchanged | None = UNCHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitSet:
    scope: LimitScope
    name: str
    limited: bool
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListLimits:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRow:
    scope: LimitScope
    name: str
    max_concurrent: int | None
    budget_usd_per_day: float | None
    budget_tokens_per_day: int | None
    running: int
    """Attempts that count against it now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitList:
    limits: tuple[LimitRow, ...]
    count: int


async def set_limit(use: Use, request: SetLimit) -> LimitSet:
    """Limit what runs at once or is spent a day, over all hosts; attempts under way go on."""
    numbers = changed(
        max_concurrent=request.max_concurrent,
        budget_usd_per_day=request.budget_usd_per_day,
        budget_tokens_per_day=request.budget_tokens_per_day,
    )
    wanted = Limit(scope=request.scope, name=request.name, **numbers)
    _check(wanted)
    if not numbers:
        raise InvalidInput(_nothing_given(wanted), field="max_concurrent")
    now = use.clock()

    def write(tx: Transaction) -> LimitSet:
        known = next((one for one in limits.list_limits(tx) if one.use == wanted.use), wanted)
        limit = replace(known, **numbers)
        limits.put(tx, limit, now=now)
        limited = limit != Limit(scope=limit.scope, name=limit.name)
        data = {"scope": limit.scope.value, "name": limit.name, "limited": limited}
        events.append(tx, Event(kind="limit.set", subject=f"limit/{limit.scope}", at=now, data=data))
        warnings = tuple(_warnings(tx, limit, now=now)) if limited else ()
        return LimitSet(scope=limit.scope, name=limit.name, limited=limited, warnings=warnings)

    return await use.database.run(write)


async def list_limits(use: Use, request: ListLimits) -> LimitList:
    """List the limits that hold over all hosts, and what counts against each now."""
    del request

    def read(tx: Transaction) -> tuple[LimitRow, ...]:
        running = count(limits.running(tx))
        return tuple(
            LimitRow(
                scope=one.scope,
                name=one.name,
                max_concurrent=one.max_concurrent,
                budget_usd_per_day=one.budget_usd_per_day,
                budget_tokens_per_day=one.budget_tokens_per_day,
                running=running.get(one.use, 0),
            )
            for one in limits.list_limits(tx)
        )

    found = await use.database.read(read)
    return LimitList(limits=found, count=len(found))


def _warnings(tx: Transaction, limit: Limit, *, now: float) -> Iterator[str]:
    """A name that nothing counts against now. It is no fault: the host may be down, the profile to come."""
    if limit.scope is LimitScope.HOST:
        there = sorted({worker.host for worker in workers.alive(tx, now=now)})
        if limit.name not in there:
            yield (
                f"no worker is alive on a host named {limit.name}; a limit goes by the hostname, not by "
                f"worker.name. Hosts with workers: {_listed(there)}."
            )
    elif limit.scope is LimitScope.PROFILE:
        ids = sorted(profile.id for profile in profiles.list_profiles(tx))
        if limit.name not in (*ids, SYSTEM_DEFAULT):
            yield f"there is no profile with the id {limit.name}. Profiles: {_listed(ids)}."


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")) or "none"


def _nothing_given(limit: Limit) -> str:
    budgets = ", budget_usd_per_day (--budget) or budget_tokens_per_day (--tokens)"
    options = "max_concurrent (--max-concurrent)" + (budgets if limit.scope is LimitScope.INSTANCE else "")
    again = shlex.join(filter(None, ("orchestrator", "limit", "set", limit.scope, limit.name)))
    return f"a limit of {limit.title} needs {options}; null takes it away: `{again} --max-concurrent none`"


def _check(limit: Limit) -> None:
    whole = limit.scope is LimitScope.INSTANCE
    if whole != (limit.name == ""):
        wanted = "no name" if whole else f"the name of a {limit.scope}"
        raise InvalidInput(f"scope '{limit.scope}' needs {wanted}", field="name")
    checks.storable(limit.name, "name")
    if not whole and (limit.budget_usd_per_day is not None or limit.budget_tokens_per_day is not None):
        raise InvalidInput(
            "only the instance has a budget here; a project's is its own (`orchestrator project edit`)",
            field="budget_usd_per_day",
        )
    checks.check_number(limit.max_concurrent, "max_concurrent", least=1, most=100_000)
    checks.check_number(limit.budget_usd_per_day, "budget_usd_per_day")
    checks.check_number(limit.budget_tokens_per_day, "budget_tokens_per_day", most=checks.TOKENS)
