"""How soon an edit of the vault is in the database: `python bench/watch.py [profiles] [edits]`.

Quietly, and while 500 files a second change elsewhere in the tree; edits as editors make them: in place, by
a rename over the file, by deleting and creating it.
"""

import asyncio
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import describe
from sync import profile, write_vault

from orchestrator.store import profiles
from orchestrator.store.database import Database, open_database
from orchestrator.vault.sync import VaultSync
from orchestrator.vault.watch import keep_in_step

CHURN = 500
"""Files a second."""
BOUND = 30.0
TARGETS = {"p50": 0.2, "worst": 1.0}


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    other = path.with_name(".profile.md.swp")
    other.write_text(text)
    other.replace(path)


def delete_and_create(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


WAYS = itertools.cycle((in_place, rename_over, delete_and_create))


def churn(root: str) -> None:
    """Write, replace and delete files that are no documents, at a steady rate, until ended."""
    place = Path(root) / "notes"
    place.mkdir(exist_ok=True)
    began = time.monotonic()
    for number in itertools.count():
        path = place / f"note-{number % 200}.txt"
        path.write_text(str(number))
        if number % 5 == 0:
            path.unlink()
        ahead = began + number / CHURN - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


@contextmanager
def churning(root: Path) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=churn, args=(str(root),))
    process.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        process.kill()
        process.join()


async def edits(database: Database, root: Path, count: int, edit_of: int) -> list[float]:
    """Seconds from each edit to its being in the database."""
    path = root / "agent-types" / f"agent-{edit_of}" / "profile.md"
    taken = []
    for number in range(count):
        wanted = f"Edit {number} of {time.time()}."
        way = next(WAYS)
        began = time.perf_counter()
        way(path, profile(edit_of, wanted))
        while True:
            found = await database.read(profiles.get_profile, f"agent-{edit_of}")
            if found is not None and wanted in (found.system_prompt_suffix or ""):
                break
            if time.perf_counter() - began > BOUND:
                sys.exit(f"{way.__name__}: not seen within {BOUND:.0f} s")
            await asyncio.sleep(0.002)
        taken.append(time.perf_counter() - began)
        # Not in step with the watcher's own beat.
        await asyncio.sleep(0.1 + (number * 37 % 100) / 1000)
    return taken


async def measure(root: Path, url: str, count: int) -> dict[str, list[float]]:
    figures = {}
    with open_database(url) as database:
        sync = VaultSync(root, database)
        await sync.run_once()
        # The scan is left out: what is measured is the watch.
        keeping = asyncio.create_task(keep_in_step(sync.run_once, root, scan_seconds=3600.0))
        await asyncio.sleep(2.5)
        try:
            figures["quiet"] = await edits(database, root, count, 0)
            with churning(root):
                figures[f"{CHURN} changes/s elsewhere"] = await edits(database, root, count, 0)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
    return figures


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "vault"
        write_vault(root, many)
        figures = asyncio.run(measure(root, f"sqlite:///{directory}/bench.db", count))
    print(f"{describe('watchfiles')}; {many} profiles, {count} edits each")
    for name, taken in figures.items():
        p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        held = p50 < TARGETS["p50"] and max(taken) < TARGETS["worst"]
        print(
            f"{name:28} p50 {p50 * 1000:5.0f} ms   p99 {p99 * 1000:5.0f} ms   "
            f"worst {max(taken) * 1000:5.0f} ms   {'held' if held else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
