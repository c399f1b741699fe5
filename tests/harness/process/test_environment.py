import pytest

from orchestrator.harness.process import MARKER, build_environment

PARENT = {
    "PATH": "/bin",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "TZ": "UTC",
    "HOME": "/home/operator",
    "TMPDIR": "/operator/tmp",
    "SECRET": "s",
    "NPM_TOKEN": "n",
    "NPM_CACHE": "c",
    "GIT_DIR": "/g",
    "CLAUDECODE": "1",
    "CLAUDE_CODE_X": "1",
    "ANTHROPIC_API_KEY": "k",
    "LD_PRELOAD": "/evil.so",
    MARKER: "another",
}


def built(**more: object) -> dict[str, str]:
    return build_environment(attempt="a1", home="/h", tmp="/t", parent=PARENT, **more)  # type: ignore[arg-type]


def test_nothing_but_the_basics_is_passed_on() -> None:
    assert built() == {
        "PATH": "/bin",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": "/h",
        "TMPDIR": "/t",
        MARKER: "a1",
    }


def test_an_empty_parent_still_gives_a_usable_environment() -> None:
    env = build_environment(attempt="a1", home="/h", tmp="/t", parent={})
    assert env["PATH"]
    assert env["LANG"] == "C.UTF-8"


def test_a_name_or_a_pattern_allows_more() -> None:
    assert built(allow=["SECRET"])["SECRET"] == "s"
    env = built(allow=["NPM_*"])
    assert (env["NPM_TOKEN"], env["NPM_CACHE"]) == ("n", "c")
    assert "SECRET" not in env


@pytest.mark.parametrize("pattern", ["*", "GIT_*", "CLAUDE*", "ANTHROPIC_*", "LD_*", "ORCHESTRATOR_*"])
def test_what_steers_git_or_the_agent_is_never_passed_on_by_a_pattern(pattern: str) -> None:
    dangerous = {"GIT_DIR", "CLAUDECODE", "CLAUDE_CODE_X", "ANTHROPIC_API_KEY", "LD_PRELOAD"}
    env = built(allow=[pattern])
    assert not dangerous & env.keys()
    assert env[MARKER] == "a1"


def test_what_is_named_exactly_is_passed_on() -> None:
    assert built(allow=["ANTHROPIC_API_KEY"])["ANTHROPIC_API_KEY"] == "k"


def test_extras_win_but_not_over_what_is_the_attempts_own() -> None:
    env = built(extras={"PATH": "/x", "HOME": "/elsewhere", MARKER: "forged", "ANTHROPIC_BASE_URL": "u"})
    assert (env["PATH"], env["HOME"], env[MARKER], env["ANTHROPIC_BASE_URL"]) == ("/x", "/h", "a1", "u")


def test_a_name_that_is_allowed_and_absent_stays_absent() -> None:
    assert "NOWHERE" not in built(allow=["NOWHERE"])


def test_loopback_never_goes_through_a_proxy() -> None:
    parent = {"HTTPS_PROXY": "http://proxy", "NO_PROXY": "intern"}
    found = build_environment(
        attempt="a1", home="/h", tmp="/t", parent=parent, allow=("HTTPS_PROXY", "NO_PROXY")
    )
    assert found["HTTPS_PROXY"] == "http://proxy"
    assert found["NO_PROXY"] == "intern,127.0.0.1,localhost,::1"
    assert "NO_PROXY" not in build_environment(attempt="a1", home="/h", tmp="/t", parent={})
