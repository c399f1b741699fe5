"""A worker in a process of its own, to be killed: `worker_process.py <settings as JSON>`."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import ClaudeAdapterConfig, Timers
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store.database import open_database
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop


async def work(given: dict[str, object]) -> None:
    stop = Stop()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    base = ClaudeAdapterConfig(cli_path=str(given["cli"]), timers=Timers(start=15, stall=15, drain=5))
    with open_database(str(given["url"])) as database:
        worker = Worker(
            config=WorkerConfig(home=Path(str(given["home"])), **given["worker"]),  # type: ignore[arg-type]
            database=database,
            registry=PlatformRegistry(base=base, adapter=ClaudeAdapter()),
        )
        print("ready", flush=True)
        await worker.run(stop)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
