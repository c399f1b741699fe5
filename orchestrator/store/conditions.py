"""Conditions on tasks and attempts that partial indexes are made for; queries repeat their very words."""

from typing import Final

STARTABLE: Final = "state = 'READY' AND hold IS NULL AND run_at IS NULL"
"""Nothing that is known of the task itself keeps it from starting."""

CLAIMABLE: Final = f"{STARTABLE} AND requires IS NULL"
"""What a worker may take now. Queries repeat these very words, with literals and not parameters, or
neither planner uses the index. `docs/database.md` says who clears `run_at` and `hold`."""

DEMANDING: Final = f"{STARTABLE} AND requires IS NOT NULL"
"""The same for what only workers with certain labels may take."""

CLAIMED: Final = "lease_until IS NOT NULL"
"""A worker has it."""

WAITING: Final = (
    "run_at IS NOT NULL AND state NOT IN "
    "('ASSIGNED', 'BLOCKED', 'CANCELLED', 'COMPLETED', 'FAILED', 'IN_PROGRESS', 'WAITING_INPUT')"
)
"""Its time has not come. Said by the states that do not wait: given the others, SQLite goes through all READY
tasks by `tasks_by_state` instead."""

HELD: Final = "hold IS NOT NULL"
"""Something other than time keeps it from starting; only READY tasks are held."""

ASKED: Final = "answer_by IS NOT NULL"
"""An agent asked, and an answer is waited for until then. By state, SQLite would take `tasks_by_state`."""

OF_SCHEDULE: Final = "schedule_id IS NOT NULL AND finished_at IS NULL"
"""A schedule made it, and it has not ended."""

UNMEASURED: Final = "ended_at IS NOT NULL AND message_bytes IS NULL"
"""Of attempts: retention has not looked yet how much its messages take."""

WITH_MESSAGES: Final = "message_bytes > 0"
"""Of attempts: there are messages to be taken away."""
