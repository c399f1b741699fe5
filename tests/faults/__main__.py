"""The long form of the fault runs: `python -m faults --kills 1000`, or `make faults KILLS=1000`.

Half of the kills hit three workers on PostgreSQL, and half one worker on SQLite. What happens under the other
faults is a row each. Prints a table as it goes, and ends with 1 when anything was lost, doubled or left over.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from faults import weather, wire
from faults.storm import Found, Nursery, Storm
from orchestrator.store.database import open_database

AGENT = Path(__file__).parents[1] / "fakes" / "agent.py"
COLUMNS = "| run | kills | tasks | attempts lost | seconds | lost, doubled, left over, beyond a limit |"


def executable(place: Path) -> str:
    """The fake agent, as a program that needs no PATH."""
    path = place / "claude"
    _, _, rest = AGENT.read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


Scene = Callable[..., list[str]]


class Runs:
    """Each in a database and a directory of its own, told in a row of the table."""

    def __init__(self, root: Path, *, seed: int, times: int) -> None:
        self._root, self._seed, self._times = root, seed, times
        self._number = 0
        self.faults = 0

    def kills(self, name: str, url: str | None, *, kills: int, seats: int) -> None:
        with self._storm(url, seats) as storm:
            self._tell(name, storm.rage(kills, pause=0.5))

    def scene(
        self,
        name: str,
        url: str | None,
        scene: Scene,
        *with_: object,
        seats: int = 3,
        inside: Sequence[str] = (),
    ) -> None:
        with self._storm(url, seats, inside) as storm:
            begun = time.monotonic()
            self._tell(name, storm.found(0, begun, scene(storm, *with_, times=self._times)))

    @contextmanager
    def _storm(self, url: str | None, seats: int, inside: Sequence[str] = ()) -> Iterator[Storm]:
        self._number += 1
        place = self._root / str(self._number)
        place.mkdir()
        address = url or f"sqlite:///{place / 'orchestrator.db'}"
        cli = executable(place)
        nursery = Nursery(address, place / "home", cli, inside=inside)
        with open_database(address, migrate=True) as database, nursery as made:
            yield Storm(database=database, nursery=made, seats=seats, limit=seats + 1, seed=self._seed)

    def _tell(self, name: str, found: Found) -> None:
        what = "; ".join(found.faults[:5]) or "0"
        cells = (name, found.kills or "", found.tasks, found.lost_attempts, f"{found.seconds:.0f}", what)
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        self.faults += len(found.faults)


@contextmanager
def server(root: Path, name: str) -> Iterator[weather.Server]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime directory it does not need
        made = weather.Server(root / name)
    try:
        yield made
    finally:
        made.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--times", type=int, default=10, help="How often each of the other faults happens.")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    uname = platform.uname()
    print(
        f"{uname.system} {uname.release}, {os.cpu_count()} cores, Python {platform.python_version()}", end=""
    )
    print(f", seed {given.seed}\n\n{COLUMNS}\n|{'---|' * 6}", flush=True)
    # Not below the home: root runs the server as another user, who may not go there.
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o755)
        runs = Runs(root, seed=given.seed, times=given.times)
        half = given.kills // 2
        with server(root, "kills") as there:
            runs.kills("kill -9, PostgreSQL, 3 workers", there.url, kills=given.kills - half, seats=3)
        runs.kills("kill -9, SQLite, 1 worker", None, kills=half, seats=1)
        for scene in (weather.workers_sleep, weather.clocks_are_wrong):
            with server(root, scene.__name__) as there:
                runs.scene(f"{said(scene)}, PostgreSQL", there.url, scene)
        with server(root, "killed") as there:
            runs.scene("PostgreSQL is killed and comes back", there.url, weather.server_is_killed, there)
        with server(root, "cut") as there:
            proxy = weather.Proxy(there.url)
            runs.scene("connections are cut", proxy.url, weather.connections_are_cut, proxy)
            proxy.close()
        if wire.can_be_laid():
            with server(root, "apart") as there, closing(wire.Wire()) as line:
                proxy = weather.Proxy(there.url, host=line.host)
                scene, inside = wire.networks_are_separated, line.inside
                runs.scene(said(scene), proxy.url, scene, line, there.url, inside=inside)
                proxy.close()
        else:
            print("| networks are separated | not run: networks of their own need root, and iproute2 |||||")
        runs.scene("disk is full, SQLite, 1 worker", None, weather.disk_is_full, seats=1)
        runs.scene("agents are hostile, SQLite, 1 worker", None, weather.agents_are_hostile, seats=1)
    return 1 if runs.faults else 0


def said(scene: Scene) -> str:
    return scene.__name__.replace("_", " ")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
