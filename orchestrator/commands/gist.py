"""GitHub gists, by the operator's own `gh`."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orchestrator.domain.errors import InvalidInput, OrchestratorError
from orchestrator.install.program import Finished, passed_on, run

HOST: Final = "gist.github.com"
SECONDS: Final = 60.0

_ID: Final = re.compile(r"[0-9a-f]{20,40}")
_OF_GH: Final = ("GH_TOKEN", "GITHUB_TOKEN", "GH_CONFIG_DIR", "XDG_DATA_HOME", "XDG_STATE_HOME")


class GistFailed(OrchestratorError):
    """`gh` could not do it; see the message, or run `gh auth status`."""

    code = "gist-failed"


def is_url(source: str) -> bool:
    """Whether this is an address rather than YAML."""
    text = source.strip()
    return "\n" not in text and text.casefold().startswith(("https://", "http://"))


def id_of(url: str) -> str:
    """The gist's id. Raises InvalidInput for every other address."""
    parts = urlsplit(url.strip())
    last = parts.path.rstrip("/").rpartition("/")[2]
    if parts.scheme != "https" or parts.netloc != HOST or not _ID.fullmatch(last):
        raise InvalidInput(
            f"source must be YAML text or a gist's address such as https://{HOST}/user/0123456789abcdef0123",
            field="source",
        )
    return last


async def fetch(url: str) -> str:
    """The text of a gist. Raises InvalidInput and GistFailed."""
    return (await _gh("view", id_of(url), "--raw")).out


async def publish(text: str, *, filename: str, description: str) -> str:
    """Make a public gist and return its address. Raises GistFailed."""
    made = await _gh("create", "--public", f"--filename={filename}", f"--desc={description}", "-", text=text)
    return made.out.strip().splitlines()[-1] if made.out.strip() else ""


async def _gh(*arguments: str, text: str = "") -> Finished:
    env = passed_on(os.environ, _OF_GH) | {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1"}
    done = await run(("gh", "gist", *arguments), env=env, cwd=Path("/"), seconds=SECONDS, text=text)
    if done.ok:
        return done
    if done.failure == "gh was not found":
        raise GistFailed("gh was not found: install the GitHub CLI and sign in with `gh auth login`")
    raise GistFailed(f"gh gist {arguments[0]} failed: {done.why}")
