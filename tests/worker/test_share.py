"""What a project has had, as the scheduler is told."""

from orchestrator.domain.budget import Spent
from orchestrator.domain.project import CheckoutKind
from orchestrator.store.load import Limits, Recent, Running
from orchestrator.worker.basis import share

LIMITS = Limits(
    project_id="shop",
    weight=1.0,
    max_concurrent=None,
    budget_usd_per_day=None,
    checkout=CheckoutKind.EMPTY,
    repository=None,
)


def test_attempts_that_have_just_begun_count_with_what_they_are_expected_to_take() -> None:
    # Or every host that looks within the same second would give its slot to the same project.
    just_begun = share(LIMITS, Running(count=4, seconds=0.1), Recent(finished=2, seconds=100.0), Spent())
    assert just_begun.used_seconds == 100.0 + 4 * 50.0


def test_attempts_that_take_longer_than_expected_count_with_what_they_took() -> None:
    long_at_it = share(LIMITS, Running(count=1, seconds=900.0), Recent(finished=2, seconds=100.0), Spent())
    assert long_at_it.used_seconds == 1000.0
