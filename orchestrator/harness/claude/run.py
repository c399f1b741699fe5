"""A running agent, as its worker sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.outcome import Asked, Cancelled, Interrupted
from orchestrator.harness.claude.conversation import Conversation
from orchestrator.harness.claude.report import Report
from orchestrator.harness.process import Child, Exit, ProcessIdentity

BEHIND = 256
"""Messages that wait for their reader. Beyond that the agent's output waits in its own buffer and on disk."""


class Run:
    """Iterate over what the agent says; `report` is complete when the iteration has ended."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.identity: ProcessIdentity | None = None
        """Of the process, once there is one: what a later worker needs to end what was left over."""
        self.exit: Exit | None = None
        self._clock = clock
        self._messages: asyncio.Queue[AgentMessage] = asyncio.Queue(BEHIND)
        self._ended = asyncio.Event()
        self._report: Report | None = None
        self._error: Exception | None = None
        self._talk: Conversation | None = None
        self._asked: Interrupted | Cancelled | Asked | None = None
        self._sequence = 0

    @property
    def report(self) -> Report:
        """How it ended. Raises RuntimeError while it has not."""
        if self._report is None:
            raise RuntimeError("the agent has not ended: read its messages to the end first")
        return self._report

    async def __aiter__(self) -> AsyncIterator[AgentMessage]:
        """What the agent says, in order, until its process is gone."""
        while True:
            while not self._messages.empty():
                yield self._messages.get_nowait()
            if self._ended.is_set():
                break
            getting = asyncio.ensure_future(self._messages.get())
            ending = asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait([getting, ending], return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    yield getting.result()
            finally:
                getting.cancel()
                ending.cancel()
        if self._error is not None:
            raise self._error

    async def interrupt(self, outcome: Interrupted | Cancelled | Asked | None = None) -> None:
        """Ask the agent to stop, and return at once. The iteration ends within the bounds of the stop ladder
        (some seconds), and the report has `outcome`, by default `Interrupted()`, unless the agent had
        finished before."""
        self._asked = outcome or Interrupted()
        if self._talk is not None:
            self._talk.end(self._asked)

    # --- for the adapter ---

    async def emit(self, kind: str, body: Mapping[str, Any]) -> None:
        self._sequence += 1
        await self._messages.put(
            AgentMessage(sequence=self._sequence, at=self._clock(), kind=kind, body=body)
        )

    def attach(self, talk: Conversation, child: Child) -> None:
        self._talk, self.identity = talk, child.identity
        if self._asked is not None:
            talk.end(self._asked)

    def detach(self, child: Child) -> None:
        self._talk, self.exit = None, child.exit
        self.stderr = child.stderr

    stderr: str = ""
    """The end of what it printed there."""

    def complete(self, report: Report) -> None:
        self._report = report
        self._ended.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._ended.set()
