"""A real Claude Code process with tools of our own: sub-tasks, a question and its answer, what it lacks."""

import asyncio
import json
import secrets
import sysconfig
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from orchestrator import app, rehearsal
from orchestrator.api import mcp_listener
from orchestrator.commands import answers, attempts, projects, task_views, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.event import Event
from orchestrator.domain.task import TERMINAL, TaskState
from orchestrator.rehearsal import Hang, Reply, Request, Rule, Script, Server, ToolCall, When
from orchestrator.settings import load
from orchestrator.store import events
from orchestrator.store.outbox import Topic
from orchestrator.worker.embedded import Address
from orchestrator.worker.stop import Stop

pytestmark = pytest.mark.real_cli

ROOT = Path(__file__).parents[2]
OLDER = ROOT / ".tools/claude-2.1.197/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
BUNDLED = Path(sysconfig.get_path("purelib")) / "claude_agent_sdk" / "_bundled" / "claude"
EXECUTABLES = {"2.1.329": BUNDLED, "2.1.197": OLDER}
BOUND = 60.0
PREFIX = "mcp__agent-queue__"
HELPER = ("Read", "create_task", "get_task", "ask_human", "report_progress")


def document(profile_id: str, allowed: tuple[str, ...]) -> str:
    return f"""---
id: {profile_id}
name: {profile_id.title()}
---
## Tools
```json
{json.dumps({"allowed": list(allowed)})}
```
"""


@pytest.fixture(params=EXECUTABLES)
def cli(request: pytest.FixtureRequest) -> str:
    path = EXECUTABLES[request.param]
    if not path.is_file():
        pytest.skip(f"Claude Code {request.param} is not there")
    return str(path)


@dataclass
class Lab:
    use: Use
    endpoint: Server
    ear: "Ear"

    async def ask(self, prompt: str, profile: str = "helper") -> str:
        created = await tasks.create_task(
            self.use, tasks.CreateTask(project_id="acme", prompt=prompt, profile_id=profile)
        )
        return created.created

    async def details(self, task_id: str) -> task_views.TaskDetails:
        return await task_views.get_task(self.use, tasks.NamedTask(task_id=task_id))

    async def until(self, task_id: str, *states: TaskState) -> task_views.TaskDetails:
        wanted = states or tuple(TERMINAL)
        async with asyncio.timeout(BOUND), self.use.database.listener(Topic.EVENTS) as listener:
            while (found := await self.details(task_id)).task.state not in wanted:
                await listener.wait(0.5)
        return found

    async def facts(self, task_id: str, kind: str) -> list[Event]:
        stored = await self.use.database.read(events.after, 0, task_id=task_id, kinds=(kind,))
        return [one.event for one in stored]

    async def server_of(self, number: int = 1) -> Mapping[str, Any]:
        """Our server as the agent of the `number`th attempt was given it, the token included: as it calls."""
        async with asyncio.timeout(BOUND):
            while len(self.ear.tokens) < number:
                await self.ear.wait()
        return {"url": self.ear.url, "headers": {"Authorization": self.ear.tokens[number - 1]}}


