"""What a host lacks that a task needs, where another host may have it."""

from collections.abc import Collection, Mapping
from typing import Final

from orchestrator.domain.project import CheckoutKind

CHECKOUT_UNUSABLE: Final = "checkout_unusable"
SECRET_MISSING: Final = "secret_missing"  # noqa: S105 - the name of a hold
PROCESS_LEFT: Final = "process_left"

OF_A_HOST: Final = frozenset({CHECKOUT_UNUSABLE, SECRET_MISSING, PROCESS_LEFT})
"""Reasons to hold a task that may be so on one host and not on another."""

Lacks = Mapping[str, float | None]
"""What a host cannot offer, as `lack` names it, and until when it takes that to be so, in Unix seconds;
`None` where it looks all the time."""


def lack(reason: str, what: str) -> str:
    """A repository by its path, a secret by its name, a task of which processes are left by its id: the same
    words on every host, with the reason for which a task is held there."""
    return f"{reason} {what}"


def needs(
    task_id: str, *, checkout: CheckoutKind, repository: str | None, secrets: Collection[str]
) -> tuple[str, ...]:
    """Everything that a host may lack for this task."""
    place = repository if checkout is not CheckoutKind.EMPTY else None
    return (
        *(() if place is None else (lack(CHECKOUT_UNUSABLE, place),)),
        lack(PROCESS_LEFT, task_id),
        *(lack(SECRET_MISSING, name) for name in sorted(secrets)),
    )


def lacked(wanted: Collection[str], lacks: Lacks, *, now: float) -> tuple[str, ...]:
    """Of what is wanted, what a host that said so still lacks."""
    return tuple(one for one in wanted if one in lacks and ((until := lacks[one]) is None or until > now))
