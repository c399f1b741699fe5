"""Spawning: start an agent in its containment, and see to its end however the scope is left."""

import errno
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.domain.errors import StartRefused
from orchestrator.harness.process.child import Child
from orchestrator.harness.process.environment import DEFAULTS, MARKER
from orchestrator.harness.process.inbox import Inbox
from orchestrator.harness.process.isolation import Isolation, Limits
from orchestrator.harness.process.leftovers import identify
from orchestrator.harness.process.stop import kill


@asynccontextmanager
async def start(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    isolation: Isolation,
    limits: Limits | None = None,
    spool: Path | None = None,
) -> AsyncIterator[Child]:
    """Run an agent for as long as the scope lasts; whoever leaves it, leaves nothing running.

    `env` is the whole environment. `spool` is where output waits that nobody reads yet, by default the
    agent's TMPDIR. Raises `StartRefused`, naming the file and the way out, when program, directory or
    command line is unusable.

    To be called from the main thread: the kernel ties the agent's life (`PR_SET_PDEATHSIG`) to the thread
    that started it, not to the process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "agents are started from the main thread: they die with the thread that starts them"
        )
    child = _launch(argv, cwd=cwd, env=env, isolation=isolation, limits=limits or Limits(), spool=spool)
    try:
        await child.connect()
        yield child
    finally:
        try:
            await kill(child)
        finally:
            child.close()


def _launch(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    isolation: Isolation,
    limits: Limits,
    spool: Path | None,
) -> Child:
    program = _usable_program(argv[0], env)
    if not cwd.is_dir():
        raise StartRefused(
            f"the working directory {cwd} is not there or not a directory; create it or name another"
        )
    command = isolation.command([program, *argv[1:]], limits)
    try:
        popen = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
    except OSError as error:
        raise StartRefused(_why(error, program, cwd, command, env)) from error
    except ValueError as error:  # a zero byte
        raise StartRefused(
            f"{program} cannot be started: {error}; remove the character from the value"
        ) from error
    try:
        return Child(
            popen,
            identity=identify(popen.pid, attempt=env.get(MARKER, "")),
            containment=isolation.containment,
            inbox=Inbox(spool or Path(env.get("TMPDIR") or tempfile.gettempdir())),
        )
    except BaseException:
        popen.kill()
        popen.wait()
        raise


def _usable_program(name: str, env: Mapping[str, str]) -> str:
    """The absolute path of a program that can be run. Checked here, since the wrapper that runs it can only
    say so with an exit code."""
    search = env.get("PATH", DEFAULTS["PATH"])
    found = shutil.which(name, path=search)
    if found is None:
        if os.sep in name and Path(name).exists():
            raise StartRefused(f"{name} is not an executable file; chmod +x it, or name another one")
        where = "" if os.sep in name else f" on PATH ({search})"
        raise StartRefused(f"{name} was not found{where}; install it, or give its whole path")
    path = Path(found).absolute()
    try:
        with path.open("rb") as file:
            beginning = file.read(256)
    except OSError:  # may be run, may not be read: fine
        return str(path)
    if beginning.startswith(b"#!"):
        words = beginning[2:].split(b"\n")[0].split()
        if not words or not os.access(words[0], os.X_OK):
            wanted = os.fsdecode(b" ".join(words))
            raise StartRefused(
                f"{path} needs the interpreter {wanted!r}, which is not there or may not be run"
            )
    elif not beginning.startswith(b"\x7fELF"):
        raise StartRefused(f"{path} is neither a program nor a script with a #! line; install it again")
    return str(path)


def _why(error: OSError, program: str, cwd: Path, command: Sequence[str], env: Mapping[str, str]) -> str:
    match error.errno:
        case errno.E2BIG:
            longest = max(len(os.fsencode(word)) for word in [*command, *map("=".join, env.items())])
            why = f"a piece of its command line or environment has {longest} bytes, 131071 are possible"
            way_out = "put long texts into files"
        case errno.EMFILE | errno.ENFILE:
            why, way_out = "too many open files", "raise LimitNOFILE or run fewer agents at once"
        case errno.EAGAIN | errno.ENOMEM:
            why, way_out = f"no memory or processes left ({error.strerror})", "run fewer agents at once"
        case _:
            why, way_out = f"{error.strerror} ({error.filename}, in {cwd})", "check the permissions"
    return f"{program} cannot be started: {why}; {way_out}"
