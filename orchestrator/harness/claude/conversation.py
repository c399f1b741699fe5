"""The conversation with one running agent: from the first request to the end of its output."""

import asyncio
import contextlib
import os.path
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from orchestrator.domain.context import TaskContext
from orchestrator.domain.outcome import (
    BudgetSpent,
    NotStarted,
    Outcome,
    ServerMissing,
    ToolSurplus,
    WorkerFault,
)
from orchestrator.domain.secret import beginning
from orchestrator.domain.tools import canonical
from orchestrator.harness.claude import control
from orchestrator.harness.claude.argv import Plan
from orchestrator.harness.claude.classify import early_end
from orchestrator.harness.claude.clocks import Deadline, no_start, out_of_time, silence
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.granted import beyond_grant
from orchestrator.harness.claude.guard import Territory, Verdict, decide
from orchestrator.harness.claude.parse import said
from orchestrator.harness.claude.report import ToolCall
from orchestrator.harness.claude.requests import Requests
from orchestrator.harness.claude.tally import Tally
from orchestrator.harness.claude.verify import (
    CONNECTED,
    PENDING,
    Comparison,
    ServerState,
    compare,
    going_on_without,
    missing_servers,
    server_states,
    with_last_words,
)
from orchestrator.harness.claude.versions import Behaviour
from orchestrator.harness.process import (
    Child,
    Grace,
    Item,
    NotJson,
    OutputLost,
    Oversized,
    Truncated,
    finish,
    kill,
    stop,
)

Emit = Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, None]]
"""Hands one message on; waits while its reader is behind."""

SERVER_POLL_SECONDS = 0.1

CALL_ANSWERED = "tool_call_answered"
"""Subtype of the `system` message that we add to the stream for each call: `tool`, `granted`, `reason`."""


