"""Beside the peers on the same machine, in one run: throughput, wake-up, idle cost and memory.

    python bench/peers.py [--short] [--backlogs 0 100000 1000000] [--workers 1 4] [--only sqlite]

procrastinate and pgqueuer on the same PostgreSQL server as ours, huey on SQLite; `make peers` installs them
into an environment of their own. Each is used as its documentation recommends for throughput, see
`peer_<name>.py`; ours runs 1,000 at once. Throughput is of tasks that do nothing, in the order tasks are
taken, counted in all workers together after a fifth of them, so that neither the start nor what is under
way at the end counts. Wake-up is from the commit in another process to the beginning of the task in an idle
worker, beside a backlog whose time has not come; idle cost and memory are of that worker, and of
PostgreSQL's server with all its processes.
"""

import argparse
import contextlib
import os
import select
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import backlog
import psycopg
from idle import cpu_seconds, mebibytes
from machine import describe

HERE = Path(__file__).parent
PEERS = HERE.parent / ".tools" / "peers" / "bin" / "python"
OURS = "ours"
CONTESTANTS = {
    "postgresql": (OURS, "pgqueuer", "pgqueuer_default", "procrastinate"),
    "sqlite": (OURS, "huey"),
}
START_SECONDS = 60.0
WARM_ROUNDS = 10
TELL_SECONDS = 0.05
PAUSE_SECONDS = 0.02
"""Between two wake-ups, so that the worker is idle again."""
WAKING_SECONDS = 60.0
"""For one figure of the wake-up; who takes seconds for each has fewer rounds."""
SETTLE_SECONDS = 2.0
NEVER_SECONDS = 30.0
NEVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Size:
    tasks: int
    """Ahead of the backlog, for each number of workers."""
    seconds: float
    """A slow one is measured for that long."""
    rounds: int
    idle_seconds: float


@dataclass(frozen=True)
class Row:
    """A line of the table; `more` says whether more is better."""

    database: str
    what: str
    unit: str
    more: bool
    figures: dict[str, float] = field(default_factory=dict)


def program(name: str) -> list[str]:
    python = sys.executable if name == OURS else str(PEERS)
    return [python, str(HERE / f"peer_{name}.py")]


