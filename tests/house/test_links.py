"""Every link of the documentation leads somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("deploy/*.md")]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`(docs/[\w.-]+\.md|CONTRIBUTING\.md|bench/README\.md)`")
"""Pages that are named and not linked."""
FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1\s*$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """Without its code blocks, in which nothing is a link or a heading."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> Iterator[str]:
    """Those that a forge gives to the headings of the page."""
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        count = seen[name] = seen.get(name, -1) + 1
        yield name if count == 0 else f"{name}-{count}"


def broken(page: Path) -> Iterator[str]:
    for link in LINK.findall(text_of(page)):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", place):
            continue
        target = page.parent / place if place else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: there is no such heading"
    for name in NAMED.findall(text_of(page)):
        if not (ROOT / name).exists():
            yield f"{name}: there is no such file"


def test_the_readme_leads_to_every_page() -> None:
    linked = set(LINK.findall(text_of(ROOT / "README.md")))
    assert {str(page.relative_to(ROOT)) for page in PAGES} - linked == {"README.md"}


def test_contributing_lists_the_layers_that_are_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    # In brackets are layers that may be missing.
    there = [[one for one in layer.split(" | ") if exists(one.strip("()"))] for layer in layers]
    lines = [" | ".join(one.strip("()").removeprefix("orchestrator.") for one in layer) for layer in there]
    assert "\n".join(lines) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def exists(module: str) -> bool:
    place = ROOT / module.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, twice\n## A title twice\n"
        "[a](none.md) [b](#a-title-twice) [c](#no)\n[d](#a-title-twice-1)\n"
        "[e](https://example.org/x#y)\n```\n[f](code.md)\n```\nsee `docs/none.md`\n",
        encoding="utf-8",
    )
    assert list(broken(page)) == [
        "none.md: there is no such file",
        "#no: there is no such heading",
        "docs/none.md: there is no such file",
    ]
