"""The settings page says what the code does."""

from pathlib import Path

from orchestrator.settings.page import with_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_lists_every_key_as_it_is() -> None:
    """After a change: `make docs`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page)
