"""The duty of schedules in a process of its own, to be killed: `schedule_process.py <url> <home>`."""

import asyncio
import secrets
import sys
import time
from pathlib import Path

from orchestrator.commands.ids import new_id
from orchestrator.store.database import open_database
from orchestrator.worker.schedules import Schedules


async def work(url: str, home: str) -> None:
    with open_database(url) as database:
        schedules = Schedules(
            database=database,
            holder=secrets.token_hex(4),
            home=Path(home),
            new_id=lambda: new_id(time.time(), secrets.randbits(40)),
        )
        print("ready", flush=True)
        await schedules.keep()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
