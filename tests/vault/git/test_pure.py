"""What is decided without a repository."""

from pathlib import Path

import pytest

from orchestrator.vault.git.address import masked, refusal
from orchestrator.vault.git.adopt import leads_out
from orchestrator.vault.git.configuration import dangerous
from orchestrator.vault.git.process import GitFailed
from orchestrator.vault.git.state import GitState, classify, message_for, refused_push

PAGE = Path(__file__).resolve().parents[3] / "docs" / "vault-git.md"


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/team/vault.git",
        "https://token@git.example.org:8443/vault.git",
        "ssh://git@git.example.org:2222/~team/vault.git",
        "ssh://git@[::1]/vault.git",
        "git@git.example.org:team/vault.git",
        "host:vault.git",
        "/srv/git/vault.git",
        "../vault.git",
        "./a:b",
    ],
)
def test_https_ssh_and_paths_may_be_used(url) -> None:
    assert refusal(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c id",
        "fd::17",
        "::x",
        "-u",
        "--upload-pack=id",
        "file:///srv/x",
        "http://example.org/x",
        "git://example.org/x",
        "ftp://example.org/x",
        "ssh://-oProxyCommand=id/x",
        "ssh://-l@host/x",
        "ssh://kim:s3cret@host/x",
        "https://kim:s3cret/@host/x",
        "https:///x",
        "https://host",
        "ssh://host/-x",
        "-oProxyCommand=id:x",
        "a@-x:y",
        "host:-x",
        "host:",
        "~/vault",
        "/srv/a\nb",
        "https://host:99999/x",
    ],
)
def test_everything_else_is_refused(url) -> None:
    assert refusal(url)


def test_no_message_has_a_password_in_it() -> None:
    assert "s3cret" not in (refusal("http://me:s3cret@example.org/x") or "")
    assert "s3cret" not in (refusal("https://me:s3cret/@example.org/x") or "")
    assert masked("to https://me:s3cret@h/x and") == "to https://********@h/x and"
    assert masked("https://me:s3@cret@h/x") == "https://********@h/x"


def test_configuration_is_dangerous_by_its_key() -> None:
    harmless = ["core.filemode", "remote.origin.url", "remote.origin.fetch", "branch.main.merge", "user.name"]
    assert dangerous([*harmless, "core.hookspath", "core.fsmonitor", "filter.lfs.clean"]) == ()
    assert dangerous([*harmless, "core.sshcommand", "filter.x.smudge"]) == (
        "core.sshcommand",
        "filter.x.smudge",
    )


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("a", "b", False),
        ("d/a", "../b", False),
        ("a", "../b", True),
        ("d/a", "../../b", True),
        ("a", "/etc/passwd", True),
        ("d/e/a", "f/../../x", True),
        ("a", ".git/config", True),
    ],
)
def test_a_link_leads_out_when_it_can(path, target, out) -> None:
    assert leads_out(path, target) is out


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (
            "git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "credentials",
        ),
        ("Host key verification failed.", "credentials"),
        ("fatal: Authentication failed for 'https://h/x'", "credentials"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "credentials"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "offline"),
        ("ssh: connect to host h port 22: Connection refused", "offline"),
        ("fatal: '/gone' does not appear to be a git repository", "offline"),
        ("fatal: Unable to create '/v/.git/index.lock': File exists.", "locked"),
        ("error: object 1: fsck error: gitmodulesUrl", "refused"),
        ("fatal: bad object", "failed"),
    ],
)
def test_what_git_says_is_understood(said, state) -> None:
    assert classify(GitFailed(said, said=said)) is GitState(state)


def test_a_push_that_came_second_is_told_from_one_that_is_not_taken() -> None:
    def means(told: str, said: str = "") -> GitState | None:
        refused = refused_push(GitFailed(printed=f"To x\n!\ta:b\t{told}\nDone", said=said))
        return refused and refused.state

    second = "remote: error: cannot lock ref 'refs/heads/main': is at a1 but expected b2   \nerror: failed"
    locked = "remote: error: cannot lock ref 'HEAD': Unable to create '/srv/x.git/HEAD.lock': File exists."
    closed = locked.replace("File exists", "Permission denied")
    assert means("[rejected] (fetch first)") is GitState.CONTENDED
    assert means("[remote rejected] (failed to update ref)") is GitState.CONTENDED
    assert means("[remote rejected] (failed to update ref)", second) is GitState.CONTENDED
    assert means("[remote rejected] (cannot lock ref 'x': is at a1 but expected b2)") is GitState.CONTENDED
    assert means("[remote rejected] (incorrect old value provided)") is GitState.CONTENDED
    assert means("[remote rejected] (failed to update ref)", locked) is GitState.LOCKED
    assert means("[remote rejected] (failed to update ref)", closed) is GitState.REJECTED
    assert means("[remote rejected] (pre-receive hook declined)") is GitState.REJECTED
    assert refused_push(GitFailed(said="fatal: the remote end hung up")) is None


def test_a_message_lists_the_documents() -> None:
    assert message_for({"a.md": "A"}).splitlines()[0] == "Add a.md"
    assert message_for({"b": "M", "a": "D"}) == "Edit 2 documents\n\nDelete a\nEdit b\n"
    assert "and 100 more" in message_for({str(number): "M" for number in range(200)})


def test_the_page_explains_every_state() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("<!-- states: begin -->")[2]
    rows = [
        line.split("`")[1]
        for line in page.partition("<!-- states: end -->")[0].splitlines()
        if "`" in line[:4]
    ]
    assert rows == [state.value for state in GitState]
