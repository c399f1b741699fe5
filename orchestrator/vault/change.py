"""Changing files of the vault so that what they say holds at once, or nothing has changed."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import Conflict, InvalidInput, OrchestratorError
from orchestrator.vault.files import VaultUnavailable
from orchestrator.vault.sync import SyncReport
from orchestrator.vault.write import write_file

LOCK_SECONDS: Final = 10.0
"""How long one command waits for another that changes the vault."""

_LOOK_AGAIN_SECONDS: Final = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A file below the vault's root: what it said when this was decided, and what it is to say.
    `None` is no file."""

    path: str
    before: bytes | None
    after: bytes | None


@asynccontextmanager
async def locked(root: Path) -> AsyncIterator[None]:
    """Nobody else who asks for this lock changes the vault inside the block, in any process of this host.

    People's editors do not ask; what they do meanwhile is noticed before anything is written. Raises
    Conflict when it takes too long, VaultUnavailable when there is no vault.
    """
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        message = f"The vault at {root} cannot be opened ({error.strerror}); nothing was changed."
        raise VaultUnavailable(message) from error
    try:
        patience = time.monotonic() + LOCK_SECONDS
        while not _try_to_lock(descriptor):
            if time.monotonic() > patience:
                raise Conflict("another command is changing the vault; nothing was changed, try again")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)


async def read_file(root: Path, path: str) -> bytes | None:
    """What a file of the vault says now. Raises Conflict where it leads out of the vault."""
    return await asyncio.to_thread(lambda: _contents(_place(root, path)))


async def carry_out(
    root: Path, changes: Sequence[Change], sync: Callable[[], Awaitable[SyncReport]]
) -> SyncReport:
    """Write the files, then look at the vault. When a file cannot be used, or the look fails, all are put
    back as they were.

    Raises Conflict when a file is not as it was, InvalidInput when one is turned away, what `sync` raises,
    and OSError when the vault cannot be written; then nothing has changed.
    """
    await asyncio.to_thread(write_all, root, changes)
    try:
        report = await sync()
    except (OrchestratorError, OSError):
        await asyncio.to_thread(put_back, root, changes)
        raise
    refused = [c.path for c in changes if c.after is not None and c.path in report.rejected]
    if refused:
        await asyncio.to_thread(put_back, root, changes)
        await sync()
        raise InvalidInput(f"{refused[0]}: {report.rejected[refused[0]]}")
    return report


def write_all(root: Path, changes: Sequence[Change]) -> None:
    """Make the files say what is wanted, all or none. Raises Conflict and OSError."""
    for change in changes:
        if _contents(_place(root, change.path)) != change.before:
            raise Conflict(f"{change.path} was changed meanwhile; nothing was changed, try again")
    done: list[Change] = []
    try:
        for change in changes:
            done.append(change)
            _set(root, change.path, change.after)
    except OSError:
        put_back(root, done)
        raise


def put_back(root: Path, changes: Sequence[Change]) -> None:
    """Undo `write_all`, file by file."""
    for change in reversed(changes):
        # Whoever edited the file in the meantime has the last word.
        if _contents(_place(root, change.path)) == change.after:
            _set(root, change.path, change.before)


def _set(root: Path, path: str, data: bytes | None) -> None:
    place = _place(root, path)
    if data is not None:
        write_file(place, data)
        return
    place.unlink(missing_ok=True)
    # A directory without its document is nothing; others of the operator's files keep it.
    with contextlib.suppress(OSError):
        place.parent.rmdir()


def _place(root: Path, path: str) -> Path:
    """Where the file really is. Links inside the vault are followed; none leads out."""
    base = root.resolve()
    place = (base / path).resolve()
    if not place.is_relative_to(base):
        raise Conflict(f"{path} links out of the vault; nothing was changed")
    return place


def _contents(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _try_to_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Not every file system can lock a directory; `Change.before` is compared all the same.
        return True
    return True
