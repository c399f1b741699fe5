"""Which keys of a repository's own configuration are not followed: those that start programs, read other
files or lead elsewhere."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.vault.git.process import SAFE

_DANGEROUS: Final = re.compile(
    r"include\.path"
    r"|includeif\..*"
    r"|core\.(sshcommand|gitproxy|worktree|attributesfile|alternaterefscommand)"
    r"|url\..*"
    r"|filter\.(?!lfs\.).*"
    r"|merge\..*\.driver"
    r"|diff\.external|diff\..*\.(command|textconv)"
    r"|remote\..*\.(uploadpack|receivepack|vcs|proxy|pushurl|promisor)"
    r"|credential\.(.*\.)?helper"
    r"|http\.(.*\.)?(sslverify|curloptresolve|savecookies|cookiefile)"
    r"|extensions\.(worktreeconfig|partialclone)",
    re.DOTALL,
)
"""After `git help config`, 2.39 to 2.51: programs, other files, other places. All in lower case but the
middle part."""

OVERRIDES: Final[Mapping[str, str]] = {
    **SAFE,
    "core.askPass": "",
    "core.autocrlf": "false",
    "core.bare": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "false",
    "core.symlinks": "true",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    # Large file storage: what is in the repository is the pointer, and it stays one.
    "filter.lfs.clean": "",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "merge.renames": "false",  # a document's path is its id: one that moved is another document
    "transfer.fsckObjects": "true",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
}
"""What the sync says over whatever the repository says."""


def dangerous(keys: Iterable[str]) -> tuple[str, ...]:
    """Those keys that nothing is done under, in order."""
    return tuple(sorted({key for key in keys if _DANGEROUS.fullmatch(key)}))
