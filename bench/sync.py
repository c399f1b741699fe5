"""How long a look at a vault of many profiles takes: `python bench/sync.py [profiles]`."""

import asyncio
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import structlog
from machine import describe

from orchestrator.store.database import open_database
from orchestrator.vault.sync import SyncReport, VaultSync

ROUNDS = 7
TARGETS = {"first sync": 10.0, "start-up, nothing changed": 0.5, "nothing changed": 0.5, "one changed": 0.2}


def profile(number: int, rules: str = "Be careful.") -> str:
    config = json.dumps({"max_turns": 10 + number % 90})
    tools = json.dumps({"allowed": ["Read", "Grep", "Glob", "mcp__linter__run"], "denied": ["WebFetch"]})
    return (
        f"---\nid: agent-{number}\nname: Agent {number}\ndescription: One of many\ntags: [bench]\n---\n\n"
        f"# Agent {number}\n\n## Role\nYou are agent {number}.\n\n## Config\n```json\n{config}\n```\n\n"
        f"## Tools\n```json\n{tools}\n```\n\n## Rules\n- {rules}\n"
    )


def write_vault(root: Path, count: int) -> None:
    for number in range(count):
        place = root / "agent-types" / f"agent-{number}"
        place.mkdir(parents=True)
        (place / "profile.md").write_text(profile(number))
    # As if written earlier: a file of this very moment is read again to be sure.
    earlier = time.time() - 60
    for path in root.rglob("profile.md"):
        os.utime(path, (earlier, earlier))


async def timed(sync: VaultSync) -> tuple[float, SyncReport]:
    started = time.perf_counter()
    report = await sync.run_once()
    return time.perf_counter() - started, report


async def measure(root: Path, url: str, count: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    with open_database(url) as database:
        sync = VaultSync(root, database)
        figures["first sync"], report = await timed(sync)
        assert len(report.accepted) == count, report.rejected
        await asyncio.sleep(2.1)
        figures["start-up, nothing changed"], report = await timed(VaultSync(root, database))
        assert report.unchanged == count
        await sync.run_once()
        unchanged = [await timed(sync) for _ in range(ROUNDS)]
        figures["nothing changed"] = statistics.median(seconds for seconds, _ in unchanged)
        changed = []
        for turn in range(ROUNDS):
            path = root / "agent-types" / f"agent-{turn}" / "profile.md"
            path.write_text(profile(turn, rules=f"Turn {turn}."))
            seconds, report = await timed(sync)
            assert len(report.accepted) == 1
            changed.append(seconds)
        figures["one changed"] = statistics.median(changed)
    return figures


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "vault"
        write_vault(root, count)
        figures = asyncio.run(measure(root, f"sqlite:///{name}/bench.db", count))
    print(describe("pyyaml"))
    print(f"{count} profiles")
    for name, seconds in figures.items():
        verdict = "ok" if seconds < TARGETS[name] else "MISSED"
        print(f"{name:28} {seconds:8.3f} s   target {TARGETS[name]:4.1f} s   {verdict}")
    return 0 if all(seconds < TARGETS[name] for name, seconds in figures.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
