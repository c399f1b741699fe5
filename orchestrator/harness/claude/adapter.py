"""Start Claude Code for one attempt, and end it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.context import TaskContext
from orchestrator.domain.outcome import Cancelled, Interrupted
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.report import Report


class Run:
    """A running agent: iterate over what it says; `report` is complete when the iteration has ended."""

    report: Report

    def __aiter__(self) -> AsyncIterator[AgentMessage]:
        raise NotImplementedError

    async def interrupt(self, outcome: Interrupted | Cancelled = Interrupted()) -> None:  # noqa: B008
        """Ask the agent to stop; the iteration ends soon, bounded by the stop ladder, and the report has
        `outcome` unless the agent had finished before."""
        raise NotImplementedError


class ClaudeAdapter:
    """Launches Claude Code. One for the whole worker: it limits how many start at the same time."""

    def __init__(self, *, clock: Callable[[], float] = time.time, starts_at_once: int | None = None) -> None:
        self._clock = clock

    @asynccontextmanager
    async def start(self, config: ClaudeAdapterConfig, context: TaskContext) -> AsyncIterator[Run]:
        raise NotImplementedError
        yield Run()