class Ear:
    """Stands between agents and our server, and hears their tokens: they are in no file that stays."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.url = ""
        self._more = asyncio.Event()

    async def wait(self) -> None:
        await self._more.wait()
        self._more.clear()

    @asynccontextmanager
    async def between(self, door: AbstractAsyncContextManager[Address]) -> AsyncIterator[Address]:
        async with door as address, AsyncExitStack() as stack:

            async def nearer() -> str:
                if not self.url:
                    there = urlsplit(await address())
                    serve = partial(self._pass_on, there.netloc)
                    server = await stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1"))
                    here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
                    self.url = there._replace(netloc=here).geturl()
                return self.url

            yield nearer

    async def _pass_on(self, there: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = there.rpartition(":")
        answers, asks = await asyncio.open_connection(host, int(port))
        here = urlsplit(self.url).netloc
        back = asyncio.create_task(self._copy(answers, writer))
        try:
            while chunk := await reader.read(1 << 16):
                for line in chunk.split(b"\r\n"):
                    name, _, value = line.partition(b": ")
                    if name.lower() == b"authorization" and (said := value.decode()) not in self.tokens:
                        self.tokens.append(said)
                        self._more.set()
                asks.write(chunk.replace(here.encode(), there.encode()))
                await asks.drain()
        except ConnectionError:
            pass
        finally:
            asks.close()
            await back

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def laboratory(home: Path, cli: str, script: Script) -> AsyncIterator[Lab]:
    for profile_id, allowed in {"helper": HELPER, "narrow": ("Read",), "wide": (*HELPER, "Bash")}.items():
        path = home / "vault" / "agent-types" / profile_id / "profile.md"
        path.parent.mkdir(parents=True)
        path.write_text(document(profile_id, allowed), encoding="utf-8")
    settings = load(
        environment={"ORCHESTRATOR_HOME": str(home), "ORCHESTRATOR_CLAUDE__CLI_PATH": cli}
    ).settings

    def use_of(opened: app.App) -> Use:
        return app.use(opened, clock=time.time, random=lambda: secrets.randbits(40))

    ear = Ear()
    async with (
        rehearsal.serve(script) as endpoint,
        app.running(
            settings,
            stop=Stop(),
            rehearsal_url=endpoint.url,
            door=lambda opened: ear.between(mcp_listener.on_demand(use_of(opened))),
        ) as opened,
    ):
        use = use_of(opened)
        await projects.create_project(use, projects.CreateProject(id="acme", name="Acme"))
        yield Lab(use=use, endpoint=endpoint, ear=ear)


def call(tool: str, **arguments: Any) -> Reply:
    return Reply(tools=(ToolCall(name=PREFIX + tool, input=arguments),))


def results(request: Request) -> list[str]:
    """What the tools of the conversation answered, in order."""
    found = []
    for message in request.messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                found.append(json.dumps(block.get("content"), ensure_ascii=False))
    return found


def test_an_agent_asks_for_a_task_and_sees_it_and_no_others(tmp_path: Path, cli: str) -> None:
    def look(request: Request) -> Reply:
        created = json.loads(results(request)[0])
        text = created if isinstance(created, str) else created[0]["text"]
        return call("get_task", task_id=json.loads(text)["created"])

    script = Script(
        rules=(
            Rule(
                when=When(prompt="the parent"),
                replies=(
                    call("create_task", prompt="the child"),
                    look,
                    call("get_task", task_id="0000000000000000"),
                    call("create_task", prompt="too much", profile_id="wide"),
                    call("report_progress", text="half way", percent=50),
                    Reply(text="done"),
                ),
            ),
        ),
        default=Reply(text="child done"),
    )

    async def work() -> None:
        async with laboratory(tmp_path / "state", cli, script) as lab:
            parent = await lab.ask("Be the parent")
            ended = await lab.until(parent)
            assert ended.task.state is TaskState.COMPLETED, ended
            (child,) = (await task_views.list_tasks(lab.use, task_views.ListTasks(parent_id=parent))).tasks
            assert child.profile_id == "helper"
            assert (await lab.until(child.id)).task.state is TaskState.COMPLETED
            last = next(one for one in reversed(lab.endpoint.requests) if len(results(one)) == 5)
            told = results(last)
            assert "the child" in told[1]
            assert "not found" in told[2]
            assert "wide grants more than helper" in told[3]
            assert "allowed_tools" in told[3]
            (progress,) = await lab.facts(parent, "progress.reported")
            assert progress.data["percent"] == 50
            calls = await lab.facts(parent, "tool.called")
            assert [fact.data["tool"] for fact in calls] == [
                "create_task",
                "get_task",
                "get_task",
                "create_task",
                "report_progress",
            ]
            assert {fact.subject for fact in calls} == {f"task/{parent}/attempt/1"}
            offered = {name for name in last.tools if name.startswith(PREFIX)}
            assert offered == {PREFIX + name for name in HELPER[1:]}
            assert ended.attempts[0].outcome == "completed"

    asyncio.run(work())


def test_a_question_gives_the_slot_back_and_the_session_goes_on_with_the_answer(
    tmp_path: Path, cli: str
) -> None:
    script = Script(
        rules=(
            Rule(when=When(prompt="answer of a person: Blue"), replies=(Reply(text="It is blue."),)),
            Rule(
                when=When(prompt="Paint"),
                replies=(call("ask_human", question="Which colour?"), Reply(text="I wait.")),
            ),
        ),
        default=Reply(text="other work"),
    )

    async def work() -> None:
        async with laboratory(tmp_path / "state", cli, script) as lab:
            task_id = await lab.ask("Paint the shed")
            waiting = await lab.until(task_id, TaskState.WAITING_INPUT, *TERMINAL)
            assert waiting.task.state is TaskState.WAITING_INPUT
            assert waiting.task.claimed_by is None
            assert [one.question for one in waiting.questions] == ["Which colour?"]
            assert waiting.attempts[0].outcome == "asked"
            spent = await asyncio.to_thread(direct, await lab.server_of(), "get_task", task_id=task_id)
            assert spent.status_code == 401
            await answers.answer_task(lab.use, answers.AnswerTask(task_id=task_id, answer="Blue"))
            ended = await lab.until(task_id)
            assert ended.task.state is TaskState.COMPLETED
            assert "It is blue." in (ended.task.result or "")
            assert ended.task.failures == 1
            assert [one.outcome for one in ended.attempts] == ["asked", "completed"]
            first, resumed = lab.endpoint.requests[0], lab.endpoint.requests[-1]
            assert resumed.session_id == first.session_id
            assert "Paint the shed" in json.dumps(resumed.body), "the session remembers what was said before"
            assert "You asked: Which colour?" in resumed.prompt

    asyncio.run(work())


def test_a_tool_that_is_not_granted_is_not_even_there(tmp_path: Path, cli: str) -> None:
    script = Script(
        rules=(Rule(when=When(prompt="Try"), replies=(call("list_tasks"), Reply(text="It was refused."))),),
    )

    async def work() -> None:
        async with laboratory(tmp_path / "state", cli, script) as lab:
            task_id = await lab.ask("Try what you lack")
            ended = await lab.until(task_id)
            (told,) = results(lab.endpoint.requests[-1])
            assert "list_tasks" in told
            assert await lab.facts(task_id, "tool.called") == []
            attempt = await attempts.get_attempt(lab.use, attempts.GetAttempt(task_id=ended.task.id))
            assert attempt.attempt.enforcement["answered"]["denied"] == 1

    asyncio.run(work())


def test_a_proxy_of_the_operators_never_comes_between(
    tmp_path: Path, cli: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    script = Script(
        rules=(
            Rule(
                when=When(prompt="Say"),
                replies=(call("report_progress", text="on it"), Reply(text="done")),
            ),
        ),
    )

    async def work() -> None:
        async with laboratory(tmp_path / "state", cli, script) as lab:
            task_id = await lab.ask("Say how far it is")
            assert (await lab.until(task_id)).task.state is TaskState.COMPLETED
            (progress,) = await lab.facts(task_id, "progress.reported")
            assert progress.data["text"] == "on it"

    asyncio.run(work())


def test_a_token_is_good_for_its_own_attempt_and_as_long_as_that_lasts(tmp_path: Path, cli: str) -> None:
    async def work() -> None:
        async with laboratory(tmp_path / "state", cli, script) as lab:
            one = await lab.ask("Hold on")
            await lab.endpoint.wait_for_request(1, timeout=BOUND)
            server = await lab.server_of()
            during = await asyncio.to_thread(direct, server, "list_tasks")
            allowed = await asyncio.to_thread(direct, server, "get_task", task_id=one)
            other = await asyncio.to_thread(direct, server, "get_task", task_id=await lab.ask("x", "narrow"))
            operators = await asyncio.to_thread(direct, server, "cancel_task", task_id=one)
            await tasks.cancel_task(lab.use, tasks.NamedTask(task_id=one))
            await lab.until(one)
            after = await asyncio.to_thread(direct, server, "get_task", task_id=one)
            assert during.json()["result"]["isError"] is True
            assert said(during) == "list_tasks is not granted by profile helper"
            assert json.loads(said(allowed))["id"] == one
            assert "not found" in said(other)
            assert "never an agent's" in said(operators)
            assert after.status_code == 401
            refused = await lab.facts(one, "tool.refused")
            assert [fact.data["tool"] for fact in refused] == ["list_tasks", "cancel_task"]
            assert {fact.data["profile"] for fact in refused} == {"helper"}

    script = Script(rules=(Rule(when=When(prompt="Hold on"), replies=(Reply(fault=Hang()),)),))
    asyncio.run(work())


def said(response: httpx2.Response) -> str:
    text: str = response.json()["result"]["content"][0]["text"]
    return text


def direct(server: Mapping[str, Any], tool: str, **arguments: Any) -> httpx2.Response:
    """A call with what the agent was given, past the agent."""
    return httpx2.post(
        server["url"],
        headers={**server["headers"], "Accept": "application/json, text/event-stream"},
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        },
    )