@contextlib.contextmanager
def started(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A worker or a writer that is ready to begin."""
    process = subprocess.Popen(
        [*program(name), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{name} did not start: {' '.join(process.args)}")  # type: ignore[arg-type]  # a list
        yield process
    finally:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def throughput(name: str, url: str, *, workers: int, size: Size, runs_out: bool) -> float:
    with contextlib.ExitStack() as stack:
        settled = _settled(stack.enter_context(started(name, "watch", url)))
        running = [stack.enter_context(started(name, "work", url, "count")) for _ in range(workers)]
        before, _ = settled()
        for process in running:
            go(process)
        return _rate(_begun(running), settled, before, size, runs_out=runs_out)


def _settled(watcher: subprocess.Popen[str]) -> Callable[[], tuple[int, float]]:
    """How much is settled in the database, as a number that grows, and when that was."""

    def ask() -> tuple[int, float]:
        go(watcher)
        assert watcher.stdout is not None
        count, at = watcher.stdout.readline().split()
        return int(count), float(at)

    return ask


def _begun(running: list[subprocess.Popen[str]]) -> Iterator[int]:
    """How many tasks have begun in all workers, again and again."""
    counts = dict.fromkeys(range(len(running)), 0)
    with selectors.DefaultSelector() as selector:
        for number, process in enumerate(running):
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ, number)
        while True:
            for key, _ in selector.select(timeout=TELL_SECONDS):
                if not (line := key.fileobj.readline()):  # type: ignore[union-attr]  # a pipe
                    raise SystemExit("a worker ended")
                counts[key.data] = int(line)
            yield sum(counts.values())


def _rate(
    begun: Iterator[int],
    settled: Callable[[], tuple[int, float]],
    before: int,
    size: Size,
    *,
    runs_out: bool,
) -> float:
    """Settled a second, from a fifth of the tasks, or of the time, on; until the time is over or so many have
    begun, and before a queue of nothing else has run out only when these are settled, too."""
    start = time.monotonic()
    count = next(one for one in begun if one or time.monotonic() > start + START_SECONDS)
    start = time.monotonic()
    while count < size.tasks / 5 and time.monotonic() < start + size.seconds / 5:
        count = next(begun)
    first = settled()
    while True:
        count = next(begun)
        over = time.monotonic() >= start + size.seconds
        if over or count >= size.tasks:
            last = settled()
            if over or not runs_out or last[0] - before >= size.tasks:
                return (last[0] - first[0]) / (last[1] - first[1])


def waking(
    name: str, url: str, size: Size, server: Callable[[], float] | None
) -> tuple[list[float], dict[str, float]]:
    """Milliseconds, sorted; and what idling costs."""
    with started(name, "work", url, "each") as worker, started(name, "write", url) as writer:
        go(worker)
        time.sleep(SETTLE_SECONDS)
        found: list[float] = []
        enough = time.monotonic() + WAKING_SECONDS
        for number in range(size.rounds + WARM_ROUNDS):
            if found and time.monotonic() > enough:
                break
            go(writer)
            committed, at = _moment(writer), _moment(worker)
            if at == NEVER:  # procrastinate was seen to sleep on with a million jobs scheduled
                found = [NEVER]
                break
            if number >= WARM_ROUNDS:
                found.append(1000 * (at - committed))
            time.sleep(PAUSE_SECONDS)
        time.sleep(SETTLE_SECONDS)
        began = time.monotonic(), cpu_seconds(worker.pid), server() if server else 0.0
        time.sleep(size.idle_seconds)
        elapsed = time.monotonic() - began[0]
        idle = {
            "worker's idle CPU": 100 * (cpu_seconds(worker.pid) - began[1]) / elapsed,
            "worker's memory": mebibytes(worker.pid, "Rss"),
        }
        if server:
            idle["server's idle CPU"] = 100 * (server() - began[2]) / elapsed
    return sorted(found), idle


def _moment(process: subprocess.Popen[str]) -> float:
    """What it tells next; `NEVER` when it tells nothing for long."""
    assert process.stdout is not None
    heard, _, _ = select.select([process.stdout], [], [], NEVER_SECONDS)
    return float(process.stdout.readline()) if heard else NEVER


def server_cpu(uri: str) -> Callable[[], float]:
    """CPU seconds of the server: the first process, those it has, and those it had."""
    with psycopg.connect(uri) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    postmaster = int((Path(row[0]) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    tick = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat.parent.name) == postmaster:
                total += sum(int(one) for one in fields[11:15])  # its own, and of those it waited for
            elif int(fields[1]) == postmaster:
                total += int(fields[11]) + int(fields[12])
        return total / tick

    return seconds


@contextlib.contextmanager
def prepared(
    kind: str, server: str | None, name: str, *, ahead: int, waiting: int, later: bool
) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrator-bench-"))
            url = f"sqlite:///{place}/bench.db" if name == OURS else f"{place}/bench.db"
        else:
            url = stack.enter_context(backlog.empty(server or ""))
        arguments = ["prepare", url, str(ahead), str(waiting), *(["later"] if later else [])]
        subprocess.run([*program(name), *arguments], check=True, stdout=subprocess.DEVNULL)
        yield url


def measure(kind: str, server: str | None, given: argparse.Namespace, size: Size) -> Iterator[Row]:
    for waiting in given.backlogs:
        rows = {n: Row(kind, f"{waiting:,} waiting, {n} workers", "tasks/s", True) for n in given.workers}
        for name in CONTESTANTS[kind]:
            ahead = size.tasks * len(rows)
            with prepared(kind, server, name, ahead=ahead, waiting=waiting, later=False) as url:
                for workers, row in rows.items():
                    row.figures[name] = throughput(
                        name, url, workers=workers, size=size, runs_out=not waiting
                    )
        yield from rows.values()
    cpu = server_cpu(server) if server else None
    for waiting in given.wakes:
        halves = [Row(kind, f"{waiting:,} waiting, wake {p}", "ms", False) for p in ("p50", "p99")]
        costs: dict[str, Row] = {}
        for name in CONTESTANTS[kind]:
            with prepared(kind, server, name, ahead=0, waiting=waiting, later=True) as url:
                found, idle = waking(name, url, size, cpu)
            halves[0].figures[name] = found[len(found) // 2]
            halves[1].figures[name] = found[int(len(found) * 0.99)]
            for what, figure in idle.items():
                unit = "MiB" if "memory" in what else "% core"
                row = costs.setdefault(what, Row(kind, f"{waiting:,} waiting, {what}", unit, False))
                row.figures[name] = figure
        yield from (*halves, *costs.values())


def show(row: Row) -> None:
    peers = {name: figure for name, figure in row.figures.items() if name != OURS}
    best = (max if row.more else min)(peers, key=lambda name: peers[name])
    ours, theirs = row.figures[OURS], peers[best]
    ahead = ours >= theirs if row.more else ours <= theirs
    ratio = (ours / theirs if row.more else theirs / ours) if ours and theirs else float("nan")
    form = ",.0f" if row.more or row.unit == "MiB" else ".2f"
    others = ", ".join(f"{name} {figure:{form}}" for name, figure in peers.items() if name != best)
    print(
        f"{row.database:10} {row.what:38} {row.unit:7} {ours:>9{form}} {theirs:>9{form}} {best:13} "
        f"{ratio:>5.1f} {'ahead' if ahead else 'BEHIND':6} {others}",
        flush=True,
    )


def versions() -> str:
    code = (
        "from importlib.metadata import version as v;"
        "print(', '.join(f'{n} {v(n)}' for n in ('pgqueuer', 'asyncpg', 'procrastinate', 'huey')))"
    )
    return subprocess.run([PEERS, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="about three minutes; backlogs of 0 and 20,000")
    parser.add_argument("--tasks", type=int, help="tasks for each figure of throughput")
    parser.add_argument("--seconds", type=float, help="the longest that one such figure takes")
    parser.add_argument("--rounds", type=int, help="wake-ups for each figure")
    parser.add_argument("--idle", type=float, help="seconds over which idling is measured")
    parser.add_argument("--backlogs", type=int, nargs="*", help="for throughput")
    parser.add_argument("--wakes", type=int, nargs="*", help="backlogs for the wake-up")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--only", choices=CONTESTANTS)
    given = parser.parse_args()
    usual = (16_000, 4.0, 40, 4.0, [0, 20_000], [0, 20_000]) if given.short else _FULL
    for name, value in zip(("tasks", "seconds", "rounds", "idle", "backlogs", "wakes"), usual, strict=True):
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


_FULL = (100_000, 15.0, 300, 20.0, [0, 100_000, 1_000_000], [0, 1_000_000])


def main() -> None:
    given = options()
    if not PEERS.exists():
        sys.exit("The peers are not installed: run `make peers`, which needs a package registry.")
    size = Size(tasks=given.tasks, seconds=given.seconds, rounds=given.rounds, idle_seconds=given.idle)
    print(describe("psycopg"))
    print(f"{versions()}\n")
    print(f"{'database':10} {'what':38} {'unit':7} {'ours':>9} {'best peer':23} {'ratio':>5}")
    with contextlib.ExitStack() as stack:
        for kind in [given.only] if given.only else CONTESTANTS:
            server = stack.enter_context(backlog.postgres()) if kind == "postgresql" else None
            for row in measure(kind, server, given, size):
                show(row)


if __name__ == "__main__":
    main()
