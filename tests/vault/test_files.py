"""Reading the tree: only where documents live, and never outside of it."""

import os
from pathlib import Path

import pytest

from orchestrator.vault.document import MOST_BYTES
from orchestrator.vault.files import Tree, VaultUnavailable, read_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "vault"
    root.mkdir()
    return root


def put(root: Path, path: str, text: str = "text") -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def look(root: Path) -> Tree:
    return read_tree(root, {})


def test_documents_are_found_where_the_layout_puts_them_and_nowhere_else(root: Path) -> None:
    documents = [
        "agent-types/a/profile.md",
        "mcp-servers/s.md",
        "projects/acme/agent-types/a/profile.md",
        "projects/acme/mcp-servers/s.md",
    ]
    others = [
        "README.md",
        "agent-types/a/notes.md",
        "agent-types/profile.md",
        "agent-types/a/b/profile.md",
        "mcp-servers/README.md",
        "mcp-servers/x/s.md",
        "projects/notes.md",
        ".git/agent-types/a/profile.md",
    ]
    for path in (*documents, *others):
        put(root, path, path)
    tree = look(root)
    assert sorted(tree.files) == sorted(documents)
    assert {path: file.data for path, file in tree.files.items()} == {
        path: path.encode() for path in documents
    }
    assert (tree.problems, tree.strays, tree.empty) == ({}, {}, False)


def test_a_file_seen_before_is_not_read_again_until_it_changes(root: Path) -> None:
    same, changed = put(root, "mcp-servers/a.md", "one"), put(root, "mcp-servers/b.md", "one")
    seen = look(root).files
    stamp = changed.stat()
    changed.write_text("two")
    os.utime(changed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    again = read_tree(root, seen)
    assert again.files["mcp-servers/a.md"] is seen["mcp-servers/a.md"]
    # A modification time that was set back hides nothing.
    assert again.files["mcp-servers/b.md"].data == b"two"
    assert same.read_text() == "one"


@pytest.mark.parametrize("kind", ["file", "directory", "scope", "projects"])
def test_a_link_out_of_the_vault_is_not_followed(root: Path, tmp_path: Path, kind: str) -> None:
    secret = put(tmp_path, "outside/agent-types/a/profile.md", "secret")
    if kind == "file":
        (root / "agent-types/a").mkdir(parents=True)
        (root / "agent-types/a/profile.md").symlink_to(secret)
    elif kind == "directory":
        (root / "agent-types").mkdir()
        (root / "agent-types/a").symlink_to(secret.parent)
    elif kind == "scope":
        (root / "agent-types").symlink_to(tmp_path / "outside/agent-types")
    else:
        (root / "projects").mkdir()
        (root / "projects/acme").symlink_to(tmp_path / "outside")
    tree = look(root)
    assert tree.files == {}
    assert [*tree.problems.values()] == ["links out of the vault; it is not read"]


def test_a_link_within_the_vault_is_followed(root: Path) -> None:
    put(root, "shared/base.md", "shared")
    (root / "agent-types/a").mkdir(parents=True)
    (root / "agent-types/a/profile.md").symlink_to("../../shared/base.md")
    assert look(root).files["agent-types/a/profile.md"].data == b"shared"


def test_the_vault_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    put(root, "mcp-servers/a.md")
    (tmp_path / "link").symlink_to(root)
    assert list(look(tmp_path / "link").files) == ["mcp-servers/a.md"]


def test_what_cannot_be_a_document_is_reported(root: Path) -> None:
    put(root, "mcp-servers/large.md", "x" * (MOST_BYTES + 1))
    (root / "mcp-servers/directory.md").mkdir()
    os.mkfifo(root / "mcp-servers/pipe.md")
    (root / "mcp-servers/gone.md").symlink_to("nowhere")
    put(root, "agent-types/Reviewer/profile.md")
    Path(os.fsdecode(os.fsencode(root) + b"/mcp-servers/b\xffd.md")).write_text("x")
    tree = look(root)
    assert tree.files == {}
    assert tree.problems == {
        "mcp-servers/large.md": "the file is larger than 1024 KiB",
        "mcp-servers/directory.md": "is not a regular file",
        "mcp-servers/pipe.md": "is not a regular file",
        "mcp-servers/gone.md": "links to nothing",
        "agent-types/Reviewer/profile.md": (
            "'Reviewer' differs from the id 'reviewer' only in case or Unicode form; rename it to 'reviewer'"
        ),
        "mcp-servers/b\\xffd.md": (
            "'b\\udcffd' is not an id: use at most 64 of a-z, 0-9, '.', '_' and '-', first a letter or digit"
        ),
    }


def test_a_directory_of_the_old_layout_is_a_stray(root: Path) -> None:
    put(root, "agent-types/project:acme:reviewer/profile.md")
    put(root, "projects/acme/agent-types/project:acme:x/profile.md")
    tree = look(root)
    assert (tree.files, tree.problems) == ({}, {})
    assert sorted(tree.strays) == [
        "agent-types/project:acme:reviewer",
        "projects/acme/agent-types/project:acme:x",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_directory_is_reported_and_nothing_is_known_of_it(root: Path) -> None:
    put(root, "agent-types/a/profile.md")
    (root / "agent-types").chmod(0)
    try:
        tree = look(root)
    finally:
        (root / "agent-types").chmod(0o700)
    assert tree.unreadable == {"agent-types"}
    assert tree.problems == {"agent-types": "cannot be listed: Permission denied"}


def test_a_vault_that_is_not_there_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(VaultUnavailable, match="No such file or directory"):
        look(tmp_path / "missing")
    with pytest.raises(VaultUnavailable):
        look(put(tmp_path, "file"))


def test_an_empty_vault_says_so(root: Path) -> None:
    assert look(root).empty
    put(root, "README.md")
    assert not look(root).empty
