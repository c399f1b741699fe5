"""What one host cannot run and another can: the first steps aside, and nobody waits."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.explain import explain_task
from orchestrator.commands.ids import new_id
from orchestrator.commands.tasks import NamedTask
from orchestrator.commands.use import Host, Use
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.outcome import Held
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import NewTask, TaskState
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.settings.secrets import Secrets
from orchestrator.store import projects, tasks, workers
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.vault.sync import VaultSync
from orchestrator.worker.admission import Facts, Hold, Verdict
from orchestrator.worker.elsewhere import Elsewhere
from orchestrator.worker.lacking import Lacking
from orchestrator.worker.turn import Turned, turn
from turns import counsel, order

pytestmark = pytest.mark.anyio

S = TaskState
NOW = 1_800_000_000.0
SLOW = {"poll_seconds": 60.0, "recheck_seconds": 600.0}
"""Only what a worker is woken by can have moved a task on."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Not there yet: it is made when only the host is left to look that has it."""
    return tmp_path / "acme"


def appear(repository: Path) -> None:
    """Whole at once, as nothing less is looked at."""
    made = repository.with_name("made")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    first = ("commit", "--quiet", "--allow-empty", "--message=first")
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)
    subprocess.run(["git", *identity, "-C", str(made), *first], check=True)
    made.rename(repository)


@pytest.fixture
def lab(lab: Any, repository: Path) -> Any:
    lab.project("acme", checkout=CheckoutKind.WORKTREE, repository=str(repository))
    lab.project("empty")
    return lab


def define_linter(lab: Any) -> None:
    servers = lab.vault / "mcp-servers"
    servers.mkdir()
    (servers / "linter.md").write_text("---\ncommand: npx\nenv: {TOKEN: '${LINT_TOKEN}'}\n---\n")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])


@pytest.fixture
def hosts(lab: Any, tmp_path: Path) -> Any:
    """Two workers at work on hosts of their own, `a` and `b`; what `b` has to do keeps it from taking
    anything else until it is let go."""

    @asynccontextmanager
    async def both(
        a: dict[str, Any] | None = None, b: dict[str, Any] | None = None, **fields: Any
    ) -> AsyncIterator[Callable[[], None]]:
        go, begun = tmp_path / "go", tmp_path / "begun"
        lab.ask(f"touch={begun};wait_for={go}", project="empty", requires=("b",))
        first = {"name": "a", "host": "a", "home": tmp_path / "home-a", **(a or {})}
        second = {"name": "b", "host": "b", "home": tmp_path / "home-b", "slots": 1, "labels": ("b",)}
        try:
            async with (
                lab.working(**{**SLOW, **fields, **second, **(b or {})}),
                lab.working(**{**SLOW, **fields, **first}),
            ):
                await lab.until(begun.exists)
                yield go.touch
        finally:
            go.touch()

    return both


async def explained(lab: Any, task_id: str) -> list[tuple[str, str]]:
    """The reasons that `task explain` gives."""
    sync = VaultSync(database=lab.database, root=lab.vault)
    use = Use(
        database=lab.database,
        sync=sync.run_once,
        host=Host(home=lab.home, vault=lab.vault, database="x"),
        clock=time.time,
        random=lambda: 1,
        defaults=lab.registry.defaults,
    )
    found = await explain_task(use, NamedTask(task_id=task_id))
    return [(reason.code, reason.message) for reason in found.reasons]


def known(lab: Any) -> str:
    """A task of the project, with an id as commands know them."""
    task_id = new_id(time.time(), 1)
    wanted = NewTask(project_id="acme", title="T", prompt="FAKE[]")
    lab.database.run_sync(tasks.create, wanted, task_id=task_id, now=time.time())
    return task_id


def tried(lab: Any, task_id: str) -> list[tuple[str, str | None]]:
    """By which host, and how it ended."""
    return [(one.worker.partition("-")[0], one.outcome) for one in lab.attempts(task_id)]


async def test_a_task_whose_repository_is_not_on_a_host_runs_on_another_at_once(
    lab, hosts, repository
) -> None:
    async with hosts() as let_b_go:
        first = known(lab)
        await lab.until(lambda: tried(lab, first) == [("a", "not_here")])
        assert lab.task(first).hold is None
        lacking = f"Left to other hosts than a (checkout_unusable {repository})."
        assert ("not_here", lacking) in await explained(lab, first)
        await asyncio.to_thread(appear, repository)
        let_b_go()
        await lab.until(lambda: lab.task(first).state is S.COMPLETED)
        others = [lab.ask() for _ in range(10)]
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in others))
        for _ in range(5):  # both are idle, and woken by the same change
            others.append(lab.ask())
            await lab.until(lambda: lab.task(others[-1]).state is S.COMPLETED)
    assert tried(lab, first) == [("a", "not_here"), ("b", "completed")]
    assert "is not a directory on a" in (lab.attempts(first)[0].message or "")
    assert lab.task(first).failures == 1, "the one that completed"
    assert {tuple(tried(lab, one)) for one in others} == {(("b", "completed"),)}


