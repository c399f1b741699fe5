"""Who is answered at all."""

import pytest

from orchestrator.api.resources import RESOURCES
from orchestrator.api.security import allowed_hosts
from orchestrator.commands import tokens

ADDRESSES = [(one.method, one.path) for one in RESOURCES] + [
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/mcp"),
    ("GET", "/no/such/address"),
]


def test_every_address_needs_a_token_on_loopback_too(with_api) -> None:
    async def test(api) -> None:
        for method, path in ADDRESSES:
            for shown in (None, "Bearer nobody-made-this", "Basic dGVzdA==", f"Token {api.token}"):
                answer = await api.ask(method, path, authorization=shown)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
                assert answer.json["status"] == 401
        assert (await api.ask("GET", "/api/v1/tasks")).status == 200

    with_api(test)


def test_every_address_refuses_hosts_that_are_not_ours(with_api) -> None:
    """DNS rebinding: a page's own name points to loopback, so that the browser takes us for its server."""

    async def test(api) -> None:
        for method, path in ADDRESSES:
            for host in (
                "evil.example",
                f"evil.example:{api.port}",
                "127.0.0.1:1",
                f"127.0.0.1.evil:{api.port}",
            ):
                answer = await api.ask(method, path, host=host)
                assert (answer.status, answer.json["type"]) == (421, "urn:orchestrator:problem:host"), path
        assert (await api.ask("GET", "/api/v1/tasks", host=f"LOCALHOST:{api.port}")).status == 200

    with_api(test)


def test_every_address_refuses_pages_of_another_origin(with_api) -> None:
    async def test(api) -> None:
        for method, path in ADDRESSES:
            for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "file://", "http://["):
                answer = await api.ask(method, path, origin=origin)
                assert (answer.status, answer.json["type"]) == (403, "urn:orchestrator:problem:origin"), path
        ours = await api.ask("GET", "/api/v1/tasks", origin=f"http://127.0.0.1:{api.port}")
        assert ours.status == 200

    with_api(test)


def test_a_token_that_was_revoked_or_has_run_out_is_refused_at_once(with_api) -> None:
    async def test(api) -> None:
        path = "/api/v1/tokens"
        made = (await api.ask("POST", path, {"name": "ci", "expires_at": api.use.clock() + 3600})).json
        theirs = f"Bearer {made['token']}"
        assert (await api.ask("GET", path, authorization=theirs)).status == 200
        assert (await api.ask("DELETE", f"{path}/ci")).json["revoked"] == made["created"]
        assert (await api.ask("GET", path, authorization=theirs)).status == 401
        listed = (await api.ask("GET", path)).json["tokens"]
        assert {token["name"]: token["revoked_at"] is None for token in listed} == {"ci": False, "test": True}
        assert made["token"] not in str(listed)

    with_api(test)


def test_what_changes_something_is_json_or_nothing(with_api) -> None:
    async def test(api) -> None:
        raw = b'{"id": "acme"}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            answer = await api.ask("POST", "/api/v1/projects", raw=raw, content_type=kind)
            assert answer.status == 415
        assert (await api.ask("GET", "/api/v1/projects")).json["count"] == 0

    with_api(test)


def test_answers_are_neither_kept_nor_taken_for_pages(with_api) -> None:
    async def test(api) -> None:
        headers = (await api.ask("GET", "/api/v1/tasks")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]

    with_api(test)


@pytest.mark.parametrize("host", ["proxy.example", "proxy.example:8420"])
def test_a_name_of_the_operators_own_is_served_with_the_port(host: str) -> None:
    assert host in allowed_hosts(8420, bound="127.0.0.1", named=("proxy.example",))


def test_no_two_tokens_that_hold_have_one_name(with_api) -> None:
    async def test(api) -> None:
        again = await api.ask("POST", "/api/v1/tokens", {"name": "test"})
        assert (again.status, again.json["field"]) == (409, "name")
        past = await api.ask("POST", "/api/v1/tokens", {"name": "old", "expires_at": 1.0})
        assert (past.status, past.json["field"]) == (422, "expires_at")
        rows = (await tokens.list_tokens(api.use, tokens.ListTokens())).tokens
        assert [row.name for row in rows] == ["test"]

    with_api(test)
