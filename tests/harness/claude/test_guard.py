"""The verdict on a call: granted by name, and within the checkout."""

import os
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.grants import grants
from orchestrator.domain.tools import BUILTIN_NAMES, PATH_TOOLS
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.harness.claude.guard import PATH_ARGUMENTS, Territory, Verdict, decide

EVERY = tuple(sorted(PATH_TOOLS))
TERRITORY = Territory(checkout="/work/c", writable=("/work/c", "/srv/added"), readable=("/work/a/results",))


def verdict(tool: str, arguments: object, *, cwd: str = "/work/c", **profile: Any) -> Verdict:
    effective = replace(CLAUDE_DEFAULTS, **{"allowed_tools": EVERY, **profile})
    return decide(effective, TERRITORY, tool, arguments, cwd=cwd, resolve=posixpath.normpath)


def on(tool: str, path: object, **more: Any) -> bool:
    arguments = {PATH_ARGUMENTS[tool][0]: path, "pattern": "x", **more}
    return verdict(tool, arguments).granted


@given(
    st.sampled_from(
        [*sorted(BUILTIN_NAMES), "mcp__a__x", "mcp__agent-queue__create_task", "Task", "", "read"]
    ),
    st.lists(st.sampled_from([*sorted(BUILTIN_NAMES), "mcp__a__x", "create_task"])),
    st.lists(st.sampled_from([*sorted(BUILTIN_NAMES), "mcp__a__x", "mcp__a__*"])),
    st.dictionaries(
        st.sampled_from(["file_path", "path", "pattern", "x"]), st.one_of(st.text(), st.integers(), st.none())
    ),
)
def test_nothing_goes_on_that_is_not_granted(
    tool: str, allowed: list[str], denied: list[str], arguments: dict[str, Any]
) -> None:
    profile = {"allowed_tools": tuple(allowed), "denied_tools": tuple(denied), "mcp_servers": ("a",)}
    if verdict(tool, arguments, **profile).granted:
        assert grants(replace(CLAUDE_DEFAULTS, **profile), tool)


segments = st.lists(
    st.sampled_from(["..", ".", "", "src", "c", "work", "etc", "added", "~", "a b"]), max_size=6
)


@given(st.sampled_from(EVERY), segments, st.booleans())
def test_no_spelling_of_a_path_leaves_the_checkout(tool: str, parts: list[str], absolute: bool) -> None:
    path = ("/" if absolute else "") + "/".join(parts)
    real = posixpath.normpath(path if absolute else f"/work/c/{path}")
    if path and on(tool, path):
        places = [*TERRITORY.writable, *TERRITORY.readable]
        assert any(real == place or real.startswith(f"{place}/") for place in places)


@pytest.mark.parametrize("tool", EVERY)
def test_the_checkout_and_what_was_added_are_open(tool: str) -> None:
    assert on(tool, "/work/c/src/x.py")
    assert on(tool, "src/../x.py")
    assert on(tool, "/srv/added/x")


@pytest.mark.parametrize("tool", EVERY)
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "/work/c/../other",
        "/work/cc/x",
        "~/x",
        "~root/x",
        "/srv",
        "/",
        "a\0b",
        7,
        [],
    ],
)
def test_everything_else_is_closed(tool: str, path: object) -> None:
    assert not on(tool, path)


def test_a_place_for_results_may_be_read_but_not_written() -> None:
    assert on("Read", "/work/a/results/r.txt")
    assert not on("Write", "/work/a/results/r.txt")
    assert not on("Edit", "/work/a/results/r.txt")
    assert not on("Read", "/work/a/launch/mcp.json")


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        ("*.py", True),
        ("src/**/*.py", True),
        ("{src,tests}/*.py", True),
        ("/work/c/**", True),
        ("/etc/*", False),
        ("/**", False),
        ("../*", False),
        ("src/*/../../../x", False),
        ("{/etc,src}/*", False),
        ("{src,~}/*", False),
        ("{a,../..}/x", False),
        ("~/x*", False),
        (5, False),
        (None, False),
    ],
)
def test_a_pattern_reaches_no_further_than_a_path(pattern: object, fine: bool) -> None:
    assert verdict("Glob", {"pattern": pattern}).granted is fine


def test_an_absent_path_is_the_working_directory_and_only_where_that_is_legal() -> None:
    assert verdict("Grep", {"pattern": "x"}).granted
    assert not verdict("Grep", {"pattern": "x"}, cwd="/etc").granted
    assert verdict("Glob", {"pattern": "*", "path": ""}).granted
    assert not verdict("Read", {}).granted
    assert not verdict("Read", {"file_path": ""}).granted
    assert not verdict("Read", {"path": "/work/c/x"}).granted


def test_a_link_counts_by_where_it_leads(tmp_path: Path) -> None:
    checkout = tmp_path / "c"
    checkout.mkdir()
    (tmp_path / "secret").write_text("x")
    (checkout / "file").symlink_to(tmp_path / "secret")
    (checkout / "up").symlink_to(tmp_path)
    (checkout / "own").symlink_to(checkout)
    territory = Territory(checkout=str(checkout), writable=(str(checkout),), readable=())

    def reads(path: str) -> bool:
        arguments = {"file_path": path}
        return decide(
            CLAUDE_DEFAULTS, territory, "Read", arguments, cwd=str(checkout), resolve=os.path.realpath
        ).granted

    assert not reads("file")
    assert not reads("up/secret")
    assert not reads("up/new")
    assert reads("own/new")
    (checkout / "loop").symlink_to("loop")
    assert not reads("\ud800")
    assert not reads("x" * 100_000 + "/../../../x")


def test_a_refusal_names_tool_and_profile() -> None:
    said = verdict("Bash", {}, profile_id="reviewer").reason
    assert "Bash" in said
    assert "reviewer" in said
    assert not verdict("Agent", {"prompt": "x"}).granted
    assert verdict("Agent", {"prompt": "x"}, allowed_tools=("Agent",)).granted
    assert not verdict("Bash", "ls", allowed_tools=("Bash",)).granted
