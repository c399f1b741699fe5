"""A question that nobody answers: whichever worker is there ends its task."""

import asyncio

from sqlalchemy import text

from orchestrator.domain.task import TaskState


def test_a_worker_ends_what_another_hosts_agent_asked_in_vain(sqlite_lab) -> None:
    lab = sqlite_lab
    task_id = lab.ask()
    waiting = text(
        "UPDATE tasks SET state = 'WAITING_INPUT', attempt = 1, result = 'Which?', answer_by = 5 "
        f"WHERE id = '{task_id}'"
    )
    lab.database.run_sync(lambda tx: tx.execute(waiting) and None)

    async def work() -> None:
        async with lab.working(lease_seconds=3.0, heartbeat_seconds=0.5):
            await lab.until(lambda: lab.task(task_id).state is TaskState.FAILED)

    asyncio.run(work())
    assert lab.attempts(task_id) == [], "this worker never ran it"
