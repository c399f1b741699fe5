"""Which reply a conversation gets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rehearsal import Reply, Request, Rule, Script, When, steps
from orchestrator.rehearsal.choose import Counts, choose, fits
from orchestrator.rehearsal.request import read

A, B, C = (Reply(text=text) for text in "abc")


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(*names: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": n, "name": n, "input": {}} for n in names],
    }


def results(*names: str) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": n, "content": ""} for n in names],
    }


def request(*messages: dict[str, Any], session: str = "s", **body: Any) -> Request:
    headers = {"X-Claude-Code-Session-Id": session, "X-Orchestrator-Task": "t1"}
    return read(headers, {"messages": list(messages), **body})


def texts(script: Script, *requests: Request) -> list[str | None]:
    counts = Counts()
    return [choose(script, one, counts).reply.text for one in requests]


def test_replies_follow_the_steps_and_the_last_goes_on() -> None:
    talk = [
        said("go"),
        called("Read"),
        results("Read"),
        called("Bash"),
        results("Bash"),
        called("Bash"),
        results("Bash"),
    ]
    asked = [request(*talk[:n]) for n in (1, 3, 5, 7)]
    assert texts(steps(A, B, C), *asked) == ["a", "b", "c", "c"]


def test_the_steps_start_again_when_the_person_speaks_again() -> None:
    talk = [said("go"), called("Read"), results("Read"), called("Read"), said("more")]
    fresh = request(*talk)
    assert (fresh.turn, fresh.step, fresh.results, fresh.prompt) == (2, 0, 0, "more")
    assert texts(steps(A, B), fresh) == ["a"]


def test_reminders_of_the_client_are_not_what_the_person_said() -> None:
    reminder = {"type": "text", "text": "<system-reminder>the date</system-reminder>"}
    first = {"role": "user", "content": [reminder, {"type": "text", "text": "go"}]}
    late = {"role": "user", "content": [reminder]}
    asked = request(first, called("Read"), results("Read"), late)
    assert (asked.prompt, asked.step, asked.results) == ("go", 1, 1)


def test_a_request_that_is_tried_again_gets_the_same_reply() -> None:
    again = request(said("go"))
    assert texts(steps(A, B), again, again, again) == ["a", "a", "a"]


def test_a_rule_with_times_stands_aside_in_each_conversation() -> None:
    script = Script(rules=(Rule(replies=(A, B), times=2),), default=C)
    one, other = request(said("go"), session="1"), request(said("go"), session="2")
    assert texts(script, one, one, one, other, other, other) == ["a", "b", "c", "a", "b", "c"]


def test_a_rule_with_times_in_all_stands_aside_for_everyone() -> None:
    script = Script(rules=(Rule(replies=(A,), times_in_all=1),), default=C)
    one, other = request(said("go"), session="1"), request(said("go"), session="2")
    assert texts(script, one, other, one) == ["a", "c", "c"]


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        (When(), True),
        (When(prompt="^g."), True),
        (When(prompt="stop"), False),
        (When(turn=0, step=0, results=0), True),
        (When(turn=1), False),
        (When(step=2), False),
        (When(results=1), False),
        (When(session="s"), True),
        (When(session="S"), False),
        (When(headers={"x-orchestrator-task": "t1"}), True),
        (When(headers={"X-Orchestrator-Task": "t2"}), False),
        (When(headers={"X-Absent": "t1"}), False),
        (When(model="m"), True),
        (When(model="n"), False),
        (When(tool="Read"), True),
        (When(tool="Bash"), False),
    ],
)
def test_every_condition_that_is_given_must_hold(when: When, wanted: bool) -> None:
    asked = request(said("go"), model="m", tools=[{"name": "Read"}])
    assert fits(when, asked) is wanted


def test_a_reply_can_be_worked_out_from_the_request() -> None:
    script = Script(default=lambda asked: Reply(text=asked.prompt.upper()))
    assert texts(script, request(said("go"))) == ["GO"]


def test_the_choice_names_the_rule() -> None:
    script = Script(
        rules=(Rule(when=When(prompt="x"), replies=(A,), name="the x"), Rule(when=When(turn=0), replies=(B,)))
    )
    names = [choose(script, request(said(text)), Counts()).rule for text in ("x", "y")]
    assert names == ["the x", "rule 2"]
    assert choose(script, request(said("a"), called("b"), said("c")), Counts()).rule == "default"


MESSAGES = st.lists(
    st.sampled_from([said("go"), said("more"), called("Read"), called("A", "B"), results("Read")])
)


@given(talks=st.lists(st.tuples(st.sampled_from("12"), MESSAGES), min_size=1), order=st.randoms())
def test_without_counts_the_order_in_which_conversations_ask_makes_no_difference(
    talks: Any, order: Any
) -> None:
    script = Script(
        rules=(Rule(when=When(prompt="more"), replies=(A, B)), Rule(when=When(turn=1), replies=(C,)))
    )
    asked = [request(*messages, session=session) for session, messages in talks]
    alone = [texts(script, one)[0] for one in asked]
    shuffled = list(range(len(asked)))
    order.shuffle(shuffled)
    together = texts(script, *(asked[index] for index in shuffled))
    assert together == [alone[index] for index in shuffled]


@given(messages=MESSAGES)
def test_steps_never_exceed_turns(messages: Any) -> None:
    asked = request(*messages)
    assert 0 <= asked.step <= asked.turn
    assert asked.prompt in ("", "go", "more")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner)
    ),
    max_leaves=12,
)


@given(messages=st.lists(st.dictionaries(st.sampled_from(["role", "content"]), ANYTHING)), system=ANYTHING)
def test_no_message_is_so_odd_that_reading_it_fails(messages: Any, system: Any) -> None:
    assert read({}, {"messages": messages, "system": system}).turn >= 0
