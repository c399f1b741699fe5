"""Inbox: what a child printed and nobody has read yet, in memory and beyond that in a file."""

import asyncio
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import IO

from orchestrator.domain.errors import OrchestratorError

MEMORY_LIMIT = 8 << 20
SPOOL_LIMIT = 4 << 30
READ_SIZE = 256 << 10
CHUNK_OVERHEAD = 64
"""What a small `bytes` object takes beyond its length, so that many small chunks count as what they are."""


class OutputLost(OrchestratorError):
    """What the agent printed could not be kept; make room on the disk and run the task again."""

    code = "output-lost"


class Inbox:
    """A queue of chunks whose writer never waits: a full pipe makes agents lose their last words.

    Order is kept: once the file is in use, everything goes there until the reader has caught up. The file has
    no name, so a worker that dies leaves none behind.
    """

    def __init__(self, directory: Path, *, memory: int = MEMORY_LIMIT, spool: int = SPOOL_LIMIT) -> None:
        self._directory = directory
        self._memory, self._spool = memory, spool
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._written = self._read = 0
        self._lost: OutputLost | None = None
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Keep a chunk. Trouble with the file is told to the reader, in its place."""
        size = len(chunk) + CHUNK_OVERHEAD
        if self._lost is not None:
            return
        if self._file is None and self._held + size <= self._memory:
            self._chunks.append(chunk)
            self._held += size
        else:
            self._put_aside(chunk)
        self._changed.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """The next chunk, or None at the end. Raises `OutputLost` once what could be kept has been read."""
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk) + CHUNK_OVERHEAD
                return chunk
            if self._file is not None:
                return self._take_back(self._file)
            if self._lost is not None:
                raise self._lost
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()

    def discard(self) -> None:
        """Forget what is left."""
        self._chunks.clear()
        self._held = 0
        if self._file is not None:
            self._file.close()
            self._file = None
        self.close()

    def _put_aside(self, chunk: bytes) -> None:
        if self._written + len(chunk) > self._spool:
            self._lost = OutputLost(
                f"the agent printed more than {self._spool >> 20} MiB faster than it could be read; "
                "what came after was dropped"
            )
            return
        try:
            if self._file is None:
                # Closed by `discard`.
                self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - see above
            view = memoryview(chunk)
            while view:
                written = os.pwrite(self._file.fileno(), view, self._written)
                self._written += written
                view = view[written:]
        except OSError as error:
            self._lost = OutputLost(
                f"what the agent printed could not be kept in {self._directory}: {error.strerror}; "
                "make room there and run the task again"
            )

    def _take_back(self, file: IO[bytes]) -> bytes:
        chunk = os.pread(file.fileno(), READ_SIZE, self._read)
        self._read += len(chunk)
        if self._read >= self._written:
            file.close()
            self._file = None
            self._written = self._read = 0
        return chunk
