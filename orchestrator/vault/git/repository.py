"""The vault's repository: each thing that the sync asks of git, as one function."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.vault.git.configuration import OVERRIDES
from orchestrator.vault.git.credential import Credential, offered
from orchestrator.vault.git.process import PASSED_ON, SECONDS, GitFailed, Leash, environment, git, start

if TYPE_CHECKING:
    from orchestrator.vault.git.objects import Objects

NETWORK: Final = (
    *PASSED_ON,
    "SSH_AUTH_SOCK",
    *("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
)
SSH: Final = "ssh -oBatchMode=yes -oConnectTimeout=20 -oClearAllForwardings=yes -oPermitLocalCommand=no"

OWN: Final = "refs/orchestrator/"
"""What is kept for the sync: `base`, the remote's commit that the branch stands on; `incoming`, the commit
that the tree is being moved to; `kept/`, whatever would otherwise be reachable no more."""

SCRATCH: Final = "scratch-"
"""Directories below `own` that nothing is kept in; a crash leaves them."""

NOT_OURS: Final = (":(exclude,glob)**/.*.tmp", ":(exclude,glob)**/*.swp", ":(exclude,glob)**/.#*")
"""Files of a write in progress, ours and editors'."""


class Change(NamedTuple):
    """One path that differs between two trees. An id of zeros, and the mode 000000, is absence."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """Git in one vault, for one thread. Every method blocks and raises GitFailed.

    What is asked of single objects and names GitPython answers, without a process for each; what writes,
    talks to the network or goes through thousands of files at once is a git process.
    """

    root: Path
    author: str
    email: str
    network_seconds: float
    most_bytes: int
    leash: Leash
    _opened: "list[Objects]" = field(default_factory=list)
    _reading: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.root / ".git"

    @property
    def own(self) -> Path:
        """Where the sync keeps its own files: inside `.git`, so on the same file system as the tree."""
        return self.directory / "orchestrator"

    @property
    def objects(self) -> "Objects":
        """Opened with the first question, once the configuration was found to be safe."""
        if not self._opened:
            # It takes 10 MiB, which a vault that is no clone need not pay.
            from orchestrator.vault.git.objects import Objects  # noqa: PLC0415 - lazy on purpose

            self._opened.append(Objects(self.root, self._start))
        return self._opened[0]

    def close(self) -> None:
        """End what was kept open for reading; it is opened again when it is needed."""
        for opened in self._opened:
            opened.close()
        for process in self._reading:
            self.leash.ended(process)
        self._opened.clear()
        self._reading.clear()

    def _start(self, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        process = start(self._place, *arguments, options=OVERRIDES, env=self._environment(), leash=self.leash)
        self._reading.append(process)
        return process

    @property
    def _place(self) -> tuple[str, ...]:
        return "-C", str(self.root), f"--git-dir={self.directory}", f"--work-tree={self.root}"

    @property
    def has_netrc(self) -> bool:
        """Whether git will find names and passwords of its own."""
        home = os.environ.get("HOME")
        return home is not None and (Path(home) / ".netrc").exists()

    def _environment(self) -> dict[str, str]:
        who = {
            "GIT_AUTHOR_NAME": self.author,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.author,
            "GIT_COMMITTER_EMAIL": self.email,
            "GIT_ALLOW_PROTOCOL": "https:ssh:file",
            "GIT_SSH_COMMAND": SSH,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_MERGE_AUTOEDIT": "no",
            "GIT_EDITOR": "true",
        }
        kept = environment(os.environ, NETWORK)
        # Where authorities of one's own are named for every program: git's own TLS looks at this alone.
        if authorities := kept.get("SSL_CERT_FILE") or kept.get("CURL_CA_BUNDLE"):
            who["GIT_SSL_CAINFO"] = authorities
        return {**kept, **who}

    def run(
        self,
        *arguments: str,
        extra: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = SECONDS,
    ) -> str:
        return git(
            self._place,
            *arguments,
            options=OVERRIDES,
            env={**self._environment(), **(extra or {})},
            stdin=stdin,
            leash=self.leash,
            seconds=seconds,
        )

    def exchange(self, *arguments: str, credential: Credential | None) -> str:
        """What talks to the remote. With a credential, nobody else's counts: not those of `~/.netrc`."""
        with offered(credential) as (inherited, configuration):
            return git(
                self._place,
                *arguments,
                options={**OVERRIDES, **configuration},
                env={**self._environment(), **({"HOME": str(self.own)} if credential else {})},
                leash=self.leash,
                inherited=inherited,
                seconds=self.network_seconds,
                most_bytes=self.most_bytes,
            )

    def ask(self, *arguments: str) -> str | None:
        """What git answers, or `None` where the answer is that there is no such thing."""
        try:
            return self.run(*arguments)
        except GitFailed as error:
            if error.reason == "exit":
                return None
            raise

    def configuration(self) -> dict[str, str]:
        """The repository's own, without the files that it includes. Of a key given twice, the last."""
        listed = self.run("config", "--local", "--no-includes", "--list", "-z")
        entries = (entry.partition("\n") for entry in listed.split("\0") if entry)
        return {key: value for key, _, value in entries}

    def branch(self) -> str | None:
        """The branch that is checked out, whether or not it has a commit yet."""
        return self.objects.branch()

    def commit(self, name: str) -> str | None:
        """The id of the commit that a name stands for."""
        return self.objects.find(f"{name}^{{commit}}")

    def tree(self, commit: str | None) -> str:
        """The id of a commit's tree; that of the empty tree where there is no commit."""
        if commit is None:
            return self.run("hash-object", "-t", "tree", "-w", "--stdin")
        tree = self.objects.find(f"{commit}^{{tree}}")
        if tree is None:
            raise GitFailed(f"The commit {commit} is not there.")
        return tree

    def set_ref(self, ref: str, commit: str | None, *, old: str | None = None, why: str = "sync") -> None:
        """Move a ref, or delete it. With `old`, only if it stands there."""
        if commit is None:
            self.run("update-ref", "-d", ref, *([old] if old else []))
        else:
            self.run(
                "update-ref", "-m", f"orchestrator: {why}", ref, commit, *([old] if old is not None else [])
            )

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self.count(newer, older) == 0

    def count(self, without: str | None, reachable: str | None) -> int:
        """How many commits are reachable from `reachable` and not from `without`."""
        if reachable is None or reachable == without:
            return 0
        return int(self.run("rev-list", "--count", reachable, *([f"^{without}"] if without else []), "--"))

    def merge_base(self, one: str, other: str) -> str | None:
        found = self.ask("merge-base", one, other)
        return found.split("\n")[0] if found else None

    def changes(self, old: str, new: str) -> list[Change]:
        """The paths that differ between two trees."""
        listed = self.run(
            "diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff", old, new, "--"
        )
        words = iter(listed.split("\0"))
        found = []
        for head in words:
            if head:
                old_mode, new_mode, before, after, kind = head.removeprefix(":").split(" ")
                found.append(Change(next(words), old_mode, new_mode, before, after, kind[0]))
        return found

    def sizes(self, commit: str) -> dict[str, int]:
        """The size in bytes of each file of a commit."""
        listed = self.run("ls-tree", "-r", "-l", "-z", commit, "--")
        rows = (row.partition("\t") for row in listed.split("\0") if row)
        return {path: int(size) if (size := head.split()[-1]).isdigit() else 0 for head, _, path in rows}

    def hash_files(self, paths: Iterable[str]) -> list[str]:
        """The ids that files of the tree would have. The names must have no newline."""
        names = "\n".join(paths)
        if not names:
            return []
        data = f"{names}\n".encode("utf-8", "surrogateescape")
        return self.run("hash-object", "--stdin-paths", stdin=data).split("\n")

    def link_target(self, blob: str) -> str:
        return self.objects.content(blob).decode("utf-8", "surrogateescape")

    def make_commit(
        self, tree: str, parents: Iterable[str], message: str, extra: Mapping[str, str] | None = None
    ) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        data = message.encode("utf-8", "surrogateescape")
        return self.run("commit-tree", tree, *words, "-F", "-", stdin=data, extra=extra)

    @contextmanager
    def second_index(self) -> Iterator[dict[str, str]]:
        """An index of our own, empty, as the environment that git needs to use it."""
        self.own.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.own, prefix=SCRATCH) as place:
            yield {"GIT_INDEX_FILE": f"{place}/index"}
