"""Workers in processes of their own, to be killed.

`worker_process.py <settings as JSON>` is one. Without an argument it is a nursery: it loads everything once,
and for each line of settings on its input it forks a worker and answers with its process id. A forked worker
begins after milliseconds, where a fresh one takes most of a second.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator import logs
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import ClaudeAdapterConfig, Timers
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store import wake_postgres  # noqa: F401 - loaded before the fork, and not after each
from orchestrator.store.database import open_database
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop


async def work(given: dict[str, Any]) -> None:
    logs.configure(style="json", stream=sys.stdout)
    stop = Stop()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    base = ClaudeAdapterConfig(cli_path=str(given["cli"]), timers=Timers(start=15, stall=15, drain=5))
    ahead = float(given.get("clock_ahead") or 0.0)
    with open_database(str(given["url"])) as database:
        worker = Worker(
            config=WorkerConfig(home=Path(str(given["home"])), **given["worker"]),
            database=database,
            registry=PlatformRegistry(base=base, adapter=ClaudeAdapter()),
            clock=lambda: time.time() + ahead,
            secrets=given.get("secrets"),
        )
        with contextlib.suppress(OSError):
            print("ready", flush=True)
        await worker.run(stop)


def nursery() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries those that were killed
    for line in sys.stdin:
        given = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(given["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for number in (1, 2):
                os.dup2(log, number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            asyncio.run(work(given))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(work(json.loads(sys.argv[1])))
    else:
        nursery()
