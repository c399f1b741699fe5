"""How long what is kept: the limits of an installation, by age and by size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0
MEBIBYTE: Final = 1024 * 1024
ACCOUNTED_DAYS: Final = 2.0
"""Attempts of the last two days stay in any case: what projects may spend today is counted from them."""
SHARE: Final = 0.1
"""Of the writer's time, for retention at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """Ages are days, sizes mebibytes. `None` everywhere: without end."""

    archive_after_days: float | None = 14.0
    """Ended tasks are archived by then."""
    archived_days: float | None = 365.0
    """Since a task was archived; it goes with its attempts and all they left in the database."""
    archived_rows: int | None = 1_000_000
    attempts_days: float | None = 180.0
    """Since an attempt ended. Of a task that is not archived the latest stays, and what its budget counts."""
    messages_days: float | None = 30.0
    """What agents said, since their attempt ended; never longer than the attempt itself."""
    messages_mb: float | None = 4096.0
    events_days: float | None = 30.0
    events_rows: int | None = 1_000_000
    audit_days: float | None = 365.0
    audit_rows: int | None = 1_000_000
    tokens_days: float | None = 30.0
    """Since a token was revoked or ran out."""
    revisions_days: float | None = 365.0
    """Earlier revisions of a profile; the last good one stays in any case."""
    revisions_kept: int | None = 100
    """Revisions of one profile at most."""
    scratch_days: float | None = 2.0
    """What else an attempt left in its directory, besides transcripts. Since its task ended, as below."""
    transcripts_days: float | None = 30.0
    transcripts_mb: float | None = 4096.0
    checkouts_days: float | None = 14.0
    checkouts_mb: float | None = 20_480.0


def before(now: float, days: float | None) -> float | None:
    """The moment that everything older than `days` lies before; `None` when nothing is ever too old."""
    return None if days is None else now - days * DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Something that can be removed: since when it is of no use, and what it takes."""

    name: str
    since: float
    bytes: int


def to_remove(kept: Sequence[Kept], *, cut: float | None, limit: int | None) -> list[Kept]:
    """Those that are too old, and the oldest of the rest for as long as all together take more than `limit`
    bytes. The oldest first."""
    total = sum(one.bytes for one in kept)
    chosen = []
    for one in sorted(kept, key=lambda one: (one.since, one.name)):
        too_old = cut is not None and one.since < cut
        if not too_old and (limit is None or total <= limit):
            break
        chosen.append(one)
        total -= one.bytes
    return chosen


@dataclass(slots=True)
class Pace:
    """How much to do at once, so that one step takes about `target` seconds: learnt from the last one."""

    target: float = 0.003
    size: int = 8
    least: int = 4
    most: int = 500

    def took(self, seconds: float) -> None:
        factor = self.target / seconds if seconds > 0 else 2.0
        self.size = max(self.least, min(self.most, int(self.size * max(0.25, min(2.0, factor)))))

    @staticmethod
    def rest(seconds: float) -> float:
        """Seconds to leave to others after a step, so that steps take at most `SHARE` of the time."""
        return max(0.005, seconds * (1.0 - SHARE) / SHARE)
