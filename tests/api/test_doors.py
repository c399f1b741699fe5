"""Every command through every door: the same answer, or the same problem, on installations that are alike."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from api.steps import Step, steps
from orchestrator.api.resources import RESOURCES
from orchestrator.cli.main import run
from orchestrator.commands import projects, tasks, tokens
from orchestrator.commands.surface import COMMANDS
from orchestrator.commands.use import Use
from orchestrator.domain.attempt import Snapshot
from orchestrator.domain.effective import as_json
from orchestrator.domain.ending import Ending
from orchestrator.domain.outcome import Asked, Completed, Outcome
from orchestrator.domain.settle import settle
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, queue, settling

Told = tuple[bool, Any]
"""Whether it was done, and the answer; else the problem."""
Ask = Callable[[str, dict[str, Any]], Awaitable[Told]]

OWN = re.compile(r"(_at|^at|^seconds|^token|^created|^author)$")
"""Members that are different each time someone asks, or for each who asks."""
PATHS = re.compile(r"\([^()]*/[^()]*\)")
"""Where programs were looked for, as told in brackets: each process has its own environment."""


async def prepare(use: Use) -> dict[str, str]:
    """Three tasks: one waits for its turn, one for an answer, one is completed."""
    await projects.create_project(use, projects.CreateProject(id="acme"))

    async def worked_on(title: str, outcome: Outcome) -> str:
        made = await tasks.create_task(use, tasks.CreateTask(project_id="acme", title=title))
        (claim,) = await use.database.run(
            queue.claim, [made.created], worker="w1", now=use.clock(), lease_seconds=60.0
        )
        snapshot = Snapshot(profile_id="helper", tier="task", effective=as_json(CLAUDE_DEFAULTS))
        await use.database.run(attempts.begin, claim, snapshot, now=use.clock())
        ending = Ending(claim=claim, settlement=settle(claim.task, outcome, now=use.clock(), jitter=0.5))
        assert await use.database.run(settling.settle, [ending], worker="w1", now=use.clock())
        return made.created

    names = {
        "$ASKED": await worked_on("ask", Asked(question="Which colour?")),
        "$DONE": await worked_on("do", Completed(answer="done")),
    }
    await tokens.revoke_token(use, tokens.RevokeToken(token="test"))  # each door has one of its own
    waits = await tasks.create_task(use, tasks.CreateTask(project_id="acme", title="wait"))
    return {**names, "$TASK": waits.created}


def filled(value: Any, names: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, task_id in names.items():
        text = text.replace(name, task_id)
    return json.loads(text)


def same(value: Any, home: Path, command: str) -> Any:
    """What of an answer does not depend on when, where, and on chance."""
    if isinstance(value, dict):
        by_chance = "id" if "token" in command else ""
        return {
            name: same(item, home, command)
            for name, item in value.items()
            if not OWN.search(name) and name != by_chance
        }
    if isinstance(value, list):
        return [same(item, home, command) for item in value]
    return PATHS.sub("", value.replace(str(home), "HOME")) if isinstance(value, str) else value


def natural(name: str, request: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    """Method, path with query, and body at the address of its own; by name where there is none."""
    found = [one for one in RESOURCES if one.command.name == name and "/commands/" not in one.path]
    if not found or not set(re.findall(r"{(\w+)}", found[0].path)) <= request.keys():
        return "POST", f"/api/v1/commands/{name}", request
    given = {key: quote(str(request[key]), safe="") for key in re.findall(r"{(\w+)}", found[0].path)}
    left = {key: value for key, value in request.items() if key not in given}
    path = found[0].path.format(**given)
    if found[0].takes_body:
        return found[0].method, path, left
    pairs: list[tuple[str, str]] = []
    for key, value in left.items():
        if isinstance(value, dict):
            pairs += [(key, f"{name}:{text}") for name, text in value.items()]
        else:
            pairs += [(key, str(one)) for one in (value if isinstance(value, list) else [value])]
    return found[0].method, f"{path}?{urlencode(pairs)}" if pairs else path, None


def of_tool(result: Any) -> Told:
    if result.is_error:
        return False, {"detail": result.content[0].text}
    assert json.loads(result.content[0].text) == result.structured_content
    return True, result.structured_content


class Doors:
    """One installation for each door, copied from the same."""

    def __init__(self, template: Path, serving: Any, stack: AsyncExitStack) -> None:
        self._template, self._serving, self._stack = template, serving, stack

    def copy(self, name: str) -> Path:
        home = self._template.with_name(name)
        shutil.copytree(self._template, home)
        [file] = home.glob("*.db")
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            database.execute(
                "DELETE FROM duties"
            )  # or the copy would leave its vault to that of the template
        return home

    async def http(self, home: Path, *, by_name: bool) -> Ask:
        api = await self._stack.enter_async_context(self._serving(home))

        async def ask(name: str, request: dict[str, Any]) -> Told:
            asked = ("POST", f"/api/v1/commands/{name}", request) if by_name else natural(name, request)
            answer = await api.ask(*asked)
            assert (answer.status == 200) is (answer.headers["content-type"] == "application/json")
            assert answer.status == 200 or answer.json["status"] == answer.status
            return answer.status == 200, answer.json

        return ask

    async def mcp(self, home: Path) -> Ask:
        api = await self._stack.enter_async_context(self._serving(home))
        http = await self._stack.enter_async_context(
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {api.token}"})
        )
        url = f"http://127.0.0.1:{api.port}/mcp"
        client = await self._stack.enter_async_context(Client(streamable_http_client(url, http_client=http)))

        async def ask(name: str, request: dict[str, Any]) -> Told:
            return of_tool(await client.call_tool(name, request))

        return ask

    async def stdio(self, home: Path) -> Ask:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-P", "-c", "from orchestrator.cli.main import main; main()", "mcp"],
            env={**os.environ, "ORCHESTRATOR_HOME": str(home)},
        )
        client = await self._stack.enter_async_context(Client(server))

        async def ask(name: str, request: dict[str, Any]) -> Told:
            return of_tool(await client.call_tool(name, request))

        await ask("create_token", {"name": "test"})  # as the servers of the other doors have
        return ask

    async def command_line(self, home: Path, say: Any, monkeypatch: pytest.MonkeyPatch) -> Ask:
        async def ask(name: str, request: dict[str, Any]) -> Told:
            def call() -> Told:
                say.readouterr()
                code = run(["call", name, json.dumps(request)])
                told = say.readouterr()
                assert code in (0, 1), told.err
                assert not (told.err if code == 0 else told.out)
                return code == 0, json.loads(told.err if code else told.out)

            with monkeypatch.context() as patch:
                patch.setenv("ORCHESTRATOR_HOME", str(home))
                return await asyncio.to_thread(call)

        await ask("create_token", {"name": "test"})
        return ask


def test_every_command_has_the_same_answer_or_problem_through_every_door(
    with_api,
    serving,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = with_api(lambda api: prepare(api.use))
    walked = {step.name for step in steps()}
    others = [Step(name=one.name, request={}, members=None) for one in COMMANDS if one.name not in walked]

    async def test() -> list[str]:
        found: list[str] = []
        async with AsyncExitStack() as stack:
            doors = Doors(tmp_path / "home", serving, stack)
            homes = {name: doors.copy(name) for name in ("call", "http", "natural", "mcp", "stdio")}
            asking = {
                "call": await doors.command_line(homes["call"], capsys, monkeypatch),
                "http": await doors.http(homes["http"], by_name=True),
                "natural": await doors.http(homes["natural"], by_name=False),
                "mcp": await doors.mcp(homes["mcp"]),
                "stdio": await doors.stdio(homes["stdio"]),
            }
            for step in (*steps(), *others):
                request = filled(step.request, names)
                told = {name: await ask(step.name, request) for name, ask in asking.items()}
                found += differences(step, told, homes)
                done, answer = told["call"]
                if step.name in walked and done is (step.members is None):
                    found.append(f"{step}: {answer}")
                if step.members is not None and done and not step.fits(answer):
                    found.append(f"{step}: its members are {sorted(answer)}")

        return found

    found = asyncio.run(test())
    assert not found, "\n".join(found)


def differences(step: Step, told: dict[str, Told], homes: dict[str, Path]) -> list[str]:
    """Every door tells what the command line tells; a tool error is the words of the problem alone."""
    done, answer = told["call"]
    expected = same(answer, homes["call"], step.name)
    wrong = []
    for name, (other, found) in told.items():
        plain = same(found, homes[name], step.name)
        whole = done or name in ("http", "natural")
        alike = plain == expected if whole else plain.get("detail") == expected["detail"]
        if other is not done or not alike:
            wrong.append(f"{step}: {name} says {plain}, and call {expected}")
    return wrong


def test_the_walk_meets_both_ends_of_every_command_that_a_person_can_succeed_with() -> None:
    walked = steps()
    for name in {step.name for step in walked}:
        assert any(step.members is None for step in walked if step.name == name), name
    never = {step.name for step in walked} - {step.name for step in walked if step.members is not None}
    assert never == {"ask_human", "report_progress", "vault_resolve", "revoke_token"}
