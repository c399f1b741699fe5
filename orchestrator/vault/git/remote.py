"""The remote: which it is, what it has, and giving it ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.vault.git.address import refusal
from orchestrator.vault.git.configuration import dangerous
from orchestrator.vault.git.credential import Credential
from orchestrator.vault.git.process import GitFailed
from orchestrator.vault.git.repository import Repository
from orchestrator.vault.git.state import CycleEnded, GitState, refused_push

FORMATS: Final = {"extensions.objectformat": "sha1", "extensions.refstorage": "files"}
"""What GitPython reads, and nearly every repository has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    name: str
    url: str
    branch: str
    credential: Credential | None = field(default=None, repr=False)
    """With one, git is told the address without it, and not the remote's name."""

    @property
    def place(self) -> str:
        return self.name if self.credential is None else self.credential.url

    @property
    def ref(self) -> str:
        """Where the remote's commit is kept here."""
        return f"refs/remotes/{self.name}/{self.branch}"


def remotes(configuration: Mapping[str, str]) -> dict[str, str]:
    """Address by name."""
    return {
        key.removeprefix("remote.").removesuffix(".url"): value
        for key, value in configuration.items()
        if key.startswith("remote.") and key.endswith(".url")
    }


def refuse_unsafe_configuration(configuration: Mapping[str, str]) -> None:
    """Raises CycleEnded for a repository in which nothing else is to be run, or that cannot be read."""
    if bad := dangerous(configuration):
        raise CycleEnded(
            GitState.REFUSED,
            f"The repository's configuration has {', '.join(bad)}; remove it with `git config --unset-all`.",
        )
    for key, usual in FORMATS.items():
        if (found := configuration.get(key, usual)) != usual:
            raise CycleEnded(GitState.REFUSED, f"Of {key}, {found!a} cannot be read; clone it with {usual}.")


def choose(
    configuration: Mapping[str, str], checked_out: str, *, remote: str | None, branch: str | None
) -> Remote:
    """The one that is set; else the branch's own; else `origin`; else the only one. Raises CycleEnded."""
    known = remotes(configuration)
    name = remote or configuration.get(f"branch.{checked_out}.remote")
    if name is None or (remote is None and name not in known):
        name = "origin" if "origin" in known or len(known) != 1 else next(iter(known))
    if name not in known:
        raise CycleEnded(GitState.REFUSED, f"The repository has no remote {name!a}; see `git remote -v`.")
    if reason := refusal(known[name]):
        raise CycleEnded(GitState.REFUSED, f"Of the remote {name!a}, {reason}.")
    upstream = configuration.get(f"branch.{checked_out}.merge", "").removeprefix("refs/heads/")
    return Remote(name=name, url=known[name], branch=branch or upstream or checked_out)


def fetch(repo: Repository, remote: Remote) -> str | None:
    """The commit that the remote's branch stands at, with all it is made of; `None` where it has no such
    branch. Raises GitFailed."""
    wanted = f"refs/heads/{remote.branch}"
    listed = repo.exchange("ls-remote", "--refs", "--", remote.place, wanted, credential=remote.credential)
    tips = [row.split("\t")[0] for row in listed.splitlines() if row.endswith(f"\t{wanted}")]
    if not tips:
        return None
    known = repo.commit(remote.ref)
    if known != tips[0]:
        _fetch(repo, remote)
        known = repo.commit(remote.ref)
    return known


def deepen(repo: Repository, remote: Remote) -> None:
    """Of a shallow clone, get the rest."""
    _fetch(repo, remote, "--unshallow")


def _fetch(repo: Repository, remote: Remote, *options: str) -> None:
    spec = f"+refs/heads/{remote.branch}:{remote.ref}"
    fixed = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--refmap=", "--quiet")
    repo.exchange("fetch", *fixed, *options, "--", remote.place, spec, credential=remote.credential)


def push(repo: Repository, remote: Remote, commit: str) -> None:
    """Give the remote our commits.

    Raises TryAgain when another push came first or its branch is locked there, CycleEnded when it does not
    take them at all, and GitFailed.
    """
    fixed = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
    try:
        spec = f"{commit}:refs/heads/{remote.branch}"
        repo.exchange("push", *fixed, "--", remote.place, spec, credential=remote.credential)
    except GitFailed as error:
        if refused := refused_push(error):
            raise refused from error
        raise
    repo.set_ref(remote.ref, commit, why="push")
