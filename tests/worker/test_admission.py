from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.provider import Backoff
from orchestrator.worker.admission import Facts, Verdict, admissible

READY = Verdict(harness="claude")
DISABLED = Verdict(reason="profile_disabled", message="Profile x is disabled.")
VERDICTS = {
    ("acme", None): READY,
    ("acme", "off"): DISABLED,
    ("acme", "codex"): Verdict(harness="codex"),
    ("shop", None): READY,
    ("annex", None): READY,
}
FACTS = Facts(now=1000.0, verdicts=VERDICTS, harnesses=frozenset({"claude"}), recheck_seconds=300.0)

candidates = st.lists(
    st.builds(
        lambda number, key, priority, age: Candidate(
            id=f"t{number:03}", project_id=key[0], profile_id=key[1], priority=priority, created_at=age
        ),
        st.integers(0, 999),
        st.sampled_from(list(VERDICTS)),
        st.integers(0, 2),
        st.integers(0, 3).map(float),
    ),
    unique_by=lambda one: one.id,
)


def candidate(task_id: str, project: str = "acme", profile: str | None = None, age: float = 0) -> Candidate:
    return Candidate(id=task_id, project_id=project, profile_id=profile, priority=100, created_at=age)


def split(facts: Facts, *tasks: Candidate) -> tuple[list[str], dict[str, tuple[str, float | None]]]:
    admitted, holds = admissible(tasks, facts)
    return [one.id for one in admitted], {one.task_id: (one.reason, one.until) for one in holds}


@given(candidates, st.booleans(), st.sampled_from([frozenset(), frozenset({"/srv/shop"})]))
def test_every_candidate_is_either_admitted_or_held_with_a_reason(tasks, blocked, busy) -> None:
    backoffs = {"claude": Backoff(reason="rate_limited", message="m", until=2000.0)} if blocked else {}
    facts = replace(
        FACTS, backoffs=backoffs, busy=busy, directories={"shop": "/srv/shop", "annex": "/srv/shop"}
    )
    admitted, holds = admissible(tasks, facts)
    assert sorted([one.id for one in admitted] + [one.task_id for one in holds]) == sorted(
        one.id for one in tasks
    )
    assert all(one.reason and one.message for one in holds)
    assert all(one.until is None or one.until > facts.now for one in holds)
    inside = [one for one in admitted if one.project_id in facts.directories]
    assert len(inside) <= (0 if busy else 1)


def test_a_refused_profile_holds_its_tasks_and_lets_the_others_go() -> None:
    admitted, holds = split(FACTS, candidate("a", profile="off"), candidate("b"))
    assert admitted == ["b"]
    assert holds == {"a": ("profile_disabled", 1300.0)}


def test_a_harness_that_is_not_here_holds_the_task() -> None:
    assert split(FACTS, candidate("a", profile="codex")) == ([], {"a": ("harness_missing", 1300.0)})


def test_two_projects_that_share_a_directory_take_turns_by_age() -> None:
    facts = replace(FACTS, directories={"shop": "/srv/shop", "annex": "/srv/shop"})
    admitted, holds = split(facts, candidate("young", "shop", age=2), candidate("old", "annex", age=1))
    assert admitted == ["old"]
    assert holds == {"young": ("checkout_busy", None)}, "it passes by itself, so it is not stored"


def test_a_provider_that_refused_is_left_alone_until_its_time() -> None:
    facts = replace(FACTS, backoffs={"claude": Backoff(reason="rate_limited", message="m", until=1100.0)})
    assert split(facts, candidate("a")) == ([], {"a": ("rate_limited", None)})
    assert split(replace(facts, now=1100.0), candidate("a")) == (["a"], {})
