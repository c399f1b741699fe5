"""Pipes: what becomes of the bytes on a child's stdin, stdout and stderr."""

import asyncio
import re
from typing import cast

from orchestrator.harness.process.inbox import Inbox


class Output(asyncio.Protocol):
    """Stdout: everything is kept."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class names it
        self._inbox.close()


class Tail(asyncio.Protocol):
    """Stderr: the end is kept, the rest is counted."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = bytearray()
        self.total = 0

    def data_received(self, data: bytes) -> None:
        self.total += len(data)
        self._kept += data
        if len(self._kept) > 2 * self._size:
            del self._kept[: -self._size]

    def strip(self, ending: bytes) -> bool:
        """Take this off the end; False when it was not there."""
        found = self._kept.endswith(ending)
        if found:
            del self._kept[-len(ending) :]
            self.total -= len(ending)
        return found

    @property
    def text(self) -> str:
        """Where the beginning is missing, without the word that the cut falls into."""
        kept = bytes(self._kept[-self._size :])
        if self.total > len(kept):
            kept = re.sub(rb"\A\S*", b"", kept)
        return kept.decode("utf-8", "replace")


class Input(asyncio.BaseProtocol):
    """Stdin: writers wait while the agent does not read, and are released when it is gone."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class names it
        self._transport = None
        self._flowing.set()

    async def write(self, data: bytes) -> bool:
        """Hand the bytes over; False when nobody reads them any more."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        await self._flowing.wait()
        return self._transport is not None

    def close(self) -> None:
        """End of input, after what is still to be written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End of input now."""
        if self._transport is not None:
            self._transport.abort()
