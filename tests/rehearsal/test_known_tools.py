"""The data on built-in tools is what the executables say of themselves."""

import asyncio
import sys
from pathlib import Path

import pytest

from orchestrator.domain import known_tools
from orchestrator.domain.errors import StartRefused
from orchestrator.rehearsal.known_tools import Found, as_source, ask, first_sentence, main


@pytest.mark.real_cli
def test_the_data_is_what_the_executable_says_today(executable: Path) -> None:
    found = asyncio.run(ask(executable))
    seen = [tool for tool in known_tools.KNOWN_TOOLS if found.version in tool.versions]
    assert {tool.name for tool in seen} == found.tools.keys()
    assert found.unasked <= {tool.name for tool in seen if tool.unasked}
    assert found.aliases.items() <= known_tools.ALIASES.items()
    newest = [tool for tool in seen if tool.versions[0] == found.version]
    assert {tool.name: tool.description for tool in newest} == {t.name: found.tools[t.name] for t in newest}


def test_the_source_written_is_valid_and_has_the_newest_words() -> None:
    old = Found(version="2.9.0", tools={"Read": "Old.", "Gone": "Gone."}, aliases={"Task": "Agent"})
    new = Found(version="2.10.0", tools={"Read": 'New "words".'}, unasked=frozenset({"Read"}))
    module: dict[str, object] = {"__name__": "written"}
    # A dataclass looks its module up by name.
    sys.modules["written"] = type(sys)("written")
    try:
        exec(as_source([old, new]), module)
    finally:
        del sys.modules["written"]
    tools = {tool.name: tool for tool in module["KNOWN_TOOLS"]}  # type: ignore[attr-defined]
    assert (tools["Read"].description, tools["Read"].versions) == ('New "words".', ("2.10.0", "2.9.0"))
    assert (tools["Gone"].versions, tools["Gone"].unasked, tools["Read"].unasked) == (("2.9.0",), False, True)
    assert module["ALIASES"] == {"Task": "Agent"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Reads a file. You can.", "Reads a file."),
        ("\n- Stops a task by its ID\n- Takes", "Stops a task by its ID"),
        ("# SendMessage\n\nSend a message.", "Send a message."),
        ("IMPORTANT: it fails.\n\n  - Fetches e.g.Docs\n", "Fetches e.g.Docs"),
        ("word " * 40, ("word " * 16).strip() + "\u2026"),
        ("", ""),
        ("# only a heading", ""),
    ],
)
def test_a_description_is_its_first_telling_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_an_executable_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartRefused, match="printed no version"):
        asyncio.run(ask(Path("/bin/true")))
    assert main([str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err
