import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import fairness
from orchestrator.domain.fairness import Share, Snapshot, Waiting, schedule

projects = st.sampled_from("abcd")
uses = st.sampled_from([("model", "m"), ("host", "h"), ("x", "")])
waiting_tasks = st.lists(
    st.builds(
        Waiting,
        id=st.text("0123456789", min_size=1, max_size=4),
        project_id=projects,
        priority=st.integers(0, 3),
        created_at=st.integers(0, 5).map(float),
        uses=st.lists(uses, max_size=2, unique=True).map(tuple),
    ),
    unique_by=lambda task: task.id,
    max_size=25,
)
share_fields = st.fixed_dictionaries(
    {
        "weight": st.sampled_from([0.5, 1.0, 3.0]),
        "used_seconds": st.floats(0, 1e6),
        "charge_seconds": st.floats(0, 1e4),
        "finished": st.integers(0, 3),
        "running": st.integers(0, 4),
        "max_concurrent": st.none() | st.integers(0, 6),
        "budget_left": st.none() | st.floats(-1, 5),
        "paused": st.booleans(),
    }
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    chosen = draw(st.dictionaries(projects, share_fields))
    return Snapshot(
        waiting=tuple(draw(waiting_tasks)),
        shares={name: Share(project_id=name, **values) for name, values in chosen.items()},
        slots=tuple(range(draw(st.integers(0, 12)))),
        rooms=draw(st.dictionaries(st.sampled_from([("model", "m"), ("host", "h")]), st.integers(0, 4))),
    )


def waiting(task_id: str, project: str, *, priority: int = 100, created_at: float = 0.0) -> Waiting:
    return Waiting(id=task_id, project_id=project, priority=priority, created_at=created_at)


def order(tasks: list[Waiting], shares: dict[str, Share], slots: int = 99) -> str:
    picks = schedule(Snapshot(waiting=tuple(tasks), shares=shares, slots=tuple(range(slots))))
    return " ".join(task_id for task_id, _ in picks)


@given(snapshots(), st.randoms())
def test_the_order_in_which_facts_arrive_does_not_matter(snapshot: Snapshot, random: Random) -> None:
    mixed, slots = list(snapshot.waiting), list(snapshot.slots)
    random.shuffle(mixed)
    random.shuffle(slots)
    again = replace(snapshot, waiting=tuple(mixed), slots=tuple(slots))
    assert schedule(again) == schedule(snapshot)


@given(snapshots())
def test_no_limit_of_several_projects_is_exceeded_and_no_room_is_left_that_a_task_could_use(
    snapshot: Snapshot,
) -> None:
    picks = schedule(snapshot)
    tasks = {task.id: task for task in snapshot.waiting}
    used = Counter(use for task_id, _ in picks for use in tasks[task_id].uses)
    assert all(used[use] <= room for use, room in snapshot.rooms.items())
    if len(picks) == len(snapshot.slots):
        return
    taken = Counter(tasks[task_id].project_id for task_id, _ in picks)
    for task in snapshot.waiting:
        share = snapshot.shares.get(task.project_id, Share(project_id=task.project_id))
        limit = share.max_concurrent
        has_room = share.room and (limit is None or share.running + taken[task.project_id] < limit)
        fits = all(snapshot.rooms.get(use, 99) > used[use] for use in task.uses)
        assert task.id in dict(picks) or not (has_room and fits)


@given(snapshots())
def test_a_task_is_picked_once_and_a_slot_is_given_once(snapshot: Snapshot) -> None:
    picks = schedule(snapshot)
    assert len({task for task, _ in picks}) == len({slot for _, slot in picks}) == len(picks)
    assert {task for task, _ in picks} <= {task.id for task in snapshot.waiting}
    assert {slot for _, slot in picks} <= set(snapshot.slots)


@given(snapshots())
def test_limits_budgets_and_pauses_are_never_exceeded(snapshot: Snapshot) -> None:
    project_of = {task.id: task.project_id for task in snapshot.waiting}
    picked = Counter(project_of[task] for task, _ in schedule(snapshot))
    for project, count in picked.items():
        share = snapshot.shares.get(project)
        if share is not None:
            assert not share.paused
            assert share.budget_left is None or share.budget_left > 0
            assert share.max_concurrent is None or share.running + count <= share.max_concurrent


@given(snapshots())
def test_no_slot_stays_free_while_a_task_may_start(snapshot: Snapshot) -> None:
    snapshot = replace(snapshot, rooms={})
    project_of = {task.id: task.project_id for task in snapshot.waiting}
    picks = schedule(snapshot)
    picked = Counter(project_of[task] for task, _ in picks)
    if len(picks) == len(snapshot.slots):
        return
    for project, there in Counter(project_of.values()).items():
        share = snapshot.shares.get(project)
        limit = there
        if share is not None:
            room = there if share.max_concurrent is None else share.max_concurrent - share.running
            limit = min(there, max(room, 0)) if share.room else 0
        assert picked[project] == limit


@given(snapshots())
def test_within_a_project_priority_then_age_then_id_decide(snapshot: Snapshot) -> None:
    by_id = {task.id: task for task in snapshot.waiting}
    keys: dict[str, list[tuple[int, float, str]]] = {}
    for task_id, _ in schedule(snapshot):
        task = by_id[task_id]
        keys.setdefault(task.project_id, []).append((task.priority, task.created_at, task.id))
    assert all(found == sorted(found) for found in keys.values())


def test_a_project_of_which_nothing_finished_goes_first_but_only_with_one_task() -> None:
    tasks = [waiting("a1", "a"), waiting("a2", "a"), waiting("b1", "b"), waiting("b2", "b")]
    shares = {
        "a": Share(project_id="a", finished=3, used_seconds=10),
        "b": Share(project_id="b", used_seconds=500),
    }
    assert order(tasks, shares) == "b1 a1 a2 b2"


def test_slot_time_counts_for_its_weight() -> None:
    tasks = [waiting("a1", "a"), waiting("b1", "b")]
    shares = {
        "a": Share(project_id="a", finished=1, used_seconds=100, weight=1),
        "b": Share(project_id="b", finished=1, used_seconds=250, weight=3),
    }
    assert order(tasks, shares) == "b1 a1"


def test_a_weight_of_zero_is_refused_where_it_enters() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Share(project_id="a", weight=0)


@pytest.mark.parametrize("seed", range(5))
def test_in_the_long_run_every_project_gets_its_share_whatever_its_tasks_take(seed: int) -> None:
    """Four projects with always more to do than fits, tasks of very different length, eight slots: each
    project's slot time stays within one task of its weighted share."""
    random = Random(seed)
    weights = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}
    length = {"a": 10.0, "b": 400.0, "c": 60.0, "d": 5.0}
    used = dict.fromkeys(weights, 0.0)
    running: list[tuple[float, str]] = []
    count, horizon, slots, now = Counter[str](), 40_000.0, 8, 0.0
    while now < horizon:
        shares = {
            p: Share(
                project_id=p,
                weight=weights[p],
                used_seconds=used[p],
                charge_seconds=length[p],
                finished=count[p],
                running=sum(1 for _, q in running if q == p),
            )
            for p in weights
        }
        tasks = tuple(waiting(f"{p}{count[p]:06}{i}", p) for p in weights for i in range(slots))
        free = tuple(range(slots - len(running)))
        for task, _ in schedule(Snapshot(waiting=tasks, shares=shares, slots=free)):
            took = length[task[0]] * random.uniform(0.5, 1.5)
            used[task[0]] += took
            running.append((now + took, task[0]))
        running.sort()
        now, ended = running.pop(0)
        count[ended] += 1
    total = sum(used.values())
    for project, weight in weights.items():
        fair = total * weight / sum(weights.values())
        assert abs(used[project] - fair) <= slots * max(length.values()) * 1.5


@pytest.mark.parametrize("seed", range(5))
def test_a_newcomer_is_served_in_the_first_round_however_long_the_queue_of_others(seed: int) -> None:
    random = Random(seed)
    crowd = [waiting(f"a{i:05}", "a", priority=random.randrange(5), created_at=float(i)) for i in range(5000)]
    shares = {"a": Share(project_id="a", finished=100, used_seconds=random.uniform(0, 10))}
    newcomer = waiting("z", "z", priority=9, created_at=1e9)
    picks = schedule(Snapshot(waiting=(*crowd, newcomer), shares=shares, slots=(0,)))
    assert picks == [("z", 0)]


def test_the_scheduler_knows_nothing_of_profiles() -> None:
    source = Path(fairness.__file__)
    imported = {
        alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {name for name in imported if name.startswith("orchestrator")}
    assert "profile" not in source.read_text(encoding="utf-8").lower()
