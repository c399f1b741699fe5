"""How the whitelist held, in sentences."""

from orchestrator.cli.enforcement import lines_of

HELD = {
    "answered": {"registered": True, "fail_closed": True, "granted": 2, "denied": 1, "denied_by_agent": 1},
    "absent": {"tools": ["Read", "Grep"], "hidden": ["mcp__linter__fix"]},
    "verified": {"held": True, "tools": ["Grep", "Read"], "servers": {"linter": "connected"}},
}


def said(enforcement) -> list[str]:
    return [line.plain for line in lines_of(enforcement)]


def test_each_layer_is_a_sentence_in_the_order_in_which_they_work() -> None:
    absent, verified, answered = said(HELD)
    assert absent.startswith("absent: It was started with Read, Grep and no other built-in tools")
    assert absent.endswith("Hidden of its MCP servers: mcp__linter__fix.")
    assert "it reported Grep, Read; MCP servers: linter (connected)." in verified
    assert verified.endswith("no more than its profile grants.")
    assert answered == "answered: Of 3 calls the worker granted 2 and denied 1."


def test_what_did_not_hold_or_did_not_come_about_is_said() -> None:
    absent, verified, answered = said(
        {
            "absent": {"tools": [], "hidden": []},
            "verified": {"held": False, "tools": ["Bash"], "servers": {}},
            "answered": {"registered": False},
        }
    )
    assert "started with no built-in tool, without settings" in absent
    assert verified == (
        "verified: It reported Bash; MCP servers: none. That is not what its profile grants, so it was ended."
    )
    assert answered == "answered: It ended before the worker could answer for its calls."
    assert said({"verified": {"held": False, "tools": None}}) == [
        "verified: It ended before it reported its tools."
    ]


def test_what_another_harness_records_is_shown_as_it_is() -> None:
    assert said({"sandbox": {"level": 2}, "absent": "by configuration"}) == [
        "absent: by configuration",
        'sandbox: {"level": 2}',
    ]
