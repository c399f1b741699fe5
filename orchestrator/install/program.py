"""One program, run to its end within a time limit, with nothing left of it afterwards."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

MOST_OUTPUT: Final = 256 * 1024
"""Bytes that are kept of each stream, from its end."""

ORDINARY: Final = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)
"""Names that every tool of the operator may see: where things are, and how the network is reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How it ended. A program that was not there, could not be run or took too long has no code, and
    `failure` says so."""

    code: int | None
    out: str = ""
    err: str = ""
    failure: str | None = None

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """The most telling line for a person."""
        if self.failure is not None:
            return self.failure
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.casefold()] or lines
        # The first ones are about the cause, and the longest of them is rarely just a code.
        return max(telling[:3], key=len)[:300] if telling else f"it ended with exit code {self.code}"


def passed_on(
    parent: Mapping[str, str], names: Collection[str] = (), beginnings: tuple[str, ...] = ()
) -> dict[str, str]:
    """An environment of what is allowed: our own secrets are not the business of a package's tools."""
    allowed = {*ORDINARY, *names}
    return {
        name: value
        for name, value in parent.items()
        if name in allowed or (beginnings and name.startswith(beginnings))
    }


async def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    seconds: float,
    text: str = "",
) -> Finished:
    """Run a program; `text` is its standard input. It is found on the PATH of `env`."""
    program = shutil.which(command[0], path=env.get("PATH"))
    if program is None:
        return Finished(code=None, failure=f"{command[0]} was not found")
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(text.encode())
        given.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *command[1:],
                stdin=given,
                stdout=out,
                stderr=err,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            return Finished(code=None, failure=f"{command[0]} cannot be run: {error.strerror}")
        failure = None
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            failure = f"{command[0]} took longer than {seconds:g} seconds"
        finally:
            await _end(process)
        code = process.returncode if failure is None else None
        return Finished(code=code, out=_tail(out), err=_tail(err), failure=failure)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of its group running, whatever made us stop waiting."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_OUTPUT))
    return file.read().decode("utf-8", "replace")
