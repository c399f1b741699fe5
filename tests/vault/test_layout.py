"""Paths of the vault and what they stand for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.profile import ID_PATTERN
from orchestrator.vault.layout import Address, BadName, Stray, is_id, path_of, place_of

IDS = st.from_regex(re.compile(ID_PATTERN, re.ASCII), fullmatch=True).filter(is_id)
ADDRESSES = st.builds(
    Address, kind=st.sampled_from(["profile", "mcp_server"]), id=IDS, project_id=st.none() | IDS
)


@given(ADDRESSES)
def test_an_address_survives_the_way_to_its_path_and_back(address: Address) -> None:
    assert place_of(path_of(address)) == address


@given(st.text())
def test_any_text_is_a_place_or_nothing(path: str) -> None:
    place = place_of(path)
    if isinstance(place, Address):
        assert path_of(place) == path


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (Address(kind="profile", id="reviewer"), "agent-types/reviewer/profile.md"),
        (
            Address(kind="profile", id="reviewer", project_id="acme"),
            "projects/acme/agent-types/reviewer/profile.md",
        ),
        (Address(kind="mcp_server", id="linter"), "mcp-servers/linter.md"),
        (Address(kind="mcp_server", id="a.b", project_id="acme"), "projects/acme/mcp-servers/a.b.md"),
    ],
)
def test_the_layout_is_that_of_the_specification(address: Address, path: str) -> None:
    assert path_of(address) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "README.md",
        "agent-types/README.md",
        "agent-types/reviewer/notes.md",
        "agent-types/reviewer/profile.md.bak",
        "agent-types/reviewer/deep/profile.md",
        "mcp-servers/README.md",
        "mcp-servers/linter.txt",
        "mcp-servers/deep/linter.md",
        "projects/acme/README.md",
        "projects/agent-types/reviewer.md",
        "notes/agent-types/reviewer/profile.md",
        "projects/acme/deep/agent-types/reviewer/profile.md",
        ".git/agent-types/reviewer/profile.md",
    ],
)
def test_everything_else_in_the_tree_is_nobodys_business(path: str) -> None:
    assert place_of(path) is None


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "-x", "a" * 65, "a\n", "ümlaut", "a\\b", "_x"])
def test_a_name_that_is_no_id_is_reported_and_never_an_address(name: str) -> None:
    for path in (
        f"agent-types/{name}/profile.md",
        f"mcp-servers/{name}.md",
        f"projects/{name}/mcp-servers/x.md",
    ):
        place = place_of(path)
        assert isinstance(place, BadName)
        assert "is not an id" in place.message


@pytest.mark.parametrize("name", ["Reviewer", "\uff52eviewer", "REVIEWER", "\u24c7eviewer"])
def test_a_name_that_folds_to_an_id_is_refused_by_the_name_it_would_collide_with(name: str) -> None:
    place = place_of(f"agent-types/{name}/profile.md")
    assert isinstance(place, BadName)
    assert "differs from the id 'reviewer' only in case or Unicode form" in place.message


def test_an_address_with_a_bad_id_has_no_path() -> None:
    for address in (Address(kind="profile", id="../x"), Address(kind="profile", id="x", project_id="a/b")):
        with pytest.raises(ValueError, match="is not an id"):
            path_of(address)


@pytest.mark.parametrize(
    ("path", "intended"),
    [
        (
            "agent-types/project:acme:reviewer/profile.md",
            Address(kind="profile", id="reviewer", project_id="acme"),
        ),
        (
            "projects/acme/agent-types/project:acme:reviewer",
            Address(kind="profile", id="reviewer", project_id="acme"),
        ),
        ("projects/other/agent-types/project:acme:reviewer/profile.md", None),
        ("agent-types/a:b/profile.md", None),
        ("agent-types/project:../..:x/profile.md", None),
    ],
)
def test_a_directory_of_the_old_layout_is_a_stray_and_never_a_profile(
    path: str, intended: Address | None
) -> None:
    assert place_of(path) == Stray(path=path, intended=intended)
