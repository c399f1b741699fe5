"""Watching the vault: it is looked at again when something changes in it, and every few seconds anyway."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog
from watchfiles import Change, awatch

from orchestrator.domain.errors import OrchestratorError
from orchestrator.vault.duty import VaultBehind
from orchestrator.vault.layout import PROFILE_FILE, PROFILES, PROJECTS, SERVER_SUFFIX, SERVERS

log = structlog.get_logger()

STEP_MS: Final = 60
"""How often the kernel's news are collected. Each time costs a wake-up, also when nothing happens: at 10 ms
idling was measured to cost 0.7% of a core."""

GROUPING_MS: Final = 50
"""How long changes that follow each other are collected at most before the vault is looked at, so that
a stream of them cannot put it off."""

ROOT_MS: Final = 1000
"""How often it is checked that the vault is still the directory that is watched."""

LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at most, while change follows change."""

Look = Callable[[], Awaitable[object]]


async def keep_in_step(look: Look, root: Path, *, scan_seconds: float) -> None:
    """Look at the vault when something changes in it, and every `scan_seconds` whatever happens. Runs until
    it is cancelled.

    A change only says "look again", so that none can be lost: what happens during a look is seen by the
    next one. `look` may fail with what an operator can act on; then it is logged and tried again.
    """
    news = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(root, news.set, retry_seconds=scan_seconds), name="vault-watch")
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(scan_seconds):
                    await news.wait()
            news.clear()
            # As long between two looks as the last one took: a storm of changes gets half of one thread.
            await asyncio.sleep(min(await _timed(look), LONGEST_PAUSE))


async def _timed(look: Look) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await look()
    except VaultBehind:
        pass  # said already, once; what is fetched changes files
    except (OrchestratorError, OSError) as error:
        log.warning("vault.sync_failed", error=str(error))
    return loop.time() - began


async def watch(root: Path, hint: Callable[[], None], *, retry_seconds: float) -> None:
    """Call `hint` whenever a document may have changed, until cancelled.

    A vault that is deleted, replaced or mounted anew is watched again as soon as it is there. Where the
    system cannot watch it, that is said once, and tried again: the scan goes on meanwhile.
    """
    said, locked_out = "", False
    while True:
        try:
            await _watch_one(root, hint, locked_out=locked_out)
        except FileNotFoundError:
            seconds = ROOT_MS / 1000
        except PermissionError:
            locked_out, seconds = True, 0.0
        except (OSError, RuntimeError) as error:  # the latter for what the library has no better word for
            seconds = retry_seconds
            if (why := _reason(error)) != said:
                said = why
                log.warning("vault.not_watched", root=str(root), reason=why, scan_seconds=retry_seconds)
        else:
            seconds, said = 0.0, ""
        hint()
        await asyncio.sleep(seconds)


async def _watch_one(root: Path, hint: Callable[[], None], *, locked_out: bool) -> None:
    """Watch the directory that is there now; returns when it is not there any more, or another one is.

    `locked_out` says that some of it may not be read: then what cannot be watched is passed over, whatever
    the reason, which is why it is not asked for otherwise.
    """
    watched = _identity(root)
    if watched is None:
        raise FileNotFoundError(root)
    place = str(await asyncio.to_thread(root.resolve))
    changes = awatch(
        place,
        watch_filter=_Matters(place),
        step=STEP_MS,
        debounce=GROUPING_MS,
        rust_timeout=ROOT_MS,
        yield_on_timeout=True,
        ignore_permission_denied=locked_out,
    )
    began = True
    async with contextlib.aclosing(changes):
        async for found in changes:
            if found or began:  # something may have changed before the watch began
                began = False
                hint()
            if _identity(root) != watched:
                return


def _identity(root: Path) -> tuple[int, int] | None:
    """Which directory the path leads to; `None` when it leads to none."""
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Matters:
    """Whether a change can be one of a document. Everything else in the tree may change as it likes."""

    def __init__(self, place: str) -> None:
        self._start = len(place.rstrip("/")) + 1

    def __call__(self, change: Change, path: str) -> bool:
        del change
        return matters(path[self._start :])


def matters(path: str) -> bool:
    """Whether this path below the vault is a document, or a directory on the way to one."""
    parts = path.split("/")
    if parts[0] == PROJECTS:
        if len(parts) <= 2:
            return True
        parts = parts[2:]
    match parts:
        case [_]:
            return parts[0] in ("", PROFILES, SERVERS)
        case [first, _] if first == PROFILES:
            return True
        case [first, name, last] if first == PROFILES:
            return last == PROFILE_FILE or ":" in name
        case [first, name] if first == SERVERS:
            return name.endswith(SERVER_SUFFIX)
        case _:
            return False


def _reason(error: Exception) -> str:
    text = str(error)
    if "watch limit" in text or "os error 28" in text or "os error 24" in text:
        return "no more can be watched; raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
    return text
