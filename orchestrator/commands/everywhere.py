"""What keeps a task waiting that concerns all hosts: limits, the budget of all, a provider's own limit."""

from dataclasses import replace

from orchestrator.commands.waiting import Facts
from orchestrator.domain import cascade
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.limit import Limit, LimitScope, Place, count
from orchestrator.store import backoffs, budgets, limits, workers
from orchestrator.store.database import Transaction


def over_all_hosts(tx: Transaction, facts: Facts, catalog: Catalog, now: float) -> Facts:
    """The facts with those that concern all hosts; a task whose profile is refused has none of them."""
    resolved = cascade.resolve(catalog)
    if isinstance(resolved, cascade.Refusal):
        return facts
    effective = resolved.effective
    hosts = {one.host for one in workers.alive(tx, now=now)} or {""}
    places = [Place(host=host, profile_id=resolved.profile_id, model=effective.model) for host in hosts]
    told = [
        backoff
        for provider, backoff in backoffs.current(tx, now=now).items()
        if provider.partition("@")[0] == effective.harness
    ]
    backoff = max(told, key=lambda one: one.until, default=None)
    return replace(
        facts,
        full=_full(tx, places, now),
        backoff=backoff.message if backoff else None,
        backoff_until=backoff.until if backoff else None,
    )


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
