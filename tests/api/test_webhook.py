"""The webhook: whoever has the secret makes the vault's remote be looked at, and nobody else."""

import asyncio
import hashlib
import hmac
import subprocess
from pathlib import Path

import pytest

from orchestrator import app as composition
from orchestrator.settings import load
from orchestrator.store import duties
from orchestrator.worker.stop import Stop

PATH = "/api/v1/webhooks/vault"
SECRET = "a secret of sixteen or more"
BODY = b'{"ref": "refs/heads/main"}'


def signature(body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-hub-signature-256": f"sha256={signature()}"},
        {"x-gitea-signature": signature()},
        {"x-gitlab-token": SECRET},
    ],
)
def test_a_git_host_with_the_secret_is_heard(with_api, headers) -> None:
    async def call(api) -> None:
        answer = await api.ask("POST", PATH, raw=BODY, authorization=None, **headers)
        assert (answer.status, answer.json) == (202, {"status": "accepted"})

    with_api(call, webhook_secret=SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": f"sha256={signature(b'another body')}"},
        {"x-hub-signature-256": f"sha256={signature(secret='guessed')}", "x-gitlab-token": SECRET},
        {"x-hub-signature-256": signature(BODY, "")},
        {"x-gitlab-token": "guessed"},
        {"x-gitlab-token": ""},
    ],
)
def test_whoever_does_not_know_the_secret_is_refused(with_api, headers) -> None:
    async def call(api) -> None:
        answer = await api.ask("POST", PATH, raw=BODY, authorization=None, **headers)
        assert answer.status == 401

    with_api(call, webhook_secret=SECRET)


def test_without_a_secret_a_token_is_needed(with_api) -> None:
    async def call(api) -> None:
        assert (await api.ask("POST", PATH, raw=BODY, authorization=None)).status == 401
        assert (await api.ask("POST", PATH, raw=BODY)).status == 202

    with_api(call)


def git(place: Path, *words: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *who, "-C", str(place), *words], check=True, capture_output=True)


def push_theirs(place: Path) -> None:
    """Somebody adds the profile `theirs` to the remote."""
    git(place, "clone", "--quiet", "remote.git", "theirs")
    profile = place / "theirs" / "agent-types" / "theirs" / "profile.md"
    profile.parent.mkdir(parents=True)
    profile.write_text("---\nid: theirs\nname: Theirs\n---\n")
    git(place / "theirs", "add", "--all")
    git(place / "theirs", "commit", "--quiet", "-m", "Add theirs")
    git(place / "theirs", "push", "--quiet", "origin", "HEAD:main")


def test_what_others_pushed_is_here_after_the_call(with_api, tmp_path: Path) -> None:
    async def call(api) -> None:
        vault = api.use.host.vault
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        git(vault, "init", "--quiet", "--initial-branch=main")
        git(vault, "remote", "add", "origin", str(tmp_path / "remote.git"))
        assert api.use.git is not None
        await asyncio.to_thread(api.use.git.run_once)
        push_theirs(tmp_path)

        said = {"x-hub-signature-256": f"sha256={signature()}"}
        assert (await api.ask("POST", PATH, raw=BODY, authorization=None, **said)).status == 202
        async with api.use.database.listener() as changed, asyncio.timeout(20.0):
            while (found := await api.ask("GET", "/api/v1/profiles/theirs")).status != 200:
                await changed.wait(0.2)
        (revision,) = found.json["history"]
        while revision["author"] is None:
            await changed.wait(0.2)
            (revision,) = (await api.ask("GET", "/api/v1/profiles/theirs")).json["history"]
        assert revision["author"] == "Ann <ann@example.org>"

    with_api(call, webhook_secret=SECRET)


def test_a_call_to_a_host_that_does_not_lead_wakes_the_one_that_does(with_api, tmp_path: Path) -> None:
    async def call(api) -> None:
        database = api.use.database
        await database.run(lambda tx: duties.give_up(tx, duties.list_duties(tx)[0]))
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        git(tmp_path, "clone", "--quiet", "remote.git", "leader/vault")
        leading = {
            "ORCHESTRATOR_HOME": str(tmp_path / "leader"),
            "ORCHESTRATOR_DATABASE__URL": f"sqlite:///{database.place}",
            "ORCHESTRATOR_WORKER__NAME": "leader",
            "ORCHESTRATOR_VAULT__GIT__INTERVAL_SECONDS": "3600",
        }
        said = {"x-hub-signature-256": f"sha256={signature()}"}
        async with (
            composition.running(load(environment=leading).settings, stop=Stop()) as leader,
            database.listener() as changed,
            asyncio.timeout(30.0),
        ):
            while leader.git.status().synced_at is None:
                await changed.wait(0.1)
            await asyncio.to_thread(push_theirs, tmp_path)
            assert (await api.ask("POST", PATH, raw=BODY, authorization=None, **said)).status == 202
            while (await api.ask("GET", "/api/v1/profiles/theirs")).status != 200:
                await changed.wait(0.2)

    with_api(call, webhook_secret=SECRET)