async def test_a_task_whose_secret_is_not_on_a_host_runs_on_another_at_once(lab, hosts) -> None:
    await asyncio.to_thread(define_linter, lab)
    async with hosts(b={"secrets": {"LINT_TOKEN": "here"}}) as let_b_go:
        first, *others = [lab.ask(profile_id="reviewer", project="empty") for _ in range(12)]
        await lab.until(lambda: lab.recorded(first))
        last = lab.ask(project="empty")
        await lab.until(lambda: lab.task(last).state is S.COMPLETED)
        assert tried(lab, last) == [("a", "completed")], "those in front of it do not keep it"
        let_b_go()
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in (first, *others)))
    assert tried(lab, first) == [("a", "not_here"), ("b", "completed")]
    assert all(tried(lab, one)[-1] == ("b", "completed") for one in others)
    assert sum(len(tried(lab, one)) for one in others) <= len(others) + 1, "it has two slots"


async def test_a_host_that_starts_has_at_once_what_was_held_for_want_of_it(lab, tmp_path) -> None:
    """The other one knows by then that it is there, and does not hold the task once more."""
    await asyncio.to_thread(define_linter, lab)
    task_id = lab.ask(profile_id="reviewer", project="empty")
    async with lab.working(**SLOW, name="b", host="b", home=tmp_path / "home-b"):
        await lab.until(lambda: lab.task(task_id).hold == "secret_missing")
        having = {"name": "a", "host": "a", "home": tmp_path / "home-a", "secrets": {"LINT_TOKEN": "here"}}
        async with lab.working(**SLOW, **having):
            await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert tried(lab, task_id)[0] == ("b", "held")
    assert tried(lab, task_id)[-1] == ("a", "completed")
    assert len(tried(lab, task_id)) <= 3, "once more on b, before it is told"


async def test_what_no_host_has_holds_the_task_and_the_reason_says_where_it_was_missed(
    lab, hosts, repository
) -> None:
    async with hosts() as let_b_go:
        first = known(lab)
        await lab.until(lambda: tried(lab, first) == [("a", "not_here")])
        let_b_go()
        await lab.until(lambda: lab.task(first).hold is not None)
        second = known(lab)
        await lab.until(lambda: lab.task(second).hold is not None)
    assert tried(lab, first) == [("a", "not_here"), ("b", "not_here")]
    assert tried(lab, second) == []
    for task in (lab.task(first), lab.task(second)):
        assert (task.hold, task.failures) == ("checkout_unusable", 0)
        message = task.hold_message or ""
        assert f"{repository} is not a directory on" in message
        assert f"a (checkout_unusable {repository}), b (checkout_unusable {repository})" in message
        ((code, told), *_) = await explained(lab, task.id)
        assert (code, message in told) == ("checkout_unusable", True)


async def test_hosts_that_lack_different_things_hold_the_task_together(lab, hosts, repository) -> None:
    await asyncio.to_thread(define_linter, lab)
    async with hosts(a={"secrets": {"LINT_TOKEN": "here"}}) as let_b_go:
        task_id = lab.ask(profile_id="reviewer")
        await lab.until(lambda: tried(lab, task_id) == [("a", "not_here")])
        await asyncio.to_thread(appear, repository)
        let_b_go()
        await lab.until(lambda: lab.task(task_id).hold is not None)
    assert tried(lab, task_id) == [("a", "not_here"), ("b", "not_here")]
    message = lab.task(task_id).hold_message or ""
    assert f"a (checkout_unusable {repository}), b (secret_missing LINT_TOKEN)" in message


async def test_a_host_that_finds_its_secret_takes_up_what_no_host_could_run(lab, hosts, tmp_path) -> None:
    await asyncio.to_thread(define_linter, lab)
    directory = tmp_path / "secrets"
    directory.mkdir()
    here = Secrets(given={}, directory=directory, environment={}, credentials=CREDENTIALS)
    async with hosts(a={"secrets": here}, poll_seconds=0.2) as let_b_go:
        task_id = lab.ask(profile_id="reviewer", project="empty")
        await lab.until(lambda: tried(lab, task_id) == [("a", "not_here")])
        let_b_go()
        await lab.until(lambda: lab.task(task_id).hold == "secret_missing")
        (directory / "LINT_TOKEN").write_text("here\n")
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert tried(lab, task_id)[-1] == ("a", "completed")


