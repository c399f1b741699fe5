"""The MCP door, with plain clients: people see every command, agents what their profile grants."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from orchestrator.api import mcp_listener
from orchestrator.commands import calls, profiles, projects, tasks
from orchestrator.commands.command import Who
from orchestrator.commands.encoding import encode
from orchestrator.commands.problem import problem
from orchestrator.commands.surface import BY_NAME, COMMANDS
from orchestrator.commands.use import Agent, Caller, Use
from orchestrator.commands.wire import shape
from orchestrator.domain.attempt import Snapshot
from orchestrator.domain.effective import as_json
from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.outcome import Completed
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Claim
from orchestrator.domain.token import digest_of
from orchestrator.domain.tools import EMBEDDED_NAMES
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, callers, queue, settling

EVERYTHING = replace(
    CLAUDE_DEFAULTS,
    profile_id="everything",
    allowed_tools=("mcp__agent-queue__*", *(command.name for command in COMMANDS)),
)
HELPER = replace(CLAUDE_DEFAULTS, profile_id="helper", allowed_tools=("get_task", "report_progress"))


@asynccontextmanager
async def connected(url: str, token: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


def text_of(result: Any) -> str:
    return str(result.content[0].text)


async def begin(use: Use, token: str) -> Claim:
    """An attempt under the profile `helper`, with this token."""
    with contextlib.suppress(OrchestratorError):
        await projects.create_project(use, projects.CreateProject(id="acme"))
    made = await tasks.create_task(use, tasks.CreateTask(project_id="acme", prompt="Do it"))
    (claim,) = await use.database.run(
        queue.claim, [made.created], worker="w1", now=use.clock(), lease_seconds=60.0
    )
    snapshot = Snapshot(profile_id="helper", tier="task", effective=as_json(HELPER))
    await use.database.run(attempts.begin, claim, snapshot, now=use.clock())
    await use.database.run(callers.issue, claim, digest=digest_of(token), now=use.clock())
    return claim


async def end(use: Use, claim: Claim) -> None:
    settled = settle(claim.task, Completed(answer="done"), now=use.clock(), jitter=0.5)
    ending = Ending(claim=claim, settlement=settled)
    assert await use.database.run(settling.settle, [ending], worker="w1", now=use.clock())


def test_a_person_sees_every_command_with_the_schema_of_its_request(with_api) -> None:
    async def look(api) -> None:
        async with connected(f"http://127.0.0.1:{api.port}/mcp", api.token) as client:
            listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == [command.name for command in COMMANDS]
        for tool in listed:
            command = BY_NAME[tool.name]
            assert tool.input_schema == shape(command.request).model_json_schema()
            assert (tool.description or "").startswith(command.summary)
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is not command.changes

    with_api(look)


def test_a_result_is_that_of_the_command_and_an_error_has_the_words_of_the_problem(with_api) -> None:
    async def compare(api) -> None:
        async with connected(f"http://127.0.0.1:{api.port}/mcp", api.token) as client:
            listed = await client.call_tool("list_profiles", {})
            assert listed.structured_content == encode(
                await profiles.list_profiles(api.use, profiles.ListProfiles())
            )
            for name, wrong in (
                ("get_task", {"task_id": "00000000"}),
                ("get_task", {"task": "x"}),
                ("create_task", {}),
                ("nothing_like_it", {}),
            ):
                failed = await client.call_tool(name, wrong)
                with pytest.raises(OrchestratorError) as raised:
                    await calls.call(api.use, name, wrong)
                assert failed.is_error
                assert text_of(failed) == problem(raised.value)["detail"]

    with_api(compare)


def test_what_agents_say_in_the_name_of_an_attempt_is_refused_to_people(with_api) -> None:
    async def ask(api) -> None:
        async with connected(f"http://127.0.0.1:{api.port}/mcp", api.token) as client:
            failed = await client.call_tool("ask_human", {"question": "Who am I?"})
        assert failed.is_error
        assert "needs the token of an attempt" in text_of(failed)

    with_api(ask)


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer guessed", "Basic Zm9vOmJhcg=="])
def test_without_a_token_that_holds_nothing_is_answered(with_api, token: str) -> None:
    async def try_it(api) -> None:
        refused = await api.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1}, authorization=token)
        assert refused.status == 401
        assert refused.json["detail"].startswith("A valid token is needed")

    with_api(try_it)


def test_a_foreign_host_or_origin_is_refused(with_api) -> None:
    async def try_it(api) -> None:
        for header, status in (({"host": "evil.example"}, 421), ({"origin": "http://evil.example"}, 403)):
            assert (await api.ask("POST", "/mcp", {}, **header)).status == status

    with_api(try_it)


def test_the_listener_for_agents_answers_its_own_host_only_and_no_person(with_api) -> None:
    async def try_it(api) -> None:
        async with mcp_listener.on_demand(api.use) as address, httpx2.AsyncClient() as http:
            url = await address()
            assert url == await address(), "there is one, however often it is asked for"
            await begin(api.use, "own")
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            own = {"Authorization": "Bearer own", "Accept": "application/json, text/event-stream"}
            assert (await http.post(url, json=body, headers=own)).status_code == 200
            assert (
                await http.post(url, json=body, headers={**own, "Host": "evil.example"})
            ).status_code == 421
            foreign = {**own, "Origin": "http://evil.example"}
            assert (await http.post(url, json=body, headers=foreign)).status_code == 403
            person = {**own, "Authorization": f"Bearer {api.token}"}
            assert (await http.post(url, json=body, headers=person)).status_code == 401

    with_api(try_it)


def test_an_agent_sees_and_calls_what_its_profile_grants_while_its_attempt_lasts(with_api) -> None:
    async def try_it(api) -> None:
        url = f"http://127.0.0.1:{api.port}/mcp"
        claim, other = await begin(api.use, "own"), await begin(api.use, "others")
        async with connected(url, "own") as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert listed == {"get_task", "report_progress"}
            mine = await client.call_tool("get_task", {"task_id": claim.task.id})
            assert mine.structured_content["id"] == claim.task.id
            theirs = await client.call_tool("get_task", {"task_id": other.task.id})
            assert theirs.is_error
            part = await client.call_tool("get_task", {"task_id": claim.task.id[:6]})
            assert part.is_error, "an agent gives whole ids, and learns of no others"
            refused = await client.call_tool("list_tasks", {})
            assert text_of(refused) == "list_tasks is not granted by profile helper"
        by_address = await api.ask("GET", "/api/v1/tasks", authorization="Bearer own")
        assert by_address.status == 403
        await end(api.use, claim)
        gone = await api.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1}, authorization="Bearer own")
        assert gone.status == 401

    with_api(try_it)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_no_profile_opens_a_persons_command_to_an_agent(command) -> None:
    agent = Agent(task_id="t", attempt=1, project_id="acme", effective=EVERYTHING)
    refusal = calls.refusal(Caller(name="agent", agent=agent), command.name)
    if command.who is Who.ANYONE:
        assert command.name in EMBEDDED_NAMES
        assert refusal is None
    else:
        assert refusal is not None
        assert command.name in refusal
        assert "profile everything" in refusal


def test_what_governs_agents_is_never_an_agents() -> None:
    governing = ("token", "policy", "vault", "install", "import", "server", "answer", "cancel", "approve")
    found = {command.name for command in COMMANDS if any(word in command.name for word in governing)}
    assert {"delete_mcp_server", "install_profile", "answer_task", "vault_sync"} <= found
    assert {BY_NAME[name].who for name in found} == {Who.PERSON}
    changing = {command.name for command in COMMANDS if command.changes and command.who is Who.ANYONE}
    assert changing == {"ask_human", "create_task", "report_progress"}


def test_the_program_serves_the_same_on_standard_input_and_output(tmp_path: Path) -> None:
    async def try_it() -> None:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-P", "-c", "from orchestrator.cli.main import main; main()", "mcp"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "ORCHESTRATOR_HOME": str(tmp_path / "home"),
            },
        )
        async with asyncio.timeout(30), Client(server) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == list(BY_NAME)
            made = await client.call_tool("create_project", {"id": "acme"})
            assert made.structured_content["created"] == "acme"
            failed = await client.call_tool("get_project", {"project_id": "other"})
            assert failed.is_error
            assert "not found" in text_of(failed)

    asyncio.run(try_it())
