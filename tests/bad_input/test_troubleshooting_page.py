"""The page of messages, against the messages that are in the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def text_of(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.FormattedValue():
            return "…"
    return ""


@pytest.fixture(scope="module")
def written() -> str:
    """Every text in the code, with an ellipsis for what is filled in."""
    files = sorted((ROOT / "orchestrator").rglob("*.py"))
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return re.sub(r"\s+", " ", re.sub(r"\{\w+\}", "…", "\n".join(map(text_of, nodes))))


@pytest.mark.parametrize("message", SHOWN)
def test_a_message_on_the_page_is_one_of_the_program(message: str, written: str) -> None:
    for piece in filter(None, (piece.strip() for piece in message.split("…"))):
        assert piece in written
