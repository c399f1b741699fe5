"""A worker whose loop hangs while its heart beats is found out."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import text

from orchestrator.api import health
from orchestrator.commands.use import Host, Use


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_turn_that_does_not_end_is_told_while_the_heart_beats(
    lab, open_again, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn waits for a row that somebody has locked and does not let go."""
    monkeypatch.setattr(health, "STUCK_SECONDS", 1.0)
    lab.project(max_concurrent=1)
    locked, let_go = threading.Event(), threading.Event()

    def keep(tx) -> None:
        tx.execute(text("SELECT id FROM projects FOR NO KEY UPDATE"))
        locked.set()
        let_go.wait(30)

    thread = threading.Thread(target=open_again().run_sync, args=(keep,))
    host = Host(home=lab.home, vault=lab.vault, database="")
    use = Use(database=lab.database, sync=None, host=host, clock=time.time, random=lambda: 1)

    async def worker_says(wanted: str | None) -> None:
        async with asyncio.timeout(20):
            while not fits(wanted, await problem()):
                pass

    def fits(wanted: str | None, said: str | None) -> bool:
        return said is None if wanted is None else wanted in (said or "")

    async def problem() -> str | None:
        return (await health.parts(use, with_worker=True))[-1].problem

    async def work() -> None:
        async with lab.working():
            await worker_says(None)
            thread.start()
            await asyncio.to_thread(locked.wait, 10)
            task_id = lab.ask()
            await worker_says("its heartbeat goes on, but its loop has come to nothing")
            let_go.set()
            await lab.until(lambda: lab.recorded(task_id))
            await worker_says(None)

    try:
        asyncio.run(work())
    finally:
        let_go.set()
        if thread.ident:
            thread.join(10)
