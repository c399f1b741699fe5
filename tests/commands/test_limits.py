"""Limits over all hosts: set, listed, taken away, and named when a task waits for one."""

import pytest

from orchestrator.commands.explain import explain_task
from orchestrator.commands.limits import ListLimits, SetLimit, list_limits, set_limit
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask, NamedTask, create_task
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.limit import LimitScope, Place
from orchestrator.domain.provider import Backoff
from orchestrator.store import backoffs, queue, workers

INSTANCE, MODEL = LimitScope.INSTANCE, LimitScope.MODEL


def test_a_limit_is_set_counted_named_and_taken_away(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    running, waiting = [bench.do(create_task, CreateTask(prompt="p")).created for _ in range(2)]
    model = bench.use.defaults["claude"].model
    place = Place(host="h", profile_id="__system__", model=model)
    claim = {"worker": "w", "now": bench.now, "lease_seconds": 30.0, "places": {running: place}}
    bench.use.database.run_sync(queue.claim, [running], **claim)
    bench.do(set_limit, SetLimit(scope=MODEL, name=model, max_concurrent=1))
    bench.do(set_limit, SetLimit(scope=INSTANCE, max_concurrent=2, budget_usd_per_day=5))
    whole, one = bench.do(list_limits, ListLimits()).limits
    assert (whole.scope, whole.running, whole.budget_usd_per_day) == (INSTANCE, 1, 5)
    assert (one.name, one.running, one.max_concurrent) == (model, 1, 1)
    found = bench.do(explain_task, NamedTask(task_id=waiting)).reasons
    assert [reason.code for reason in found if "limit" in reason.code] == ["model_limit"]
    assert f"The limit of model {model}, 1 at once, is reached." in next(
        r.message for r in found if r.code == "model_limit"
    )
    assert not bench.do(set_limit, SetLimit(scope=MODEL, name=model, max_concurrent=None)).limited
    assert [row.scope for row in bench.do(list_limits, ListLimits()).limits] == [INSTANCE]


def test_a_limit_whose_name_nothing_has_is_set_with_a_warning(bench) -> None:
    there = workers.Worker(
        id="fast-1", host="build7", pid=1, version="1", slots=1, started_at=bench.now, seen_at=bench.now
    )
    bench.use.database.run_sync(workers.register, there)

    def warned(scope: LimitScope, name: str, most: int | None = 1) -> tuple[str, ...]:
        done = bench.do(set_limit, SetLimit(scope=scope, name=name, max_concurrent=most))
        assert done.limited is (most is not None)
        return done.warnings

    [host] = warned(LimitScope.HOST, "fast")
    assert "not by worker.name. Hosts with workers: build7." in host
    [profile] = warned(LimitScope.PROFILE, "nosuch")
    assert "no profile with the id nosuch" in profile
    assert warned(LimitScope.HOST, "build7") == warned(LimitScope.HOST, "fast", None) == ()
    assert warned(MODEL, "any") == ()


def test_a_provider_that_is_left_alone_is_named(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    waiting = bench.do(create_task, CreateTask(prompt="p")).created
    told = Backoff(reason="rate_limited", message="The service limits requests.", until=bench.now + 60)
    bench.use.database.run_sync(backoffs.store, {"claude@0123": told})
    found = bench.do(explain_task, NamedTask(task_id=waiting)).reasons
    assert "in 60 s" in next(reason.message for reason in found if reason.code == "provider")


def test_a_limit_without_a_number_is_refused_and_stays(bench) -> None:
    bench.do(set_limit, SetLimit(scope=MODEL, name="m", max_concurrent=1))
    with pytest.raises(InvalidInput, match=r"needs max_concurrent .* model m --max-concurrent none"):
        bench.do(set_limit, SetLimit(scope=MODEL, name="m"))
    with pytest.raises(InvalidInput, match=r"--budget.*--tokens.*set instance --max-concurrent none"):
        bench.do(set_limit, SetLimit(scope=INSTANCE))
    assert [row.max_concurrent for row in bench.do(list_limits, ListLimits()).limits] == [1]


def test_what_is_not_mentioned_stays_until_it_is_taken_away_itself(bench) -> None:
    def now(**numbers: object) -> list[tuple[int | None, float | None, int | None]]:
        bench.do(set_limit, SetLimit(scope=INSTANCE, **numbers))
        rows = bench.do(list_limits, ListLimits()).limits
        return [(one.max_concurrent, one.budget_usd_per_day, one.budget_tokens_per_day) for one in rows]

    assert now(budget_usd_per_day=5.0) == [(None, 5.0, None)]
    assert now(max_concurrent=8) == [(8, 5.0, None)]
    assert now(budget_tokens_per_day=100, budget_usd_per_day=None) == [(8, None, 100)]
    assert now(max_concurrent=None) == [(None, None, 100)]
    assert now(budget_tokens_per_day=None) == []


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (SetLimit(scope=MODEL, max_concurrent=1), "needs the name of a model"),
        (SetLimit(scope=INSTANCE, name="x", max_concurrent=1), "needs no name"),
        (SetLimit(scope=MODEL, name="m", budget_usd_per_day=1.0), "only the instance"),
        (SetLimit(scope=INSTANCE, max_concurrent=0), "max_concurrent must be"),
        (SetLimit(scope=INSTANCE, budget_tokens_per_day=0), "budget_tokens_per_day must be"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(bench, request_, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        bench.do(set_limit, request_)
