"""Start Claude Code for one attempt, and end it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from orchestrator.domain.context import TaskContext
from orchestrator.domain.errors import StartRefused
from orchestrator.domain.outcome import NotStarted, WorkerFault
from orchestrator.harness.claude.admit import check
from orchestrator.harness.claude.argv import Plan, plan
from orchestrator.harness.claude.binary import Cli, CliFinder
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.conversation import Conversation, still_beyond
from orchestrator.harness.claude.environment import claude_variables
from orchestrator.harness.claude.files import (
    clean_up,
    find_transcript,
    forget_servers,
    last_words,
    prepare,
    territory_of,
    write_files,
)
from orchestrator.harness.claude.places import Places
from orchestrator.harness.claude.report import Report
from orchestrator.harness.claude.run import Run
from orchestrator.harness.claude.summary import never_started, summarize
from orchestrator.harness.process import Isolation, build_environment, finish, probe, start
from orchestrator.harness.process.stop import shielded

log = structlog.get_logger()

STARTS = 2
"""Launches of one attempt at most: a second one when its servers turn out to offer more than is granted."""


class ClaudeAdapter:
    """Launches Claude Code. One for the whole worker: it limits how many start at the same time, and
    remembers what it learned of executables and servers."""

    def __init__(
        self,
        *,
        isolation: Isolation | None = None,
        clock: Callable[[], float] = time.time,
        starts_at_once: int | None = None,
        parent: Mapping[str, str] | None = None,
    ) -> None:
        """`isolation` is found out by trying when it is not given, which blocks for some milliseconds.
        `starts_at_once` is the number of cores by default: a start costs half a second of one."""
        self.finder = CliFinder()
        self._isolation = isolation or probe()
        self._clock = clock
        self._starts = asyncio.Semaphore(starts_at_once or os.cpu_count() or 1)
        self._parent = os.environ if parent is None else parent
        self._offered: dict[str, frozenset[str]] = {}

    @asynccontextmanager
    async def start(self, config: ClaudeAdapterConfig, context: TaskContext) -> AsyncIterator[Run]:
        """Run one attempt for as long as the scope lasts; leaving it ends the process and all that it
        started."""
        run = Run(clock=self._clock)
        task = asyncio.create_task(self._drive(run, config, context))
        try:
            yield run
        finally:
            task.cancel()
            await shielded(_gone(task))

    def clean_up(self, attempt_directory: Path) -> None:
        """Remove what has to go at the end of an attempt whose worker was killed before it. Blocks."""
        clean_up(Places.below(str(attempt_directory)))

    async def _drive(self, run: Run, config: ClaudeAdapterConfig, context: TaskContext) -> None:
        """From the checks to the report. A fault of ours goes to whoever iterates."""
        cli: Cli | None = None
        try:
            check(config, context)
            cli = await asyncio.to_thread(self.finder.find, config.cli_path, search=self._parent.get("PATH"))
            await asyncio.to_thread(prepare, context)
            try:
                report = await self._launch(run, config, context, cli)
            finally:
                await shielded(asyncio.to_thread(clean_up, Places.of(context)))
            run.complete(report)
        except StartRefused as error:
            run.complete(never_started(NotStarted(message=str(error)), cli))
        except OSError as error:
            fault = WorkerFault(
                message=f"The attempt's files could not be written: {error.strerror} ({error.filename}). "
                "Make room, or correct the permissions."
            )
            run.complete(never_started(fault, cli))
        except Exception as error:  # noqa: BLE001 - handed on whole to the one who iterates, who logs it
            run.fail(error)

    async def _launch(self, run: Run, config: ClaudeAdapterConfig, context: TaskContext, cli: Cli) -> Report:
        deadline = asyncio.get_running_loop().time() + min(config.effective.timeout_seconds, 10 * 365 * 86400)
        for launch in range(STARTS):
            offered = frozenset[str]().union(
                *(self._offered.get(repr(server), frozenset()) for server in context.mcp_servers)
            )
            planned = plan(config, context, cli.behaviour, offered)
            await asyncio.to_thread(write_files, planned.files)
            talk = await self._converse(run, config, context, cli, planned, deadline)
            self._remember(talk, context)
            if talk.beyond and launch + 1 < STARTS and talk.ours is None:
                log.info("agent.started_again", hidden=talk.beyond)
                continue
            break
        if talk.beyond:
            talk.end(still_beyond(talk, config.effective.profile_id))
        places = Places.of(context)
        talk.explain(await asyncio.to_thread(last_words, places, talk.not_connected))
        session = (talk.tally.init or {}).get("session_id") or context.session_id
        transcript = await asyncio.to_thread(find_transcript, places, session)
        return summarize(talk, planned, cli, session_id=session, transcript=transcript, run=run)

    def _remember(self, talk: Conversation, context: TaskContext) -> None:
        """What each server offers, so that the next start hides the rest at once."""
        tools = {state.name: frozenset(state.tools) for state in talk.servers}
        self._offered |= {
            repr(server): tools[server.name] for server in context.mcp_servers if server.name in tools
        }

    async def _converse(
        self,
        run: Run,
        config: ClaudeAdapterConfig,
        context: TaskContext,
        cli: Cli,
        planned: Plan,
        deadline: float,
    ) -> Conversation:
        places = Places.of(context)
        environment = build_environment(
            attempt=f"{context.task_id}/{context.attempt}",
            home=places.home,
            tmp=places.temporary,
            parent=self._parent,
            allow=config.pass_environment,
            extras=claude_variables(config, context),
        )
        async with AsyncExitStack() as starting, AsyncExitStack() as living:
            await starting.enter_async_context(self._starts)
            child = await living.enter_async_context(
                start(
                    [cli.path, *planned.arguments],
                    cwd=Path(context.checkout),
                    env=environment,
                    isolation=self._isolation,
                    limits=config.limits,
                )
            )
            talk = Conversation(
                child,
                config=config,
                context=context,
                plan=planned,
                behaviour=cli.behaviour,
                territory=territory_of(config, context),
                emit=run.emit,
                clock=self._clock,
                deadline=deadline,
            )
            run.attach(talk, child)
            log.info("agent.started", pid=child.pid, cli=cli.version, containment=child.containment)
            await _side_by_side(talk, starting, lambda: forget_servers(places))
            await finish(child)
            run.detach(child)
        return talk


async def _gone(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


async def _side_by_side(
    talk: Conversation, starting: AsyncExitStack, forget_servers: Callable[[], None]
) -> None:
    """Speak, listen and watch until the agent's output ends; the next one may start once this one has."""

    async def let_the_next_one_start() -> None:
        await talk.initialized.wait()
        await starting.aclose()
        await asyncio.to_thread(forget_servers)

    async with asyncio.TaskGroup() as group:
        beside = [
            group.create_task(work)
            for work in (talk.open(), talk.watch(), talk.end_when_told(), let_the_next_one_start())
        ]
        await talk.listen()
        for task in beside:
            task.cancel()
