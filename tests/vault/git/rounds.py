"""Two clones of one bare repository, edited on both sides at once, with kill -9 in between.

`python tests/vault/git/rounds.py --rounds 200` prints what happened. Each round writes edits that carry a
token of their own into both trees, runs a cycle in a process for each side at once, and kills some of the
processes at a random instant. Conflicts are settled at random as a person would. In the end both clones
must be the same, and every token must be in the history or was in a conflict that was reported.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import structlog

from orchestrator.vault.git.cycle import GitOptions, GitVault
from orchestrator.vault.git.state import GitState, GitStatus

PROFILES: Final = 8
LINES: Final = 12
CHILD: Final = """
import sys
from pathlib import Path
import structlog
from orchestrator.vault.git.cycle import GitOptions, GitVault
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
print("ready", flush=True)
sys.stdin.readline()
options = GitOptions(host=sys.argv[2], lock_seconds=0.05, wait_seconds=20.0)
status = GitVault(Path(sys.argv[1]), options).run_once()
print("\\n".join([status.state.value, *status.notes]), flush=True)
"""


@dataclass
class Tally:
    rounds: int = 0
    edits: int = 0
    kills: int = 0
    states: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    in_history: int = 0
    overwritten_here: int = 0
    lost: list[str] = field(default_factory=list)
    converged: bool = False
    commits: int = 0
    seconds: float = 0.0

    def table(self) -> str:
        rows = [
            ("rounds", self.rounds),
            ("edits", self.edits),
            ("cycles killed with kill -9", self.kills),
            ("cycles by their end", ", ".join(f"{k} {v}" for k, v in sorted(self.states.items()))),
            (
                "repairs that were needed",
                ", ".join(f"{k} {v}" for k, v in sorted(self.repairs.items())) or "none",
            ),
            ("files in conflict, settled", self.conflicts),
            ("commits in the end", self.commits),
            ("edits in the history", self.in_history),
            ("edits replaced by a later one before any cycle saw them", self.overwritten_here),
            ("edits lost", len(self.lost)),
            ("both clones and the remote the same", "yes" if self.converged else "NO"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return "\n".join(f"| {name} | {value} |" for name, value in rows)


def git(place: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", str(place), *words],
        check=True,
        capture_output=True,
    )
    return done.stdout.decode()


def begin(place: Path) -> list[Path]:
    """The bare repository with a few profiles, and two clones."""
    git(place, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    clones = []
    for name in ("one", "two"):
        git(place, "clone", "--quiet", str(place / "remote.git"), name)
        clones.append(place / name)
        if name == "one":
            git(clones[0], "switch", "--quiet", "--create", "main")
            for number in range(PROFILES):
                file = profile(clones[0], number)
                file.parent.mkdir(parents=True)
                file.write_text("".join(f"line {line}\n" for line in range(LINES)))
            git(clones[0], "add", "--all")
            git(clones[0], "commit", "--quiet", "-m", "Begin")
            git(clones[0], "push", "--quiet", "origin", "main")
    return clones


def profile(root: Path, number: int) -> Path:
    return root / "agent-types" / f"p{number}" / "profile.md"


class Rounds:
    def __init__(self, place: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.place = place
        self.clones = begin(place)
        self.tokens: list[str] = []
        self.tally = Tally()
        self.typical = 0.4
        """Seconds of a cycle, as last seen: kills come at any instant of one, on a busy machine too."""

    def run(self, rounds: int) -> Tally:
        started = time.monotonic()
        for number in range(rounds):
            self.edit(number)
            self.cycles()
            self.settle()
        self.quiet()
        self.judge()
        self.tally.rounds = rounds
        self.tally.seconds = time.monotonic() - started
        return self.tally

    def edit(self, number: int) -> None:
        """One to three edits on each side: a line changed, a profile added, a profile removed."""
        for side, root in enumerate(self.clones):
            for index in range(self.random.randint(1, 3)):
                token = f"token-{number}-{side}-{index}-end"
                kind = self.random.random()
                if kind < 0.15:
                    file = root / "agent-types" / f"n{number}-{side}-{index}" / "profile.md"
                    file.parent.mkdir(parents=True)
                    write(file, f"{token}\n")
                else:
                    file = profile(root, self.random.randrange(PROFILES))
                    lines = (
                        file.read_text().splitlines()
                        if file.exists()
                        else [f"line {n}" for n in range(LINES)]
                    )
                    where = self.random.randrange(len(lines))
                    if "token-" in lines[where]:
                        self.forget_uncommitted(root, lines[where])
                    lines[where] = token
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write(file, "\n".join(lines) + "\n")
                self.tokens.append(token)
                self.tally.edits += 1

    def forget_uncommitted(self, root: Path, token: str) -> None:
        """An edit that its own side replaces before a cycle has seen it was never the sync's to keep."""
        with contextlib.suppress(subprocess.CalledProcessError):
            if token in git(root, "grep", "-h", token, "HEAD"):
                return
        if token in self.tokens and not git(root, "log", "--all", "--format=%h", f"-S{token}"):
            self.tokens.remove(token)
            self.tally.overwritten_here += 1

    def cycles(self) -> None:
        """One on each side at once; each is killed with a chance of two in five, at any instant of it."""
        processes = [start(root) for root in self.clones]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        started = time.monotonic()
        victims = [process for process in processes if self.random.random() < 0.4]
        for process in victims:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.uniform(0.0, self.typical))
            if process.poll() is None:
                kill(process.pid, with_children=self.random.random() < 0.5)
                self.tally.kills += 1
        for process in processes:
            out = process.communicate()[0].decode().splitlines()
            if out and process.returncode == 0:
                self.count(out[0], out[1:])
        if not victims:
            self.typical = time.monotonic() - started

    def settle(self) -> None:
        """As a person would: each conflict that was reported, one way or the other."""
        for root in self.clones:
            vault = self.vault(root)
            for file in vault.status().conflicts:
                if file.keep is None:
                    vault.resolve(file.path, self.random.choice(("ours", "theirs")))
                    self.tally.conflicts += 1

    def quiet(self) -> None:
        """No more edits and no more kills: cycles until both sides have nothing to say."""
        for _ in range(40):
            results = [self.once(root) for root in self.clones]
            self.settle()
            heads = {git(root, "rev-parse", "HEAD") for root in self.clones}
            if len(heads) == 1 and all(result.state is GitState.SYNCED for result in results):
                return

    def once(self, root: Path) -> GitStatus:
        result = self.vault(root).run_once()
        self.count(result.state.value, result.notes)
        return result

    def count(self, state: str, notes: Sequence[str]) -> None:
        self.tally.states[state] += 1
        for note in notes:
            self.tally.repairs[" ".join(note.split()[:2])] += 1

    def vault(self, root: Path) -> GitVault:
        return GitVault(root, GitOptions(host=root.name, lock_seconds=0.05, wait_seconds=20.0))

    def judge(self) -> None:
        one, two = self.clones
        heads = {git(place, "rev-parse", "main") for place in (one, two, self.place / "remote.git")}
        clean = all(git(root, "status", "--porcelain") == "" for root in self.clones)
        self.tally.converged = len(heads) == 1 and clean and tree(one) == tree(two)
        history = git(one, "log", "--format=%B", "-p", "--full-history", "--cc", "-m", "main")
        for root in self.clones:
            git(root, "fsck", "--no-dangling")
        self.tally.commits = int(git(one, "rev-list", "--count", "main"))
        self.tally.lost = [token for token in self.tokens if token not in history]
        self.tally.in_history = len(self.tokens) - len(self.tally.lost)


def start(root: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), root.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(pid: int, *, with_children: bool) -> None:
    """As the out-of-memory killer does, or with every git process of it, as a power cut would."""
    victims = [psutil.Process(pid)]
    with contextlib.suppress(psutil.NoSuchProcess):
        victims += victims[0].children(recursive=True) if with_children else []
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


def write(file: Path, text: str) -> None:
    """As a careful editor does: beside, then renamed."""
    beside = file.with_name(f".{file.name}.edit.tmp")
    beside.write_text(text)
    beside.replace(file)


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.relative_to(root).parts[0] != ".git"
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as place:
        tally = Rounds(Path(place), given.seed).run(given.rounds)
    print(tally.table())
    for token in tally.lost:
        print(f"lost: {token}")
    return 0 if tally.converged and not tally.lost else 1


if __name__ == "__main__":
    sys.exit(main())
