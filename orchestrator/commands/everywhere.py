"""What keeps a task waiting that concerns all hosts: limits, budgets, a provider, what some of them lack."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.commands.waiting import Facts
from orchestrator.domain import cascade
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.lack import lacked, needs
from orchestrator.domain.limit import Limit, LimitScope, Place, count
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.selection import required_secrets, select_servers
from orchestrator.store import backoffs, budgets, limits, tasks, workers
from orchestrator.store.database import Transaction
from orchestrator.store.workers import Worker


def over_all_hosts(tx: Transaction, facts: Facts, catalog: Catalog, now: float) -> Facts:
    """The facts with those that concern all hosts; a task whose profile is refused has none of them."""
    resolved = cascade.resolve(catalog)
    if isinstance(resolved, cascade.Refusal):
        return facts
    effective = resolved.effective
    alive = workers.alive(tx, now=now)
    hosts = {one.host for one in alive} or {""}
    places = [Place(host=host, profile_id=resolved.profile_id, model=effective.model) for host in hosts]
    told = [
        backoff
        for provider, backoff in backoffs.current(tx, now=now).items()
        if provider.partition("@")[0] == effective.harness
    ]
    backoff = max(told, key=lambda one: one.until, default=None)
    missed = _missed(alive, facts, effective, catalog, now)
    required = {*facts.task.requires, *facts.project.requires}
    able = [one for one in alive if not missed[one.host] and one.carries(required)]
    return replace(
        with_slots(tx, facts, able) if any(missed.values()) and able else facts,
        full=_full(tx, places, now),
        backoff=backoff.message if backoff else None,
        backoff_until=backoff.until if backoff else None,
        unable=tuple(f"{host} ({', '.join(what)})" for host, what in sorted(missed.items()) if what),
    )


def with_slots(tx: Transaction, facts: Facts, able: Sequence[Worker]) -> Facts:
    """The facts with the slots of those workers that may take the task, and no others."""
    busy = tasks.count_claimed(tx, workers=[one.id for one in able])
    return replace(facts, slots=sum(one.slots for one in able), busy=busy)


def _missed(
    alive: Sequence[Worker], facts: Facts, effective: EffectiveProfile, catalog: Catalog, now: float
) -> Mapping[str, Sequence[str]]:
    """By host, what it said to lack of what the task needs."""
    selection = select_servers(effective.mcp_servers, catalog)
    wanted = needs(
        facts.task.id,
        checkout=facts.project.checkout,
        repository=facts.project.repository,
        secrets=required_secrets(selection, effective.optional_servers),
    )
    return {one.host: lacked(wanted, one.lacks, now=now) for one in alive}


def _full(tx: Transaction, places: list[Place], now: float) -> tuple[Limit, ...]:
    """Limits that leave no room in any of these places, and the budget of all when it is spent."""
    known = limits.list_limits(tx)
    running = count(limits.running(tx))
    full = [
        one
        for one in known
        if one.max_concurrent is not None and running.get(one.use, 0) >= one.max_concurrent
    ]
    uses = {one.use for one in full}
    found = [
        replace(one, budget_usd_per_day=None, budget_tokens_per_day=None)
        for one in full
        if all(uses.intersection(place.uses) for place in places)
        and any(one.use in place.uses for place in places)
    ]
    whole = budgets.of_instance(tx, now=now)
    if whole is not None and whole.is_spent:
        found.append(
            Limit(
                scope=LimitScope.INSTANCE,
                budget_usd_per_day=whole.usd,
                budget_tokens_per_day=whole.tokens,
            )
        )
    return tuple(found)