class Conversation:
    """One process and what is known of it. `open`, `listen`, `watch` and `end_when_told` run side by side."""

    def __init__(
        self,
        child: Child,
        *,
        config: ClaudeAdapterConfig,
        context: TaskContext,
        plan: Plan,
        behaviour: Behaviour,
        territory: Territory,
        emit: Emit,
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        self.tally = Tally()
        self.ours: Outcome | None = None
        self.comparison: Comparison | None = None
        self.calls: list[ToolCall] = []
        self.warnings: list[str] = []
        self.servers: tuple[ServerState, ...] = ()
        """As the agent sees them before its first turn, with their tools."""
        self.beyond: tuple[str, ...] = ()
        """Offered, not granted and not hidden: the agent has to be started again without them."""
        self.registered = False
        self.fail_closed = False
        self.initialized = asyncio.Event()
        """The agent reported what it is, or ended before."""
        self._child, self._config, self._context = child, config, context
        self._plan, self._behaviour, self._territory = plan, behaviour, territory
        self._emit, self._clock = emit, clock
        self._loop = asyncio.get_running_loop()
        self._began = self._heard = self._loop.time()
        self._deadline = deadline
        self._blocked = False
        self._requests = Requests(child)
        self._opening = ""
        self._phase = asyncio.Event()
        """Another clock is the next to run out."""
        self._told = asyncio.Event()
        self._at_once = False
        self._result_at: float | None = None
        self._result = asyncio.Event()

    # --- ending ---

    def end(self, outcome: Outcome, *, at_once: bool = False) -> None:
        """End the agent for a reason of ours; the first reason counts. `at_once` leaves it no last words."""
        if self.ours is None:
            self.ours = outcome
            self._at_once = at_once
            self._told.set()

    async def end_when_told(self) -> None:
        """Carry out the end: after a result politely, for a reason of ours by the ladder."""
        await self._told.wait()
        if self.ours is None and not self.beyond:
            await finish(self._child, grace=Grace(end_of_input=self._config.timers.drain))
        elif self._at_once or self.beyond:
            await kill(self._child)
        elif isinstance(self.ours, ServerMissing):  # let go, it first writes down what its servers said
            await finish(self._child)
        else:
            await stop(self._child, interrupt=self._interrupt)

    async def _interrupt(self) -> None:
        await self._requests.ask("interrupt")
        await self._result.wait()

    async def watch(self) -> None:
        """Our own clocks."""
        while not self._told.is_set():
            due, outcome = min(self._deadlines(), key=lambda entry: entry[0])
            if (delay := due - self._loop.time()) > 0:
                self._phase.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._phase.wait()
            elif outcome is None:
                self._told.set()
            else:
                self.end(outcome)

    def _deadlines(self) -> list[Deadline]:
        timers, effective = self._config.timers, self._config.effective
        if self._result_at is not None:  # background work was known; no further result came in this time
            return [(self._deadline, out_of_time(effective)), (self._result_at + timers.drain, None)]
        if not self.initialized.is_set():
            return [(self._deadline, out_of_time(effective)), (self._began + timers.start, no_start(timers))]
        heard = self._loop.time() if self._blocked else self._heard
        return [(self._deadline, out_of_time(effective)), (heard + timers.stall, silence(timers))]

    # --- opening ---

    async def open(self) -> None:
        """Register the guard, see that the servers are there and offer no more than is granted, then speak.

        Where there is nothing to ask first, everything is written at once: the agent starts no later for it.
        """
        self._opening, reply = self._requests.expect()
        await self._requests.send(control.initialize(self._opening, self._behaviour))
        if self._context.mcp_servers or self._context.resume_transcript:
            await reply
            if not await self._servers_are_right():
                return
            if self._context.resume_transcript:
                await self._learn_earlier_cost()
        await self._requests.send(control.user_message(self._context.prompt, self._behaviour))

    def _take_answer(self, answer: control.Answered | None) -> None:
        if answer is not None and answer.id == self._opening:
            self._note_guard(answer)
        self._requests.take(answer)

    def _note_guard(self, answer: control.Answered) -> None:
        """Whether calls will be put to us. Noted as the line is read: the next one may be a call."""
        if answer.error is None and answer.body.get("hooks_applied") is not False:
            self.registered = True
            self.fail_closed = answer.body.get("hook_on_failure_supported") is True
            return
        why = answer.error or "it says that it did not"
        self.end(
            NotStarted(
                message=f"The command line did not register the check of tool calls: {why}. "
                "This version may not be supported: pin one that is."
            ),
            at_once=True,
        )

    async def _servers_are_right(self) -> bool:
        names = [server.name for server in self._context.mcp_servers]
        if not names:
            return True
        states = await self._settled_servers()
        optional = self._config.effective.optional_servers
        fault = missing_servers(states, [name for name in names if name not in optional])
        self.servers = states
        offered = {tool for state in states for tool in state.tools}
        beyond = beyond_grant(self._config.effective, offered - set(self._plan.hidden))
        if fault is not None:
            self.end(fault)
        elif beyond:
            self.beyond = beyond
            self._told.set()
        return fault is None and not beyond

    @property
    def not_connected(self) -> tuple[str, ...]:
        """Servers that did not start."""
        return tuple(state.name for state in self.servers if state.status != CONNECTED)

    def explain(self, words: Mapping[str, str]) -> None:
        """Once it has ended: add what servers that did not start said themselves, by name."""
        self.servers = with_last_words(self.servers, words)
        optional = self._config.effective.optional_servers
        names = [server.name for server in self._context.mcp_servers] if self.servers else []
        self.warnings += going_on_without(self.servers, [name for name in names if name in optional])
        if isinstance(self.ours, ServerMissing) and self.comparison is None:
            self.ours = missing_servers(self.servers, self.ours.servers) or self.ours

    async def _settled_servers(self) -> tuple[ServerState, ...]:
        """Their states once none is still connecting; the start-up timer bounds it."""
        while True:
            answer = await self._requests.ask("mcp_status")
            states = server_states(answer.body.get("mcpServers"))
            if not any(state.status == PENDING for state in states):
                return states
            await asyncio.sleep(SERVER_POLL_SECONDS)

    async def _learn_earlier_cost(self) -> None:
        """A resumed session may go on counting where it was."""
        answer = await self._requests.ask("get_usage")
        session = answer.body.get("session")
        cost = session.get("total_cost_usd") if isinstance(session, Mapping) else None
        if isinstance(cost, int | float):
            self.tally.cost_before = float(cost)
        else:
            self.warnings.append(
                "the cost of the session before this attempt is not known and is counted again"
            )

    # --- listening ---

    async def listen(self) -> None:
        """Take in everything the agent prints, to the end of its output."""
        try:
            async for item in self._child.messages():
                self._heard = self._loop.time()
                await self._take(item)
        except OutputLost as error:
            self.end(WorkerFault(message=str(error)), at_once=True)
        finally:
            self.initialized.set()
            self._result.set()
            self._requests.close()

    async def _take(self, item: Item) -> None:
        match item:
            case NotJson(text=text) | Truncated(text=text):
                await self._pass_on("unknown", {"type": "not_json", "text": beginning(text, 4096)})
            case Oversized(bytes=size):
                self.warnings.append(f"a message of {size} bytes was too long and was dropped")
                await self._pass_on("unknown", {"type": "oversized", "bytes": size})
            case dict():
                await self._take_line(item)

    async def _take_line(self, raw: Mapping[str, Any]) -> None:
        kind = raw.get("type")
        if kind == "control_request":
            await self._answer(raw)
            return
        if kind == "control_response":
            self._take_answer(control.answered(raw))
            return
        self.tally.observe(raw)
        if kind == "system" and raw.get("subtype") == "init":
            self._verify(raw)
        for name, body in said(raw):
            await self._pass_on(name, body)
            if name == "tool_use" and self._is_absent(body.get("name")):
                verdict = Verdict(granted=False, reason="Refused by absence: the agent has no such tool.")
                await self._record(str(body["name"]), verdict, body.get("id"))
        self._judge(raw)

    def _is_absent(self, tool: object) -> bool:
        """Whether the agent does not have the tool it calls; then nobody asks us."""
        reported = self.comparison.tools if self.comparison is not None else ()
        return isinstance(tool, str) and canonical(tool) not in map(canonical, reported)

    def _verify(self, raw: Mapping[str, Any]) -> None:
        required = [server.name for server in self._context.mcp_servers]
        self.comparison = compare(raw, self._config.effective, required)
        self.warnings += [text for text in self.comparison.warnings if text not in self.warnings]
        self.initialized.set()
        self._phase.set()
        if self.comparison.fault is not None:
            self.end(self.comparison.fault, at_once=True)

    def _judge(self, raw: Mapping[str, Any]) -> None:
        """What a line means for the attempt going on."""
        timers, effective = self._config.timers, self._config.effective
        match raw.get("type"):
            case "system" if raw.get("subtype") == "api_retry":
                early = early_end(raw, at=self._clock(), patience=timers.retry)
                if early is not None:
                    self.end(early)
            case "assistant" if not self.registered:
                self.end(
                    NotStarted(message="The agent answered before its tool calls could be checked."),
                    at_once=True,
                )
            case "result":
                self._result.set()
                self._result_at = self._loop.time()
                self._phase.set()
                if not self.tally.background:
                    self._told.set()
        if self.tally.tokens > effective.max_tokens_per_task:
            self.end(
                BudgetSpent(
                    message=f"The agent used {self.tally.tokens} tokens of the "
                    f"{effective.max_tokens_per_task:g} "
                    f"that profile {effective.profile_id} allows. Raise max_tokens_per_task, or split the "
                    "task.",
                    unit="tokens",
                )
            )

    async def _pass_on(self, kind: str, body: Mapping[str, Any]) -> None:
        self._blocked = True
        await self._emit(kind, body)
        self._blocked = False
        self._heard = self._loop.time()

    # --- answering ---

    async def _answer(self, raw: Mapping[str, Any]) -> None:
        request = control.asked(raw)
        if request is None:
            return
        wanted = control.tool_request(request)
        if wanted is None:
            await self._requests.send(control.not_understood(request))
            return
        verdict = await self._decide(wanted)
        is_hook = request.subtype == "hook_callback"
        answer = control.hook_answer if is_hook else control.permission_answer
        await self._requests.send(answer(request, verdict))
        if is_hook or not verdict.granted:
            await self._record(wanted.tool, verdict, wanted.use_id)

    async def _record(self, tool: str, verdict: Verdict, use_id: object) -> None:
        """Keep a call and what was said to it, and tell it at its place in the stream."""
        call = ToolCall(
            at=self._clock(),
            tool=tool,
            granted=verdict.granted,
            reason=verdict.reason,
            use_id=use_id if isinstance(use_id, str) else None,
        )
        self.calls.append(call)
        body = {"subtype": CALL_ANSWERED, "tool": tool, "granted": call.granted, "reason": call.reason}
        await self._pass_on("system", {**body, "tool_use_id": call.use_id})

    async def _decide(self, wanted: control.ToolRequest) -> Verdict:
        if self.comparison is None:
            return Verdict(granted=False, reason="Refused: the agent has not reported what it is.")
        if self.ours is not None:
            return Verdict(granted=False, reason="Refused: the attempt is being ended.")
        return await asyncio.to_thread(
            decide,
            self._config.effective,
            self._territory,
            wanted.tool,
            wanted.arguments,
            cwd=wanted.cwd or self._territory.checkout,
            resolve=os.path.realpath,
        )


def still_beyond(conversation: Conversation, profile_id: str) -> ToolSurplus:
    """The servers offer more than is granted, even after a start that hid it by name."""
    names = ", ".join(conversation.beyond)
    return ToolSurplus(
        message=f"MCP servers offer {names}, which profile {profile_id} does not grant and which could "
        "not be "
        "hidden; they change their tools from start to start. Grant them, or leave the server out.",
        tools=conversation.beyond,
    )
