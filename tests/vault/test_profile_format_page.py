"""The page on the format says what the code does."""

import re
from pathlib import Path

import pytest

from orchestrator.vault import document, server_document
from orchestrator.vault.starter import packaged_vault

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "profile-format.md").read_text(encoding="utf-8")
PROFILES = re.findall(r"^````markdown\n(.*?)^````$", PAGE, re.MULTILINE | re.DOTALL)
SERVERS = re.findall(r"^```markdown\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SERVER_NOTES = (packaged_vault() / "mcp-servers" / "README.md").read_text(encoding="utf-8")
STATED = re.findall(r"^\| (?:warning: )?`(.+?)`(?:, | \|)", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", PROFILES)
def test_every_profile_shown_is_good(text: str) -> None:
    result = document.parse(text.encode(), profile_id="reviewer")
    assert isinstance(result, document.Parsed), result.errors
    assert result.warnings == ()


@pytest.mark.parametrize("text", SERVERS + re.findall(r"```markdown\n(.*?)```", SERVER_NOTES, re.DOTALL))
def test_every_server_shown_is_good(text: str) -> None:
    result = server_document.parse(text.encode(), name="example")
    assert isinstance(result, server_document.ParsedServer), result.errors
    assert result.warnings == ()


def test_every_message_of_the_tests_is_on_the_page() -> None:
    """Messages are compared by their words: what varies stands in angle brackets on the page."""
    patterns = [
        re.compile(".*?".join(map(re.escape, re.split(r"<[a-z]+>|\.\.\.", message)))) for message in STATED
    ]
    said = set()
    for name in ("test_profile_document.py", "test_server_document.py"):
        text = (Path(__file__).parent / name).read_text(encoding="utf-8")
        said |= set(re.findall(r'"((?:the file|front matter|code fence|##|this )[^"]* \(line \d+\)?)"', text))
    assert len(said) > 30
    unstated = [message for message in said if not any(pattern.search(message) for pattern in patterns)]
    assert unstated == []
