"""What an agent may print, and how the attempt that hears it ends."""

import json
import time
from typing import Any

import pytest

from orchestrator.domain.task import TaskState

DEEP = 980
"""Levels of nesting: nearly as many as Python's decoder goes down, more than a walk in Python can."""


def nested(value: str) -> str:
    return '{"type":"x","a":' * DEEP + value + "}" * DEEP


@pytest.mark.parametrize(
    ("script", "outcome", "state", "said"),
    [
        ("big=20971520", "completed", TaskState.COMPLETED, "done"),
        ("bad_utf8", "completed", TaskState.COMPLETED, "done"),
        ("raw=not json;raw=[1,2];raw=null", "completed", TaskState.COMPLETED, "done"),
        ("raw=" + nested("1"), "completed", TaskState.COMPLETED, "done"),
        ("raw=" + nested('"\\ud800"'), "completed", TaskState.COMPLETED, "done"),
        ("half_line", "crashed", TaskState.READY, "without a result"),
        ("silent", "crashed", TaskState.READY, "without a result"),
        ("no_result", "crashed", TaskState.READY, "without a result"),
        ("api_error=401", "authentication_failed", TaskState.READY, "ANTHROPIC_API_KEY"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_whatever_an_agent_prints_its_attempt_ends_as_it_should(
    sqlite_lab: Any, script: str, outcome: str, state: TaskState, said: str
) -> None:
    task_id = sqlite_lab.ask(script)
    [task] = sqlite_lab.settle(task_id)
    [attempt] = sqlite_lab.attempts(task_id)
    assert (attempt.outcome, task.state) == (outcome, state)
    assert said in attempt.message


def test_a_line_of_twenty_mebibytes_is_kept_whole(sqlite_lab: Any) -> None:
    task_id = sqlite_lab.ask("big=20971520")
    sqlite_lab.settle(task_id)
    assert max(len(said.body.get("text", "")) for said in sqlite_lab.messages(task_id)) == 20 * 1024 * 1024


ODD_RESULTS: dict[str, dict[str, Any]] = {
    "numbers beyond every column": {
        "usage": {"input_tokens": 10**30, "output_tokens": -5, "cache_read_input_tokens": 2**31},
        "num_turns": 10**20,
        "total_cost_usd": 1e300,
    },
    "numbers that are none": {"usage": "much", "num_turns": "three", "total_cost_usd": "free"},
    "no finite number": {"total_cost_usd": float("inf"), "num_turns": float("nan")},
    "text that no database stores": {"result": "nul \0, half \ud800, four bytes \U0001f600"},
    "text that is none": {"result": {"a": 1}},
}


@pytest.mark.parametrize("odd", ODD_RESULTS.values(), ids=ODD_RESULTS)
def test_an_odd_result_is_recorded_and_nothing_beside_it_suffers(lab: Any, odd: dict[str, Any]) -> None:
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "odd", **odd}
    task_id, other = lab.ask(f"raw={json.dumps(result)};no_result"), lab.ask("say=hello")
    lab.settle(task_id, other)
    [attempt] = lab.attempts(task_id)
    assert attempt.outcome == "completed"
    assert lab.task(other).state is TaskState.COMPLETED


def test_text_that_no_database_stores_reaches_agent_and_database_without_harm(lab: Any) -> None:
    said = json.dumps(
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "a\0b\ud800c\U0001f600"}]}}
    )
    task_id = lab.ask(f"raw={said}", title="four bytes \U0001f600")
    lab.settle(task_id)
    [text] = [one.body["text"] for one in lab.messages(task_id) if one.kind == "text"]
    assert (text[0], text[2], text[-1]) == ("a", "b", "\U0001f600")
    assert lab.task(task_id).title.endswith("\U0001f600")


def test_numbers_that_are_not_finite_are_null_to_every_reader(lab: Any) -> None:
    line = '{"type":"odd","a":NaN,"b":[-Infinity,1e999],"c":1.5}'
    task_id = lab.ask(f"raw={line}")
    lab.settle(task_id)
    [odd] = [one.body for one in lab.messages(task_id) if one.kind == "unknown"]
    assert (odd["a"], odd["b"], odd["c"]) == (None, [None, None], 1.5)


@pytest.mark.parametrize("reset", ["1e999", "NaN", "9" * 400, "-1"])
def test_a_reset_time_beyond_all_sense_is_as_good_as_none(sqlite_lab: Any, reset: str) -> None:
    info = f'{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset}}}}}'
    task_id = sqlite_lab.ask(f"raw={info};api_error=429")
    [task] = sqlite_lab.settle(task_id)
    assert sqlite_lab.attempts(task_id)[0].outcome == "rate_limited"
    assert 20 < task.run_at - time.time() < 70
