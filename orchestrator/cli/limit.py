"""`orchestrator limit set`, `list`."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.session import call
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import limits
from orchestrator.commands.command import UNCHANGED, Unchanged
from orchestrator.domain.limit import LimitScope

_NAME = (
    "Of the host, as `orchestrator worker list` shows it (its hostname, not `worker.name`); the profile's "
    "id; the model; none for the instance."
)

_NoLimit = Literal["none"]

Number = TypeVar("Number", int, float)


def set_(
    scope: Annotated[LimitScope, Parameter(help="instance, host, profile or model.")],
    name: Annotated[str, Parameter(help=_NAME)] = "",
    *,
    max_concurrent: Annotated[
        int | _NoLimit | None,
        WHOLE,
        Parameter(help="Attempts at once, at most; `none` takes the limit away."),
    ] = None,
    budget: Annotated[
        float | _NoLimit | None, Parameter(help="Spend of a day (UTC) at most, in USD; of the instance.")
    ] = None,
    tokens: Annotated[
        int | _NoLimit | None, WHOLE, Parameter(help="Tokens of a day (UTC) at most; of the instance.")
    ] = None,
) -> None:
    """Limit what runs at once or is spent a day, over all hosts; what is not given stays."""
    request = limits.SetLimit(
        scope=scope,
        name=name,
        max_concurrent=_given(max_concurrent),
        budget_usd_per_day=_given(budget),
        budget_tokens_per_day=_given(tokens),
    )
    output.show(call(limits.set_limit, request), _set)


def list_() -> None:
    """List the limits that hold over all hosts, and what counts against each now."""
    output.show(call(limits.list_limits, limits.ListLimits()), _listed)


def _given(number: Number | _NoLimit | None) -> Number | Unchanged | None:
    if number is None:
        return UNCHANGED
    return None if number == "none" else number


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
