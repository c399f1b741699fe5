"""Things that happen to workers and databases: each a scene that ends with what was found to be wrong."""

import contextlib
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import psutil

from databases import own_server
from faults.storm import TIMES, Storm, Victim, left_over, until
from orchestrator.store import tasks
from orchestrator.store.engines import SILENCE

SHORT = {"lease_seconds": 1.5, "heartbeat_seconds": 0.3, "poll_seconds": 0.3}
"""Leases that run out while a scene lasts."""


class Server:
    """A PostgreSQL server that is killed and started again."""

    def __init__(self, place: Path) -> None:
        _, package = own_server()
        self._place = place
        self._server = package.get_server(place, cleanup_mode="delete")
        self.url = self._server.get_uri()

    def kill(self) -> None:
        """The server and all its processes, as when a machine loses its power."""
        pid = self._server.get_pid()
        assert pid is not None
        processes = [psutil.Process(pid), *psutil.Process(pid).children()]
        for one in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(processes, timeout=0.5)
        # Nobody may have waited for the dead, and then its number looks as if it lived.
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self._place / name).unlink(missing_ok=True)

    def start(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                return self._server.ensure_postgres_running()
            except subprocess.SubprocessError:  # it goes through what was written, and takes its time
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        self._server.cleanup()


class Proxy:
    """Stands between a worker and PostgreSQL on loopback, and cuts connections: at once, or in the moment in
    which a commit has been sent and not been answered."""

    def __init__(self, url: str, *, host: str = "127.0.0.1") -> None:
        parts = urlsplit(url)
        self._path = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._listening = socket.create_server((host, 0))
        port = self._listening.getsockname()[1]
        self.url = f"postgresql://{parts.username}@{host}:{port}{parts.path}"
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._cut_next_commit = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)

    def cut_next_commit(self) -> None:
        self._cut_next_commit = True

    def close(self) -> None:
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                _notices_silence(client)
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._path)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._pairs.add((client, server))
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, asking: bool) -> None:
        pair = (source, target) if asking else (target, source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if asking and self._cut_next_commit and b"COMMIT" in data:
                    self._cut_next_commit = False
                    break
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
            self.cuts += 1
        for one in pair:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _notices_silence(client: socket.socket) -> None:
    """As PostgreSQL is asked to, which cannot see through this proxy that the other side has gone."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (
        (socket.TCP_KEEPIDLE, SILENCE["keepalives_idle"]),
        (socket.TCP_KEEPINTVL, SILENCE["keepalives_interval"]),
        (socket.TCP_KEEPCNT, SILENCE["keepalives_count"]),
        (socket.TCP_USER_TIMEOUT, SILENCE["tcp_user_timeout"]),
    ):
        client.setsockopt(socket.IPPROTO_TCP, option, seconds)


@contextmanager
def at_work(storm: Storm, **worker: object) -> Iterator[list[Victim]]:
    """Workers in every seat, stopped in order at the end."""
    seats = [storm.nursery.fork(**worker) for _ in range(storm.seats)]
    yield seats
    for one in seats:
        one.send(signal.SIGTERM)
    assert all(one.gone(30) for one in seats)


def server_is_killed(storm: Storm, server: Server, *, times: int) -> list[str]:
    """PostgreSQL is killed and comes back, while agents go on."""
    storm.begin()
    with at_work(storm):
        for _ in range(times):
            storm.feed()
            storm.goes_on()
            known = storm.said("heartbeat.failed")
            server.kill()
            until(lambda known=known: storm.said("heartbeat.failed") > known, 30)
            server.start()
        return storm.finish()


def connections_are_cut(storm: Storm, proxy: Proxy, *, times: int) -> list[str]:
    """Every connection at once, and one in the middle of a commit, in turns."""
    storm.begin()
    with at_work(storm, **SHORT):
        for number in range(times):
            storm.feed()
            storm.goes_on()
            proxy.cut() if number % 2 else proxy.cut_next_commit()
        return storm.finish()


def workers_sleep(storm: Storm, *, times: int) -> list[str]:
    """A worker is stopped for longer than its lease, and wakes."""
    storm.begin()
    random = Random(storm.seed)
    with at_work(storm, **SHORT) as seats:
        for _ in range(times):
            one = random.choice(seats)
            until(partial(_stopped_with_a_claim, storm, one), 60)
            until(lambda one=one: storm.leases(one) == 0, 30)
            one.send(signal.SIGCONT)
        return storm.finish()


def _stopped_with_a_claim(storm: Storm, one: Victim) -> bool:
    storm.feed()  # the others work on, and would leave nothing for this one
    one.send(signal.SIGSTOP)
    if storm.leases(one):
        return True
    one.send(signal.SIGCONT)
    return False


def clocks_are_wrong(storm: Storm, *, times: int) -> list[str]:
    """The wall clock of a worker is an hour ahead, another's an hour behind."""
    storm.begin()
    seats = [storm.nursery.fork(clock_ahead=ahead, **SHORT) for ahead in (3600.0, -3600.0, 0.0)]
    late = storm.ask("api_error=529", anyhow=True)
    for _ in range(times):
        storm.feed()
        storm.goes_on()
    found = storm.finish()
    for one in seats:
        one.send(signal.SIGTERM)
    assert all(one.gone(30) for one in seats)
    task = storm.database.read_sync(tasks.get, late)
    again = task.run_at if task else None
    wrong = again is None or abs(again - time.time()) > 120
    return [*found, f"task {late} is to run again at {again}"] if wrong else found


def disk_is_full(storm: Storm, *, times: int) -> list[str]:
    """No file of a worker may grow for a while: SQLite's log, the attempts' directories."""
    storm.begin()
    with at_work(storm) as seats:
        for _ in range(times):
            storm.feed()
            storm.goes_on()
            for one in seats:
                resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            until(lambda: storm.silence() > 2 * TIMES["heartbeat_seconds"], 30)
            for one in seats:
                unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(one.pid, resource.RLIMIT_FSIZE, unlimited)
        return storm.finish()


HOSTILE = {
    "never ends": ("hang", "hung"),
    "never ends, hears and heeds nothing": ("ignore_term;ignore_interrupt;deaf;say=x", "hung"),
    "floods stdout": ("flood_stdout=30000000;result=whole", "completed"),
    "floods stderr": ("flood_stderr=30000000;result=whole", "completed"),
    "forks in a session of its own": ("daemon=98765;child=98765;result=whole", "completed"),
    "closes stdout and lives on": ("close_stdout", "hung"),
    "eats memory": ("eat=300;result=whole", "completed"),
    "prints a result and hangs": ("result=whole;hang_after_result", "completed"),
    "exits 0 without a result": ("no_result", "crashed"),
    "fills the checkout": ("fill=1024;result=whole", "completed"),
}
"""What an agent does, and how its attempt ends."""


def agents_are_hostile(storm: Storm, **_: object) -> list[str]:
    """Agents that misbehave in every way that is known; each has one try and six seconds."""
    storm.begin()
    with at_work(storm):
        once = {"anyhow": True, "timeout_seconds": 6.0, "max_attempts": 1}
        asked = {storm.ask(script, **once): (what, outcome) for what, (script, outcome) in HOSTILE.items()}
        found = {task_id: storm.first_outcome(task_id, seconds=60) for task_id in asked}
    wrong = [
        f"an agent that {what}: {found[task_id]}, not {outcome}"
        for task_id, (what, outcome) in asked.items()
        if found[task_id] != outcome
    ]
    return wrong + left_over(storm.prefix)
