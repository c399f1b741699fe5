import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import outcome as ends
from orchestrator.domain.backoff import RETRY_CAP, delay
from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.settle import RECHECK_CAP, RESET_LIMIT, settle
from orchestrator.domain.task import TERMINAL, Task, TaskState

PAGE = Path(__file__).parents[2] / "docs" / "task-life.md"
S = TaskState
NOW = 1000.0

OUTCOMES: tuple[Outcome, ...] = (
    ends.Completed(answer="done"),
    ends.Asked(question="which one?"),
    ends.Held(reason="profile_disabled", message="Profile reviewer is disabled."),
    ends.NotHere(message="no such directory on build7"),
    ends.AuthenticationFailed(message="401", status=401),
    ends.RateLimited(message="429", reset_at=5000.0),
    ends.Overloaded(message="529"),
    ends.ApiFailed(message="500", status=500),
    ends.ModelRefused(message="declined"),
    ends.TurnLimitReached(message="20 turns"),
    ends.BudgetSpent(message="2 USD"),
    ends.NotStarted(message="no such file"),
    ends.ToolSurplus(message="Bash", tools=("Bash",)),
    ends.ServerMissing(message="linear", servers=("linear",)),
    ends.Crashed(message="exit 1", exit_code=1),
    ends.Killed(message="SIGKILL", signal=9),
    ends.Hung(message="silent", timer="stall"),
    ends.Interrupted(),
    ends.Cancelled(),
    ends.WorkerFault(message="disk full"),
)
jitters = st.floats(0, 1, exclude_max=True)


def running(**fields: object) -> Task:
    base = Task(
        id="t1",
        project_id="p",
        title="T",
        prompt="P",
        state=S.IN_PROGRESS,
        created_at=0,
        updated_at=0,
        attempt=1,
        session_id="s1",
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def test_every_outcome_is_tried_here() -> None:
    assert {type(outcome) for outcome in OUTCOMES} == set(get_args(Outcome))


def test_the_page_says_of_every_outcome_what_the_code_does() -> None:
    rows = re.findall(
        r"^\| (\w+) \| ([A-Z_]+(?:, held)?) \| (yes|no) \| .* \| (goes on|fresh|) ?\|$",
        PAGE.read_text("utf-8"),
        re.M,
    )
    told = {kind: (state, counts, session) for kind, state, counts, session in rows}
    done = {}
    for outcome in OUTCOMES:
        result = settle(running(), outcome, now=NOW, jitter=0)
        over = result.state in TERMINAL
        session = "goes on" if result.session_id else "" if over else "fresh"
        state = result.state.value + (", held" if result.hold else "")
        done[outcome.kind] = (state, "yes" if result.used_attempt else "no", session)
    assert told == done


@given(st.sampled_from(OUTCOMES), st.integers(0, 9), st.integers(1, 9), st.integers(1, 30), jitters)
def test_attempts_run_out_and_nothing_waits_for_ever(
    outcome: Outcome, failures: int, most: int, attempt: int, jitter: float
) -> None:
    task = running(failures=min(failures, most - 1), max_attempts=most, attempt=attempt)
    result = settle(task, outcome, now=NOW, jitter=jitter)
    if result.used_attempt and task.failures + 1 >= most:
        assert result.state in TERMINAL
    if result.state is S.READY:
        waits = [at - NOW for at in (result.run_at, result.hold_until) if at is not None]
        assert all(0 < wait <= max(RETRY_CAP, RECHECK_CAP, 4031) for wait in waits)
        assert (result.hold is None) == (result.hold_until is None)


@pytest.mark.parametrize(
    "outcome", [o for o in OUTCOMES if settle(running(), o, now=0, jitter=0).state is S.FAILED]
)
def test_a_task_that_is_given_up_says_what_to_do(outcome: Outcome) -> None:
    assert "orchestrator task retry t1" in settle(running(), outcome, now=NOW, jitter=0).message


def test_the_last_attempt_says_how_many_there_were() -> None:
    task = running(failures=2, attempt=3)
    result = settle(task, ends.Crashed(message="It ended without a result."), now=NOW, jitter=0)
    assert result.state is S.FAILED
    assert result.message.startswith("Gave up after 3 attempts. It ended without a result.")


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_a_request_the_service_will_not_take_is_not_sent_again(status: int) -> None:
    assert settle(running(), ends.ApiFailed(message="m", status=status), now=NOW, jitter=0).state is S.FAILED


@pytest.mark.parametrize("status", [None, 408, 500, 503])
def test_a_failure_of_the_service_is_tried_again(status: int | None) -> None:
    result = settle(running(), ends.ApiFailed(message="m", status=status), now=NOW, jitter=0)
    assert (result.state, result.used_attempt) == (S.READY, True)


@given(st.floats(NOW, NOW + RESET_LIMIT), jitters)
def test_a_rate_limit_is_waited_out_until_just_after_its_reset(reset: float, jitter: float) -> None:
    result = settle(running(), ends.RateLimited(message="m", reset_at=reset), now=NOW, jitter=jitter)
    assert result.run_at is not None
    assert reset < result.run_at <= reset + 31


@pytest.mark.parametrize("reset", [None, NOW * 1e9])
def test_a_rate_limit_without_a_credible_reset_is_tried_more_and_more_seldom(reset: float | None) -> None:
    waits = []
    for attempt in range(1, 9):
        task = running(attempt=attempt)
        result = settle(task, ends.RateLimited(message="m", reset_at=reset), now=NOW, jitter=0.999)
        assert result.run_at is not None
        waits.append(result.run_at - NOW)
    assert waits == sorted(waits)
    assert waits[0] < 61
    assert waits[-1] > 800


@given(st.sampled_from(OUTCOMES))
def test_a_cancel_wins_over_every_further_try_but_never_over_a_result(outcome: Outcome) -> None:
    plain = settle(running(), outcome, now=NOW, jitter=0)
    asked = settle(running(cancel_requested=True), outcome, now=NOW, jitter=0)
    assert asked.state is (plain.state if plain.state in TERMINAL else S.CANCELLED)


@pytest.mark.parametrize("state", [s for s in S if s not in (S.ASSIGNED, S.IN_PROGRESS)])
def test_only_a_claimed_task_can_be_settled(state: TaskState) -> None:
    with pytest.raises(IllegalTransition):
        settle(running(state=state), ends.Completed(answer="x"), now=NOW, jitter=0)


@given(st.integers(1, 10_000), jitters)
def test_the_backoff_grows_to_its_cap_and_never_below_half(times: int, jitter: float) -> None:
    wait = delay(times, jitter=jitter)
    full = delay(times, jitter=1)
    assert full / 2 <= wait <= full <= RETRY_CAP
    assert delay(times + 1, jitter=1) >= full
