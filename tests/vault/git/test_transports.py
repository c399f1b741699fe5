"""A remote over https, ssh or a path: the same cycle, and never a prompt."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import git_host
from orchestrator.vault.git.state import GitState


@pytest.fixture(params=["path", "ssh", "https"])
def remote(request, site, here, there, no_home, tmp_path, monkeypatch):
    """Both clones reach the bare repository this way; returns how to lose and get back the credentials."""
    if request.param == "path":
        yield None
        return
    if request.param == "ssh":
        tools = git_host.ssh(tmp_path / "tools")
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        credentials, right = no_home / ".ssh" / "id_ed25519", "a key"
        credentials.parent.mkdir()
        url = f"ssh://git@git.example.org{site.bare}"
        point(here, there, url)
        credentials.write_text(right)
        yield credentials, right
        return
    with git_host.https(site.place, tmp_path) as (address, authority, _):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        credentials = no_home / ".netrc"
        right = f"machine 127.0.0.1 login {git_host.USER} password {git_host.PASSWORD}\n"
        point(here, there, f"{address}/{site.bare.name}")
        credentials.write_text(right)
        yield credentials, right


def point(here, there, url: str) -> None:
    for clone in (here, there):
        clone.git("remote", "set-url", "origin", url)


def test_edits_of_both_sides_meet_and_a_rewritten_history_is_followed(remote, site, here, there) -> None:
    here.put("a.md", "a\n")
    there.put("b.md", "b\n")
    there.synced()
    here.synced()
    there.synced()
    assert here.files() == there.files()
    assert {"a.md", "b.md"} <= set(here.files())
    there.git("reset", "--quiet", "--hard", "HEAD~1")
    there.git("push", "--quiet", "--force", str(site.bare), "HEAD:main")
    there.git("update-ref", "-d", "refs/orchestrator/base")
    here.synced()
    there.synced()
    assert here.files() == there.files()


def test_a_push_that_is_refused_says_why_over_every_transport(remote, site, here) -> None:
    hook = site.bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    here.put("a.md", "a\n")
    status = here.sync()
    assert (status.state, status.ahead) == (GitState.REJECTED, 1)
    hook.unlink()
    here.synced()


def test_wrong_credentials_are_told_from_none_and_nobody_is_asked(remote, here) -> None:
    if remote is None:
        pytest.skip("a path has none")
    credentials, right = remote
    here.put("a.md", "a\n")
    if credentials.name == ".netrc":
        credentials.write_text(right.replace(git_host.PASSWORD, "wrong"))
        assert here.sync().state is GitState.CREDENTIALS
    credentials.unlink()
    status = here.sync()
    assert (status.state, status.ahead) == (GitState.CREDENTIALS, 1)
    credentials.write_text(right)
    here.synced()


def test_a_certificate_of_nobody_we_know_is_not_trusted(site, here, no_home, tmp_path) -> None:
    with git_host.https(site.place, tmp_path) as (address, _, asked):
        here.git("remote", "set-url", "origin", f"{address}/{site.bare.name}")
        (no_home / ".netrc").write_text("machine 127.0.0.1 login kim password right\n")
        status = here.sync()
    assert status.state is GitState.CREDENTIALS
    assert "certificate" in status.message
    assert asked == []


@pytest.fixture
def with_password(site, here, tmp_path, monkeypatch):
    """Points the clone at the host with what is before the `@` of its address; a context."""

    @contextmanager
    def point_at(before: str, **events):
        with git_host.https(site.place, tmp_path, **events) as (address, authority, _):
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            place = address.replace("https://", f"https://{before}@")
            here.git("remote", "set-url", "origin", f"{place}/{site.bare.name}")
            yield

    return point_at


def known_to_others(text: str) -> list[str]:
    """The processes whose arguments or environment have it."""
    found = []
    for place in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
        with contextlib.suppress(OSError):
            if text.encode() in place.read_bytes():
                found.append(str(place))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("before", [f"{git_host.USER}:{git_host.PASSWORD}", "${GIT_USER}:${GIT_TOKEN}"])
def test_a_password_is_in_no_list_of_processes_during_an_exchange(here, with_password, before) -> None:
    reached, going = threading.Event(), threading.Event()
    secrets = {"GIT_USER": git_host.USER, "GIT_TOKEN": git_host.PASSWORD}
    here = replace(here, options=replace(here.options, secrets=secrets))
    with with_password(before, reached=reached, going=going), ThreadPoolExecutor(1) as pool:
        here.put("a.md", "a\n")
        cycle = pool.submit(here.sync)
        try:
            assert reached.wait(20)
            found = known_to_others(git_host.PASSWORD)
        finally:
            going.set()
        assert cycle.result(30).state is GitState.SYNCED
    assert found == []
    assert git_host.PASSWORD not in repr(here.options)


def test_a_password_in_the_address_comes_before_those_at_home(here, no_home, with_password) -> None:
    (no_home / ".netrc").write_text("machine 127.0.0.1 login eve password of-somebody-else\n")
    with with_password(f"{git_host.USER}:{git_host.PASSWORD}"):
        here.synced()
    (no_home / ".netrc").write_text(f"machine 127.0.0.1 login kim password {git_host.PASSWORD}\n")
    with with_password("kim"):
        here.synced()
    with with_password(f"{git_host.USER}:wrong"):
        assert here.sync().state is GitState.CREDENTIALS


def test_a_secret_of_the_address_that_is_missing_is_named(here, with_password) -> None:
    with with_password("kim:${GIT_TOKEN}"):
        status = here.sync()
    assert status.state is GitState.CREDENTIALS
    assert "refers to ${GIT_TOKEN}, and there is no secret of that name" in status.message


def test_a_password_in_an_address_is_in_no_status(site, here, tmp_path, monkeypatch) -> None:
    with git_host.https(site.place, tmp_path) as (address, authority, _):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        secret = f"https://{git_host.USER}:{git_host.PASSWORD}@"
        here.git("remote", "set-url", "origin", f"{address.replace('https://', secret)}/{site.bare.name}")
        status = here.synced()
        assert status.remote is not None
        assert git_host.PASSWORD not in repr(status)
    kept = Path(here.root / ".git" / "orchestrator" / "status.json").read_text()
    assert git_host.PASSWORD not in kept
