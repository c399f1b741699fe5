"""One contestant's process, as `peers.py` talks to it: prepared databases, workers and writers.

Every contestant is a script of its own, run by the Python that has its packages:

    peer_<name>.py prepare URL AHEAD BACKLOG [later]   an empty database gets its tables and tasks
    peer_<name>.py work URL count|each                 a worker: its own loop, a task that does nothing
    peer_<name>.py write URL                           a task for each line on stdin, committed one by one
    peer_<name>.py watch URL                           how much is settled, for each line on stdin

`later` gives the backlog a time that does not come. A worker says "ready", begins at the next line on
stdin, and then tells how many it has begun, or, with `each`, when each began. Times are
CLOCK_MONOTONIC, which the processes of one machine share. Only the standard library: this is loaded by
every contestant.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

TELL_SECONDS = 0.02


class Contestant(Protocol):
    """What a script provides; `work` calls `begun` from its task and never returns."""

    def prepare(self, url: str, *, ahead: int, backlog: int, later: bool) -> None: ...

    def work(self, url: str, begun: Callable[[], None]) -> None: ...

    def writer(self, url: str) -> Callable[[], None]: ...

    def watcher(self, url: str) -> Callable[[], int]:
        """A number from the database that grows by one with each task that is settled."""


def main(contestant: Contestant) -> None:
    logging.disable(logging.WARNING)
    verb, url, *rest = sys.argv[1:]
    if verb == "prepare":
        contestant.prepare(url, ahead=int(rest[0]), backlog=int(rest[1]), later="later" in rest)
    elif verb == "work":
        say("ready")
        sys.stdin.readline()
        contestant.work(url, _each if rest == ["each"] else _Counter().begun)
    elif verb == "write":
        write = contestant.writer(url)
        say("ready")
        for _ in sys.stdin:
            write()
            say(time.monotonic())
    else:
        settled = contestant.watcher(url)
        say("ready")
        for _ in sys.stdin:
            at = time.monotonic()
            say(settled(), at)


def say(*words: object) -> None:
    print(*words, flush=True)


def _each() -> None:
    say(time.monotonic())


class _Counter:
    def __init__(self) -> None:
        self._count = 0
        threading.Thread(target=self._tell, daemon=True).start()

    def begun(self) -> None:
        self._count += 1

    def _tell(self) -> None:
        told = 0
        while True:
            time.sleep(TELL_SECONDS)
            if self._count != told:
                told = self._count
                say(told)
