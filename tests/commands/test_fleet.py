"""Commands on workers, and labels that tasks and projects require of them."""

import pytest

from orchestrator.commands.explain import explain_task
from orchestrator.commands.fleet import DrainWorker, ListWorkers, drain_worker, list_workers
from orchestrator.commands.projects import CreateProject, EditProject, create_project, edit_project
from orchestrator.commands.task_views import get_task
from orchestrator.commands.tasks import CreateTask, EditTask, NamedTask, create_task, edit_task
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.store import projects, queue, workers


def register(bench, worker_id: str, *labels: str) -> None:
    now = bench.use.clock()
    row = workers.Worker(
        id=worker_id, host="h", pid=1, version="1", slots=4, started_at=now, seen_at=now, labels=labels
    )
    bench.use.database.run_sync(workers.register, row)


def test_workers_are_listed_with_what_they_run_and_drained_by_the_beginning_of_their_ids(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    task_id = bench.do(create_task, CreateTask(prompt="p")).created
    register(bench, "one-1", "gpu")
    register(bench, "two-1")
    claim = {"worker": "one-1", "now": bench.use.clock(), "lease_seconds": 30.0}
    bench.use.database.run_sync(queue.claim, [task_id], **claim)
    first, second = bench.do(list_workers, ListWorkers()).workers
    assert (first.id, first.labels, first.running, first.slots) == ("one-1", ("gpu",), 1, 4)
    assert (first.alive, first.draining, second.running) == (True, False, 0)
    assert bench.do(drain_worker, DrainWorker(worker="one")).running == 1
    assert bench.do(list_workers, ListWorkers()).workers[0].draining
    register(bench, "two-2")
    with pytest.raises(InvalidInput, match="fits several"):
        bench.do(drain_worker, DrainWorker(worker="two"))
    for nobody in ("three", ""):
        with pytest.raises(NotFound, match="worker list"):
            bench.do(drain_worker, DrainWorker(worker=nobody))


def test_what_a_host_lacks_is_listed_as_long_as_it_holds(bench) -> None:
    register(bench, "one-1")
    assert bench.do(list_workers, ListWorkers()).workers[0].lacks == ()
    lacks = {"secret_missing TOKEN": None, "checkout_unusable /srv/acme": bench.now + 300.0}
    bench.use.database.run_sync(workers.say_lacks, "one-1", lacks)
    both = ("checkout_unusable /srv/acme", "secret_missing TOKEN")
    assert bench.do(list_workers, ListWorkers()).workers[0].lacks == both
    bench.now += 300.0
    bench.use.database.run_sync(workers.seen, "one-1", now=bench.now)
    assert bench.do(list_workers, ListWorkers()).workers[0].lacks == ("secret_missing TOKEN",)
    bench.now += 300.0
    assert bench.do(list_workers, ListWorkers()).workers[0].lacks == ()


def test_a_worker_that_went_away_long_ago_is_forgotten(bench) -> None:
    register(bench, "old-1")
    bench.use.database.run_sync(workers.forget, now=bench.now + 3600)
    assert not bench.do(list_workers, ListWorkers()).workers[0].draining
    assert bench.use.database.run_sync(workers.forget, now=bench.now + 90_000) == 1
    assert bench.do(list_workers, ListWorkers()).count == 0


def test_labels_are_required_by_tasks_and_projects_and_explained(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", requires=("eu",)))
    task_id = bench.do(create_task, CreateTask(prompt="p", requires=("gpu", "eu", "gpu"))).created
    assert bench.do(get_task, NamedTask(task_id=task_id)).task.requires == ("eu", "gpu")
    register(bench, "one-1", "eu")
    assert "label gpu" in bench.do(explain_task, NamedTask(task_id=task_id)).summary
    bench.do(edit_task, EditTask(task_id=task_id, requires=()))
    assert "next in the queue" in bench.do(explain_task, NamedTask(task_id=task_id)).summary
    bench.do(edit_project, EditProject(project_id="acme", requires=("arm",), budget_tokens_per_day=5))
    project = bench.use.database.read_sync(projects.get, "acme")
    assert project is not None
    assert (project.requires, project.budget_tokens_per_day) == (("arm",), 5)
    with pytest.raises(InvalidInput, match="no spaces"):
        bench.do(create_task, CreateTask(prompt="p", requires=("two words",)))
