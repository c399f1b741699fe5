"""The stand-in itself: tests of adapter and worker rest on what it does."""

import json
import subprocess
from typing import Any

from orchestrator.harness.process import Isolation, finish


def control(request_id: str, request: dict[str, Any]) -> bytes:
    message = {"type": "control_request", "request_id": request_id, "request": request}
    return json.dumps(message).encode() + b"\n"


def verdict(request_id: str, decision: str) -> bytes:
    output = {"hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": "no"}
    response = {
        "subtype": "success",
        "request_id": request_id,
        "response": {"hookSpecificOutput": output},
    }
    return json.dumps({"type": "control_response", "response": response}).encode() + b"\n"


def test_it_answers_for_its_version(agent: str) -> None:
    done = subprocess.run([agent, "--version"], capture_output=True, check=True, text=True)
    assert done.stdout == "2.1.329 (Claude Code)\n"


def test_a_hook_is_asked_for_each_call_and_its_denial_is_listed(lab: Any, fake: Any, best: Isolation) -> None:
    async def scene() -> tuple[list[str], dict[str, Any]]:
        async with fake('tool=Read:{"file_path":"a"};tool=Bash:{"command":"id"}', best) as child:
            hooks = {"PreToolUse": [{"matcher": None, "hookCallbackIds": ["hook_0"]}]}
            await child.write(control("r1", {"subtype": "initialize", "hooks": hooks}))
            await lab.ask(child)
            asked = []
            async for item in child.messages():
                if item["type"] == "control_request":
                    name = item["request"]["input"]["tool_name"]
                    asked.append(name)
                    await child.write(verdict(item["request_id"], "allow" if name == "Read" else "deny"))
                elif item["type"] == "result":
                    await finish(child)
                    return asked, item
        raise AssertionError("no result")

    asked, result = lab.go(scene())
    assert asked == ["Read", "Bash"]
    assert [denied["tool_name"] for denied in result["permission_denials"]] == ["Bash"]


def test_an_interrupt_ends_the_turn_and_the_next_message_starts_another(
    lab: Any, fake: Any, best: Isolation
) -> None:
    async def scene() -> list[str]:
        async with fake("say=x;hang", best) as child:
            messages = aiter(child.messages())
            subtypes = []
            for number in range(2):
                await lab.ask(child)
                async for item in messages:
                    if item["type"] == "assistant":
                        await child.write(control(f"r{number}", {"subtype": "interrupt"}))
                    if item["type"] == "result":
                        subtypes.append(item["subtype"])
                        break
            return subtypes

    assert lab.go(scene()) == ["error_during_execution"] * 2


def test_the_script_may_come_with_the_prompt(lab: Any, agent: str, env: dict[str, str]) -> None:
    line = json.dumps({"type": "user", "message": {"role": "user", "content": "do FAKE[api_error=429] now"}})
    argv = [agent, "-p", "--input-format", "stream-json", "--tools=Read,Grep", "--model", "m"]
    done = subprocess.run(argv, input=line, capture_output=True, text=True, check=False, env=env)
    init, result = map(json.loads, done.stdout.splitlines())
    assert (init["tools"], init["model"]) == (["Read", "Grep"], "m")
    assert (result["subtype"], result["is_error"], result["api_error_status"]) == ("success", True, 429)
    assert done.returncode == 1
