"""`orchestrator limit set`, `list`."""

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.session import call
from orchestrator.commands import limits
from orchestrator.domain.limit import LimitScope

_NAME = (
    "Of the host, as `orchestrator worker list` shows it (its hostname, not `worker.name`); the profile's "
    "id; the model; none for the instance."
)


def set_(
    scope: Annotated[LimitScope, Parameter(help="instance, host, profile or model.")],
    name: Annotated[str, Parameter(help=_NAME)] = "",
    *,
    max_concurrent: Annotated[int | None, Parameter(help="Attempts at once, at most.")] = None,
    budget: Annotated[float | None, Parameter(help="Spend of a day (UTC) at most, in USD.")] = None,
    tokens: Annotated[int | None, Parameter(help="Tokens of a day (UTC) at most.")] = None,
) -> None:
    """Limit what runs at once or is spent a day, over all hosts; without numbers the limit is taken away."""
    request = limits.SetLimit(
        scope=scope,
        name=name,
        max_concurrent=max_concurrent,
        budget_usd_per_day=budget,
        budget_tokens_per_day=tokens,
    )
    output.show(call(limits.set_limit, request), _set)


def list_() -> None:
    """List the limits that hold over all hosts, and what counts against each now."""
    output.show(call(limits.list_limits, limits.ListLimits()), _listed)


def _set(done: limits.LimitSet) -> Iterator[RenderableType]:
    of = done.scope if not done.name else f"{done.scope} {done.name}"
    yield output.text(f"{of} is limited" if done.limited else f"{of} has no limit here any more")
    yield from output.warnings(done.warnings)


def _listed(found: limits.LimitList) -> Iterator[RenderableType]:
    if not found.limits:
        yield output.text("no limits over all hosts; workers have their slots, projects their own limits")
        return
    yield output.table(
        ("scope", "name", "running", "at once", "USD a day", "tokens a day"),
        (
            (
                one.scope,
                one.name or "-",
                one.running,
                one.max_concurrent or "-",
                one.budget_usd_per_day or "-",
                one.budget_tokens_per_day or "-",
            )
            for one in found.limits
        ),
    )
