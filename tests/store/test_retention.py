"""What is kept and for how long: every kind by age and by size, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.event import listen

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.event import Event
from orchestrator.domain.retention import DAY, Keep
from orchestrator.domain.task import Claim, Task
from orchestrator.store import archive, attempts, events, queue, retention, spending
from orchestrator.store.database import Database
from orchestrator.store.retention import SUBJECTS
from orchestrator.store.tables import archived_tasks, profile_revisions, tokens

NOW = 1_800_000_000.0
FOREVER = Keep(**dict.fromkeys(Keep.__dataclass_fields__))  # type: ignore[arg-type]  # all None
Ask = Callable[..., Task]


def sweep(database: Database, keep: Keep, *, now: float = NOW, step: int = 500) -> dict[str, int]:
    """Everything that is due, `step` rows at a time."""
    gone: dict[str, int] = {}
    for subject in SUBJECTS:
        while keys := database.read_sync(subject.find, keep, now, 7):
            rows = 0
            while keys:
                done = database.run_sync(subject.remove, keys[:step], now, step)
                assert done.keys or done.rows
                assert done.rows <= 2 * step + 1
                keys, rows = keys[done.keys :], rows + done.rows
            gone[subject.name] = gone.get(subject.name, 0) + rows
            if not rows:
                break
    return gone


def tried(database: Database, task: Task, *, said: int, at: float, size: int = 10) -> None:
    """One attempt at the task that ended then, with so many messages, and the task with it."""
    (claim,) = database.run_sync(queue.claim, [task.id], worker="w", now=at, lease_seconds=30.0)
    messages = [
        AgentMessage(sequence=number, at=at, kind="assistant", body={"text": "x" * size})
        for number in range(1, said + 1)
    ]
    database.run_sync(attempts.append_messages, claim, messages)
    database.run_sync(end, claim, at)


def end(tx: Connection, claim: Claim, at: float) -> None:
    attempts.end(tx, claim, outcome="completed", message="", now=at)
    change = "UPDATE tasks SET state = 'COMPLETED', finished_at = :at, lease_until = NULL WHERE id = :id"
    tx.execute(text(change), {"at": at, "id": claim.task.id})


def count(database: Database, table: str) -> int:
    return database.read_sync(lambda tx: tx.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def keys(database: Database, query: str) -> list[Any]:
    return database.read_sync(lambda tx: list(tx.execute(text(query)).scalars()))


def test_nothing_goes_when_everything_is_kept_without_end(database: Database, ask: Ask) -> None:
    tried(database, ask(now=0.0), said=3, at=1.0)
    assert sweep(database, FOREVER) == {}


def test_ended_tasks_are_archived_by_age(database: Database, ask: Ask) -> None:
    for number, days in enumerate((20, 15, 13)):
        tried(database, ask(task_id=f"t{number}", now=NOW - days * DAY), said=0, at=NOW - days * DAY)
    ask(task_id="waits", now=NOW - 99 * DAY)
    assert sweep(database, replace(FOREVER, archive_after_days=14)) == {"ended_tasks": 2}
    assert keys(database, "SELECT id FROM tasks ORDER BY id") == ["t2", "waits"]


def test_tasks_are_archived_by_their_ids_and_not_by_going_through_all(database: Database) -> None:
    """What is due is found on a reader; the writer must not look for it again."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL knows how few the ids are")
    seen: list[str] = []

    def explained(tx: Connection) -> list[str]:
        listen(tx, "before_cursor_execute", lambda *given: seen.append(given[2]))
        archive.archive(tx, archive.Chosen(ended_by=NOW, ids=["a", "b"]), now=NOW)
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {seen[0]}", (None,) * seen[0].count("?"))
        return [row[3] for row in plan]

    plan = database.run_sync(explained)
    assert "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (id=?)" in plan


FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO attempts (task_id, number, project_id, worker, started_at, ended_at, message_bytes)
SELECT 't' || i, 1, 'acme', 'w', i, i, CASE WHEN i % 100 = 0 THEN NULL ELSE 0 END FROM n
"""


@pytest.mark.parametrize("analysed", [False, True])
def test_what_is_not_measured_yet_is_found_without_going_through_what_is(
    database: Database, analysed: bool
) -> None:
    """Or a sweep goes through all that is kept each time, and the first of all through it for every page."""
    measuring = next(one for one in SUBJECTS if one.name == "measured_attempts")
    seen: list[tuple[str, Any]] = []

    def explained(tx: Connection) -> str:
        tx.execute(text(FILL))
        if analysed:
            tx.execute(text("ANALYZE attempts"))
        listen(tx, "before_cursor_execute", lambda *given: seen.append(given[2:4]))
        assert len(measuring.find(tx, replace(FOREVER, messages_days=30), NOW, 100)) == 20
        how = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
        return str(tx.exec_driver_sql(f"{how} {seen[0][0]}", seen[0][1]).all())

    plan = database.run_sync(explained)
    assert "attempts_unmeasured" in plan


def test_messages_go_by_age_and_the_attempt_stays(database: Database, ask: Ask) -> None:
    tried(database, ask(task_id="old", now=NOW - 31 * DAY), said=25, at=NOW - 31 * DAY)
    tried(database, ask(task_id="new", now=NOW - 29 * DAY), said=3, at=NOW - 29 * DAY)
    gone = sweep(database, replace(FOREVER, messages_days=30), step=10)
    assert gone == {"measured_attempts": 2, "messages": 25}
    assert keys(database, "SELECT DISTINCT task_id FROM attempt_messages") == ["new"]
    kept = database.read_sync(attempts.get, "old", 1)
    assert kept is not None
    assert kept.outcome == "completed"
    assert sweep(database, replace(FOREVER, messages_days=30)) == {}


def test_messages_go_by_size_the_oldest_first(database: Database, ask: Ask) -> None:
    for day in range(4):
        tried(database, ask(task_id=f"t{day}", now=NOW + day), said=2, at=NOW + day, size=512 * 1024)
    sweep(database, replace(FOREVER, messages_mb=2.5))
    assert keys(database, "SELECT DISTINCT task_id FROM attempt_messages ORDER BY 1") == ["t2", "t3"]


def test_what_an_agent_says_now_is_never_taken(database: Database, ask: Ask) -> None:
    (claim,) = database.run_sync(queue.claim, [ask(now=0.0).id], worker="w", now=0.0, lease_seconds=30.0)
    database.run_sync(
        attempts.append_messages, claim, [AgentMessage(sequence=1, at=0.0, kind="assistant", body={})]
    )
    everything = Keep(**dict.fromkeys(Keep.__dataclass_fields__, 0))  # type: ignore[arg-type]  # all 0
    assert "messages" not in sweep(database, everything)
    assert (count(database, "attempts"), count(database, "attempt_messages")) == (1, 1)


def test_an_archived_task_goes_with_all_that_belonged_to_it(database: Database, ask: Ask) -> None:
    tried(database, ask(task_id="old", now=NOW - 400 * DAY), said=30, at=NOW - 400 * DAY)
    tried(database, ask(task_id="new", now=NOW - 100 * DAY), said=1, at=NOW - 100 * DAY)
    question = "INSERT INTO questions (task_id, attempt, question, asked_at) VALUES ('old', 1, 'Why?', 1)"
    database.run_sync(lambda tx: tx.execute(text(question)))
    for days in (380, 90):
        ended = archive.Chosen(ended_by=NOW - days * DAY)
        database.run_sync(archive.archive, ended, now=NOW - days * DAY)
    sweep(database, replace(FOREVER, archived_days=365), step=8)
    assert keys(database, "SELECT id FROM archived_tasks") == ["new"]
    assert count(database, "questions") == 0
    for table in ("attempts", "attempt_messages"):
        assert keys(database, f"SELECT task_id FROM {table}") == ["new"]


def test_the_archive_keeps_so_many_at_most(database: Database, ask: Ask) -> None:
    old = NOW - 10 * DAY
    for number in range(12):
        tried(database, ask(now=old + number), said=0, at=old + number)
    database.run_sync(archive.archive, archive.Chosen(ended_by=old + 99), now=old + 99)
    sweep(database, replace(FOREVER, archived_rows=3))
    assert count(database, "archived_tasks") == 3
    order = "SELECT created_at FROM archived_tasks ORDER BY 1"
    assert keys(database, order) == [old + number for number in (9, 10, 11)]


def test_what_was_spent_today_is_kept_however_little_may_be_archived(database: Database, ask: Ask) -> None:
    tried(database, ask(now=NOW - DAY), said=0, at=NOW - DAY)
    database.run_sync(archive.archive, archive.Chosen(ended_by=NOW), now=NOW - DAY)
    assert sweep(database, replace(FOREVER, archived_rows=0)) == {}
    assert count(database, "attempts") == 1


def test_old_attempts_go_but_the_latest_of_a_task_that_is_there(database: Database, ask: Ask) -> None:
    ask(task_id="t", now=0.0)
    row = "INSERT INTO attempts (task_id, number, project_id, worker, started_at, ended_at) VALUES "
    rows = "('t', 1, 'acme', 'w', 1, 2), ('t', 2, 'acme', 'w', 3, 4), ('gone', 1, 'acme', 'w', 1, 2)"
    database.run_sync(lambda tx: tx.execute(text(row + rows)))
    database.run_sync(lambda tx: tx.execute(text("UPDATE tasks SET attempt = 2")))
    assert sweep(database, replace(FOREVER, attempts_days=180)) == {"attempts": 2}
    assert keys(database, "SELECT number FROM attempts WHERE task_id = 't'") == [2]


@pytest.mark.parametrize(
    ("budget", "kept"),
    [({"max_budget_usd": 5.0}, [1, 2, 4]), ({"max_tokens": 1000}, [1, 2, 4]), ({}, [4])],
    ids=["USD", "tokens", "none"],
)
def test_what_a_task_with_a_budget_spent_stays_counted_for_as_long_as_it_is_there(
    database: Database, ask: Ask, budget: dict[str, Any], kept: list[int]
) -> None:
    ask(task_id="t", **budget)
    row = (
        "INSERT INTO attempts (task_id, number, project_id, worker, started_at, ended_at, cost_usd, "
        "input_tokens) VALUES ('t', 1, 'acme', 'w', 1, 2, 3.0, 0), ('t', 2, 'acme', 'w', 3, 4, 0, 600), "
        "('t', 3, 'acme', 'w', 5, 6, 0, 0), ('t', 4, 'acme', 'w', 7, 8, 0, 0)"
    )
    database.run_sync(lambda tx: tx.execute(text(row)) and None)
    database.run_sync(lambda tx: tx.execute(text("UPDATE tasks SET attempt = 4")) and None)
    before = database.read_sync(spending.of_task, "t")
    sweep(database, replace(FOREVER, attempts_days=2))
    assert keys(database, "SELECT number FROM attempts ORDER BY number") == kept
    assert not budget or database.read_sync(spending.of_task, "t") == before


def happen(database: Database, *days_ago: float) -> None:
    for days in days_ago:
        fact = Event(kind="project.created", subject="project/x", at=NOW - days * DAY)
        database.run_sync(events.append, fact)


def test_events_go_by_age_and_the_latest_stays(database: Database) -> None:
    happen(database, 50, 40, 35, 20, 31, 1)
    sweep(database, replace(FOREVER, events_days=30))
    assert keys(database, "SELECT id FROM events ORDER BY id") == [6]
    happen(database, 99)
    sweep(database, replace(FOREVER, events_days=0))
    assert keys(database, "SELECT id FROM events") == [7]


def test_events_go_by_number(database: Database) -> None:
    happen(database, *range(30))
    sweep(database, replace(FOREVER, events_rows=4))
    assert keys(database, "SELECT id FROM events ORDER BY id") == [27, 28, 29, 30]


def test_the_audit_goes_by_age(database: Database) -> None:
    row = "INSERT INTO audit (at, actor, command, subject, outcome) VALUES (:at, 'a', 'c', 's', 'ok')"
    for days in (400, 366, 10):
        database.run_sync(lambda tx, days=days: tx.execute(text(row), {"at": NOW - days * DAY}))
    assert sweep(database, replace(FOREVER, audit_days=365)) == {"audit": 2}


def test_tokens_go_some_time_after_they_ended(database: Database) -> None:
    def token(name: str, **ended: float) -> dict[str, Any]:
        times = {"expires_at": None, "revoked_at": None, **ended}
        return {"id": name, "digest": name, "name": name, "scope": "person", "created_at": 0.0, **times}

    rows = [
        token("holds"),
        token("holds-on", expires_at=NOW + DAY),
        token("just-revoked", revoked_at=NOW - DAY),
        token("revoked", revoked_at=NOW - 31 * DAY),
        token("ran-out", expires_at=NOW - 31 * DAY),
    ]
    database.run_sync(lambda tx: tx.execute(insert(tokens), rows))
    assert sweep(database, replace(FOREVER, tokens_days=30)) == {"tokens": 2}
    assert keys(database, "SELECT id FROM tokens ORDER BY id") == ["holds", "holds-on", "just-revoked"]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ({"revisions_days": 365}, (["a3"], ["b1", "b2"], ["o1"])),
        ({"revisions_kept": 2}, (["a2", "a3"], ["b1", "b2"], ["o1"])),
        ({"revisions_days": 0, "revisions_kept": 0}, (["a3"], ["b2"], ["o1"])),
    ],
)
def test_the_last_good_revision_of_a_profile_stays(database: Database, keep, left) -> None:
    def revision(project: str, profile: str, digest: str, days: float) -> dict[str, Any]:
        key = {"project_id": project, "profile_id": profile, "digest": digest, "content": {}}
        return {**key, "created_at": NOW - days * DAY}

    rows = [
        revision("", "a", "a1", 900),
        revision("", "a", "a2", 800),
        revision("", "a", "a3", 700),
        revision("acme", "a", "o1", 900),
        revision("", "b", "b1", 20),
        revision("", "b", "b2", 10),
    ]
    for row in rows:
        database.run_sync(lambda tx, row=row: tx.execute(insert(profile_revisions), row))
    sweep(database, replace(FOREVER, **keep))
    found: dict[tuple[str, str], list[str]] = {}
    query = "SELECT project_id, profile_id, digest FROM profile_revisions ORDER BY id"
    for project, profile, digest in database.read_sync(lambda tx: tx.execute(text(query)).all()):
        found.setdefault((project, profile), []).append(digest)
    assert (found["", "a"], found["", "b"], found["acme", "a"]) == left


def test_it_is_known_when_tasks_ended_wherever_they_are(database: Database, ask: Ask) -> None:
    tried(database, ask(task_id="archived", now=NOW), said=0, at=NOW + 1)
    database.run_sync(archive.archive, archive.Chosen(ended_by=NOW + 9), now=NOW)
    tried(database, ask(task_id="ended", now=NOW), said=0, at=NOW + 2)
    ask(task_id="waits")
    found = database.read_sync(retention.ended, ["archived", "ended", "waits", "nobody"])
    assert {name: one.at for name, one in found.items()} == {
        "archived": NOW + 1,
        "ended": NOW + 2,
        "waits": None,
    }
    assert {one.project_id for one in found.values()} == {"acme"}
    assert count(database, archived_tasks.name) == 1
