"""Documents made to be slow are answered all the same."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vault import document, sections

FUZZ = Path(__file__).parents[2] / "bench" / "fuzz_documents.py"


def test_no_document_of_a_mebibyte_crashes_the_parser_or_keeps_it_busy() -> None:
    """The bar by hand is 100 ms; here other tests run beside it, and what is quadratic takes seconds."""
    command = [sys.executable, str(FUZZ), "--rounds=10", "--bar=500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.lists(st.sampled_from(["\n", "\r\n", " ", "   ", "#", "## ", "`", "```", "~~~", "a"]), max_size=16))
def test_what_is_found_fast_is_what_is_a_heading_or_a_fence(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = [text.rfind("\n", 0, mark.start()) + 1 for mark in sections._FOUND.finditer(text)]
    assert found == [mark.start() for mark in sections._MARK.finditer(text)]


@pytest.mark.parametrize("title", ["Conf\u0131g", "CONF\u0130G", "Tool\u017f"])
def test_a_title_in_letters_that_fold_to_ours_is_no_crash(title: str) -> None:
    text = f"---\nname: x\n---\n# {title}\n## Config\n```json\n{{}}\n```\n"
    assert isinstance(document.parse(text.encode(), profile_id="x"), document.Parsed)
