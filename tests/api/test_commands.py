"""Commands over HTTP: their addresses, what is refused, and the description of both."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from orchestrator.api import openapi
from orchestrator.api.resources import RESOURCES
from orchestrator.api.schemas import answer
from orchestrator.commands.surface import BY_NAME, COMMANDS
from orchestrator.commands.wire import shape


def test_an_unknown_member_is_named_with_the_nearest_known_one(with_api) -> None:
    async def test(api) -> None:
        answer = await api.ask("POST", "/api/v1/tasks", {"titel": "x"})
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
        assert answer.json["field"] == "titel"
        assert "did you mean 'title'" in answer.json["detail"]

    with_api(test)


def test_natural_addresses_do_what_the_command_does(with_api) -> None:
    async def test(api) -> None:
        assert (await api.ask("POST", "/api/v1/projects", {"id": "acme"})).json["created"] == "acme"
        task = {"project_id": "acme", "title": "one", "labels": {"team": "red"}}
        made = (await api.ask("POST", "/api/v1/tasks", task)).json["created"]
        path = f"/api/v1/tasks/{made}"
        found = await api.ask("GET", "/api/v1/tasks?labels=team:red&states=READY&states=DEFINED&limit=5")
        assert [row["id"] for row in found.json["tasks"]] == [made]
        assert (await api.ask("GET", "/api/v1/tasks?labels=team:blue")).json["count"] == 0
        assert (await api.ask("PATCH", path, {"title": "two"})).json["fields"] == ["title"]
        assert (await api.ask("GET", path)).json["title"] == "two"
        assert "summary" in (await api.ask("GET", f"{path}/explanation")).json
        assert (await api.ask("GET", f"{path}/attempts/1")).status == 404
        assert (await api.ask("POST", f"{path}/cancel")).json["state"] == "CANCELLED"
        for bad in ("limit=five", "limit=1&limit=2", "nonsense=1", "labels=red", "states=READ"):
            assert (await api.ask("GET", f"/api/v1/tasks?{bad}")).status == 422, bad
        twice = await api.ask("PATCH", path, {"task_id": made, "title": "x"})
        assert (twice.status, twice.json["field"]) == (422, "task_id")

    with_api(test)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b'{"title": NaN}', b"\xff", b"[" * 10_000, b'"x"'])
def test_what_is_no_json_object_is_refused(with_api, raw: bytes) -> None:
    async def test(api) -> None:
        for method, path in (("POST", "/api/v1/tasks"), ("PATCH", "/api/v1/tasks/abcd")):
            assert (await api.ask(method, path, raw=raw)).status == 422

    with_api(test)


def test_unknown_addresses_and_methods_are_problems_too(with_api) -> None:
    async def test(api) -> None:
        for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/tasks", 405)):
            answer = await api.ask(method, path)
            assert (answer.status, answer.json["status"]) == (status, status)
            assert answer.headers["content-type"] == "application/problem+json"

    with_api(test)


def test_what_reads_is_a_get_and_what_changes_is_not() -> None:
    for one in RESOURCES:
        if not one.path.startswith("/api/v1/commands/"):
            assert (one.method == "GET") is not one.command.changes, one.path


def test_the_names_in_an_address_are_members_of_its_request() -> None:
    for one in RESOURCES:
        members = {item.name for item in fields(one.command.request)}
        assert set(re.findall(r"{(\w+)}", one.path)) <= members, one.path
    assert {one.command.name for one in RESOURCES} == BY_NAME.keys()


def test_the_description_names_every_address_and_refers_to_nothing_that_is_missing() -> None:
    document = openapi.document()
    for one in RESOURCES:
        assert one.method.lower() in document["paths"][one.path]
    text = json.dumps(document)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        place = document
        for part in reference.split("/"):
            place = place[part]


def defaults(schema: Any, path: str = "", *, named: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with a default within this one; `named`: its members are names and no keywords."""
    if isinstance(schema, dict):
        if not named and "default" in schema:
            yield path, schema
        for key, value in schema.items():
            names = not named and key in ("properties", "$defs", "schemas")
            yield from defaults(value, f"{path}/{key}", named=names)
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from defaults(value, f"{path}/{number}")


@pytest.mark.parametrize("surface", ["requests", "results"])
def test_every_default_is_a_value_that_its_own_schema_allows(surface: str) -> None:
    classes = {command.request if surface == "requests" else command.result for command in COMMANDS}
    make = shape if surface == "requests" else answer
    for schema in (make(cast(Any, one)).model_json_schema() for one in classes):
        Draft202012Validator.check_schema(schema)
        for path, member in defaults(schema):
            whole = {**member, "$defs": schema.get("$defs", {})}
            assert Draft202012Validator(whole).is_valid(member["default"]), (schema["title"], path, member)


def test_every_default_of_the_description_is_allowed_too() -> None:
    document = openapi.document()
    found = list(defaults(document))
    assert found
    for path, member in found:
        whole = {**member, "components": document["components"]}
        assert Draft202012Validator(whole).is_valid(member["default"]), (path, member)