async def test_a_host_looks_again_for_what_it_missed(lab, hosts, repository) -> None:
    async with hosts(recheck_seconds=0.3, poll_seconds=0.1):
        task_id = lab.ask()
        await lab.until(lambda: tried(lab, task_id)[:1] == [("a", "not_here")])
        await asyncio.to_thread(appear, repository)
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert {host for host, _ in tried(lab, task_id)} == {"a"}


async def test_a_host_that_is_left_alone_holds_what_it_cannot_run(lab, hosts, tmp_path) -> None:
    async with hosts(poll_seconds=0.1) as let_b_go:
        task_id = lab.ask()
        await lab.until(lambda: tried(lab, task_id) == [("a", "not_here")])
        assert lab.task(task_id).hold is None
        (there,) = [one for one in lab.database.read_sync(workers.list_workers) if one.host == "b"]
        await lab.database.run(workers.ask_to_drain, there.id)
        await lab.until(lambda: lab.task(task_id).hold == "checkout_unusable")
        let_b_go()
    assert tried(lab, task_id) == [("a", "not_here"), ("a", "held")]


async def test_a_host_without_the_labels_is_nobody_to_leave_a_task_to(lab, hosts) -> None:
    async with hosts(a={"labels": ("acme",)}):
        task_id = lab.ask(requires=("acme",))
        await lab.until(lambda: lab.task(task_id).hold == "checkout_unusable")
    assert tried(lab, task_id) == [("a", "held")]


@pytest.fixture
def shared(postgres_url: str) -> Iterator[tuple[Database, Database]]:
    """Two hosts' connections to a database with one task."""
    with open_database(postgres_url) as first, open_database(postgres_url) as second:
        project = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0)
        first.run_sync(projects.create, project)
        wanted = NewTask(project_id="acme", title="T", prompt="P")
        first.run_sync(tasks.create, wanted, task_id="t1", now=1.0)
        yield first, second


@pytest.mark.postgres
def test_what_a_host_leaves_to_others_they_find_although_it_looks_at_the_same_moment(shared) -> None:
    first, second = shared

    def both_look(tx: Transaction) -> tuple[Turned, Turned]:
        left = turn(tx, order("a", slots=1, keeping=False), replace(counsel(), elsewhere=to_others))
        return left, second.run_sync(turn, order("b", slots=1), counsel())

    def to_others(_tx: Transaction, candidates: Sequence[Candidate], _facts: Facts) -> dict[str, Hold]:
        return {one.id: Hold(task_id=one.id, reason="secret_missing", message="m") for one in candidates}

    left, took = first.run_sync(both_look)
    assert (left.claims, [claim.task.id for claim, _ in took.claims]) == ((), ["t1"])


@pytest.mark.postgres
def test_a_host_that_lost_what_it_picked_looks_at_once_what_else_there_is(shared) -> None:
    first, second = shared

    def meanwhile(_tx: Transaction, _candidates: Sequence[Candidate], _facts: Facts) -> dict[str, Hold]:
        second.run_sync(turn, order("b", slots=1), counsel())
        return {}

    lost = first.run_sync(turn, order("a", slots=1, keeping=False), replace(counsel(), elsewhere=meanwhile))
    assert (lost.claims, lost.held) == ((), 1)


def test_processes_left_on_a_host_keep_their_task_from_that_host_for_a_while(sqlite_lab) -> None:
    database, project = sqlite_lab.database, sqlite_lab.project()
    left, other = (sqlite_lab.task(sqlite_lab.ask()) for _ in range(2))
    there = workers.Worker(id="b-1", host="b", pid=1, version="1", slots=1, started_at=NOW, seen_at=NOW)
    database.run_sync(workers.register, there)
    verdicts = {("acme", None): Verdict(harness="claude")}
    facts = Facts(now=NOW, verdicts=verdicts, harnesses=frozenset({"claude"}))
    candidates = [
        Candidate(id=one.id, project_id="acme", profile_id=None, priority=100, created_at=1.0)
        for one in (left, other)
    ]
    elsewhere = Elsewhere(worker="a-1", host="a", lacking=Lacking({}), recheck_seconds=300.0)
    elsewhere.note(Held(reason="process_left", message="See `ps`."), left, project, now=NOW)
    passed = database.read_sync(elsewhere.passed_over, candidates, facts)
    assert [(key, hold.reason, hold.until) for key, hold in passed.items()] == [
        (left.id, "process_left", None)
    ]
    later = replace(facts, now=NOW + 301.0)
    assert database.read_sync(elsewhere.passed_over, candidates, later) == {}


async def test_a_second_worker_of_the_same_host_is_nobody_to_leave_a_task_to(lab, hosts) -> None:
    async with hosts(b={"host": "a"}):
        task_id = lab.ask()
        await lab.until(lambda: lab.task(task_id).hold == "checkout_unusable")
    assert tried(lab, task_id) == [("a", "held")]
