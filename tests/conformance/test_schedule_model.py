"""Schedules against a model, with transactions that fail at either side of their commit.

However the clock moves, whoever fires, whatever people do meanwhile and wherever a connection is lost: each
occurrence is dealt with once, and what is not to overlap does not.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from orchestrator.commands.schedule_fields import timed
from orchestrator.domain.project import Project
from orchestrator.domain.schedule import Missed, Overlap, Schedule, ScheduleKind
from orchestrator.domain.task import TERMINAL, Task
from orchestrator.occurrences import following
from orchestrator.store import events, firing, projects, schedules, tasks
from orchestrator.store.firing import Check, Verdict
from stateful import DONE, NEVER, UNHEARD, DatabaseMachine, try_out

BEGAN = 1_800_000_000.0
STEP = 60.0
KEPT = {
    f"{missed.value}-{overlap.value}{'-asks' if asks else ''}": (missed, overlap, asks)
    for missed, overlap, asks in [
        (Missed.ONCE, Overlap.ALLOW, False),
        (Missed.SKIP, Overlap.SKIP, False),
        (Missed.ALL, Overlap.QUEUE, False),
        (Missed.ALL, Overlap.SKIP, True),
        (Missed.ONCE, Overlap.QUEUE, True),
    ]
}
NAMES = st.sampled_from(sorted(KEPT))
COMMITS = st.sampled_from([DONE, DONE, DONE, NEVER, UNHEARD])


class Clockwork(DatabaseMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = BEGAN
        self.ids = itertools.count(1)
        self.checks: list[Check] = []
        self.left_out = dict.fromkeys(KEPT, 0)
        """Occurrences that came and went while the schedule was paused."""
        project = Project(id="acme", name="Acme", created_at=BEGAN, updated_at=BEGAN)
        self.database.run_sync(projects.create, project)
        for name, (missed, overlap, asks) in KEPT.items():
            schedule = Schedule(
                id=name,
                project_id="acme",
                name=name,
                kind=ScheduleKind.INTERVAL,
                expression=f"{STEP:g}",
                start_at=BEGAN,
                created_at=BEGAN,
                updated_at=BEGAN,
                jitter_seconds=30.0,
                missed=missed,
                missed_limit=1000,
                overlap=overlap,
                condition=("true",) if asks else None,
                task={"prompt": "Do it."},
            )
            self.database.run_sync(schedules.create, timed(schedule, now=BEGAN))

    def teardown(self) -> None:
        self.database.close()

    @rule(seconds=st.sampled_from([1.0, 20.0, 59.0, 61.0, 300.0, 900.0, -30.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now = max(self.now + seconds, BEGAN)

    @rule(commit=COMMITS, holder=st.sampled_from(["w1", "w2"]))
    def look(self, commit: str, holder: str) -> None:
        """What a daemon does when it wakes, and perhaps dies over."""
        found = self.database.read_sync(firing.look, now=self.now)
        for name in found.free:
            self.run_to(commit, firing.release, name, now=self.now, new_id=self._new_id)
        for name in found.due:
            check = self.run_to(
                commit,
                firing.fire,
                name,
                now=self.now,
                occurrences=following,
                new_id=self._new_id,
                holder=holder,
            )
            self.checks += [check] if check is not None else []

    @rule(run=st.booleans(), commit=COMMITS, keep=st.booleans())
    def answer(self, run: bool, commit: str, keep: bool) -> None:
        """A condition has ended, perhaps long after its right ran out, perhaps told twice."""
        if self.checks:
            check = self.checks[0] if keep else self.checks.pop(0)
            self.run_to(
                commit,
                firing.fire_checked,
                check,
                Verdict(run=run, message="no"),
                now=self.now,
                occurrences=following,
                new_id=self._new_id,
            )

    @rule(name=NAMES, commit=COMMITS)
    def task_ends(self, name: str, commit: str) -> None:
        under_way = [task for task in self._tasks(name) if task.state not in TERMINAL]
        if under_way:
            self.run_to(commit, tasks.cancel, under_way[-1].id, now=self.now)

    @rule(times=st.integers(3, 5))
    def several_wait_for_each_other(self, times: int) -> None:
        """Which chance alone rarely brings about: occurrences queue up, and then each has its turn."""
        for _ in range(times):
            self.time_goes_by(STEP)
            self.look(DONE, "w1")
        for _ in range(times):
            for name in KEPT:
                self.task_ends(name, DONE)
            self.look(DONE, "w1")
            self.each_occurrence_was_dealt_with_once()

    @rule(name=NAMES)
    def is_paused_and_resumed(self, name: str) -> None:
        old = self._schedule(name)
        paused = timed(replace(old, enabled=False), now=self.now)
        self.database.run_sync(schedules.update, paused, "schedule.paused", reason="a person")
        self.time_goes_by(200.0)
        new = timed(replace(paused, enabled=True), now=self.now)
        self.database.run_sync(schedules.update, new, "schedule.resumed")
        assert old.next_for is not None
        assert new.next_for is not None
        self.left_out[name] += round((new.next_for - old.next_for) / STEP)

    @invariant()
    def each_occurrence_was_dealt_with_once(self) -> None:
        told = self._told()
        for name in KEPT:
            made = [task.scheduled_for for task in self._tasks(name)]
            assert len(made) == len(set(made))
            fired, queued, skipped, missed = (told[name, kind] for kind in KINDS)
            assert sorted(made) == [one["scheduled_for"] for one in fired], "in their order"
            waited = {one["scheduled_for"] for one in queued}
            waiting = set(self.database.read_sync(schedules.queued, name))
            assert waiting == waited - set(made)
            assert not any(one["more"] for one in missed)
            at_once = [at for at in made if at not in waited]
            dealt_with = len(at_once) + len(queued) + len(skipped) + sum(one["count"] for one in missed)
            next_for = self._schedule(name).next_for
            assert next_for is not None
            assert dealt_with + self.left_out[name] == round((next_for - BEGAN) / STEP) - 1

    @invariant()
    def what_is_not_to_overlap_does_not(self) -> None:
        for name, (_, overlap, _) in KEPT.items():
            if overlap is not Overlap.ALLOW:
                assert sum(task.state not in TERMINAL for task in self._tasks(name)) <= 1

    def _new_id(self) -> str:
        return f"t{next(self.ids):015}"

    def _schedule(self, name: str) -> Schedule:
        found = self.database.read_sync(schedules.get, name)
        assert found is not None
        return found

    def _tasks(self, name: str) -> list[Task]:
        return self.database.read_sync(tasks.list_tasks, schedule_id=name, limit=10_000)

    def _told(self) -> dict[tuple[str, str], list[Any]]:
        told: dict[tuple[str, str], list[Any]] = {(name, kind): [] for name in KEPT for kind in KINDS}
        for stored in self.database.read_sync(events.after, 0, kinds=KINDS, limit=100_000):
            event = stored.event
            told[event.subject.removeprefix("schedule/"), event.kind].append(event.data)
        return told


KINDS = ("schedule.fired", "schedule.queued", "schedule.skipped", "schedule.missed")


def test_each_occurrence_is_dealt_with_once_whatever_happens_on_sqlite(
    new_sqlite: Callable[[], str],
) -> None:
    try_out(Clockwork, new_sqlite, examples=8, steps=30)


@pytest.mark.postgres
def test_each_occurrence_is_dealt_with_once_whatever_happens_on_postgresql(postgres_server: Any) -> None:
    try_out(Clockwork, postgres_server.create, examples=2, steps=30)
