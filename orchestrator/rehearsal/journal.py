"""What a rehearsal was asked: a bounded record in memory and, if wanted, in a file."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from orchestrator.rehearsal.request import Request

KEPT_REQUESTS: Final = 2_000
KEPT_BYTES: Final = 64 << 20
FILE_BYTES: Final = 32 << 20
"""A file that would grow beyond this is moved aside to `<name>.1`, replacing the one before."""


class Journal:
    """The latest requests, and a way to wait for one."""

    def __init__(self, path: Path | None = None, *, file_bytes: int = FILE_BYTES) -> None:
        self.total = 0
        """Requests for a message since the start, forgotten ones included."""
        self._kept: deque[Request] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._path = path
        self._file_bytes = file_bytes

    @property
    def requests(self) -> tuple[Request, ...]:
        """Those still kept, oldest first: at most 2,000 of them and 64 MiB of bodies."""
        return tuple(self._kept)

    def add(self, request: Request) -> None:
        """Keep it and tell whoever waits. Raises OSError when the file cannot be written."""
        self.total += 1
        self._kept.append(request)
        self._bytes += request.size
        while len(self._kept) > KEPT_REQUESTS or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popleft().size
        self._news.set()
        self._news = asyncio.Event()
        if self._path is not None:
            self._write(self._path, json.dumps(as_json(request)).encode() + b"\n")

    async def wait_for(self, wanted: Callable[[Request], bool], *, timeout: float) -> Request:
        """The first request that is `wanted`, of those kept or to come. Raises TimeoutError."""
        seen = 0
        async with asyncio.timeout(timeout):
            while True:
                news = self._news
                fresh = [request for request in self._kept if request.number > seen]
                for request in fresh:
                    if wanted(request):
                        return request
                seen = self.total
                await news.wait()

    def _write(self, path: Path, line: bytes) -> None:
        with path.open("ab") as file:
            path.chmod(0o600)  # prompts are nobody else's business
            if file.tell() and file.tell() + len(line) > self._file_bytes:
                path.replace(path.with_name(path.name + ".1"))
            else:
                file.write(line)
                return
        self._write(path, line)


def as_json(request: Request) -> dict[str, Any]:
    """A request as a line of the file shows it."""
    return {
        "number": request.number,
        "at": request.at,
        "answered_by": request.answered_by,
        "session_id": request.session_id,
        "model": request.model,
        "stream": request.stream,
        "turn": request.turn,
        "step": request.step,
        "prompt": request.prompt,
        "tools": request.tools,
        "headers": request.headers,
        "system": request.system,
        "messages": request.messages,
    }
