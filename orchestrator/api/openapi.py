"""The description of the HTTP surface, made from the same tables as the routes."""

import re
from functools import cache
from typing import Any, Final, cast

from orchestrator import __version__
from orchestrator.api import schemas
from orchestrator.api.problems import MEDIA_TYPE, TITLES
from orchestrator.api.resources import PREFIX, RESOURCES, Resource
from orchestrator.api.schemas import Schema
from orchestrator.api.webhook import PATH
from orchestrator.commands.surface import COMMANDS
from orchestrator.commands.wire import shape

EVENT: Final[Schema] = {
    "type": "object",
    "description": "CloudEvents 1.0; `docs/events.md` lists the types and their data.",
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "source", "type", "subject", "datacontenttype")},
        "specversion": {"const": "1.0"},
        "time": {"type": "string", "format": "date-time"},
        "projectid": {"type": "string"},
        "taskid": {"type": "string"},
        "data": {"type": "object"},
    },
}
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail")},
        "status": {"type": "integer"},
        "field": {"type": "string", "description": "The input that is at fault, as a dotted path."},
    },
}
HEALTH: Final[Schema] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "string"},
        "parts": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@cache
def document() -> Schema:
    """OpenAPI 3.1. Made once, when somebody asks for it."""
    refs, known = schemas.all_of(
        (command.request for command in COMMANDS), (command.result for command in COMMANDS)
    )
    paths: Schema = {}
    for one in RESOURCES:
        operation = _operation(one, refs["request", one.command.request], refs["result", one.command.result])
        paths.setdefault(one.path, {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "orchestrator", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths | _others(),
        "security": [{"token": []}],
        "components": {
            "schemas": {**known, "Problem": PROBLEM, "Event": EVENT, "Health": HEALTH},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                f"Problem{status}": {
                    "description": title,
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for status, title in TITLES.items()
            },
        },
    }


def _operation(one: Resource, request: Schema, result: Schema) -> Schema:
    by_name = one.path.startswith(f"{PREFIX}/commands/")
    named = re.findall(r"{(\w+)}", one.path)
    operation: Schema = {
        "operationId": f"command_{one.command.name}" if by_name else one.command.name,
        "summary": one.command.summary,
        "tags": ["commands" if by_name else one.path.removeprefix(f"{PREFIX}/").partition("/")[0]],
        "responses": {"200": _ok("application/json", result), **_problems()},
    }
    whole = shape(cast(Any, one.command.request)).model_json_schema(ref_template=schemas.WHERE)
    whole.pop("$defs", None)
    left = {name: member for name, member in whole["properties"].items() if name not in named}
    required = [name for name in whole.get("required", ()) if name not in named]
    parameters = [_parameter(name, "path", whole["properties"][name], required=True) for name in named]
    if not one.takes_body:
        parameters += [
            _parameter(name, "query", member, required=name in required) for name, member in left.items()
        ]
    elif named:
        body = {"type": "object", "additionalProperties": False, "properties": left, "required": required}
        operation["requestBody"] = _body(body, required=bool(required))
    else:
        operation["requestBody"] = _body(request, required=bool(required))
    return {**operation, "parameters": parameters} if parameters else operation


def _parameter(name: str, where: str, member: Schema, *, required: bool) -> Schema:
    """A member as text: what may be null is simply not given, and a mapping is `name:value`, repeated."""
    options = [option for option in member.get("anyOf", [member]) if option.get("type") != "null"]
    schema: Schema = options[0] if len(options) == 1 else {"anyOf": options}
    if schema.get("type") == "object":
        schema = {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:.*$"}}
    schema = {key: value for key, value in schema.items() if key not in ("title", "default")}
    if where == "path" and schema.get("type") == "string":
        schema = {**schema, "minLength": 1}
    return {"name": name, "in": where, "required": required, "schema": schema}


def _body(schema: Schema, *, required: bool) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _ok(media_type: str, schema: Schema) -> Schema:
    return {"description": "Done.", "content": {media_type: {"schema": schema}}}


def _problems() -> Schema:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in TITLES}


def _others() -> Schema:
    """What is no command."""
    text, health = {"type": "string"}, {"$ref": "#/components/schemas/Health"}
    filters = [
        ("type", "Names of types, or beginnings followed by `*`; with commas, or repeated."),
        ("project", "Events of this project only."),
        ("task", "Events of this task only."),
        ("after", "Resume after this id; absent: from now on."),
    ]
    parameters = [
        {"name": name, "in": "query", "description": said, "schema": text} for name, said in filters
    ]
    parameters.append({"name": "Last-Event-ID", "in": "header", "description": "As after.", "schema": text})

    def look(name: str, summary: str, ok: Schema, more: Schema | None = None) -> Schema:
        answers = {"200": ok, **_problems(), **(more or {})}
        return {"get": {"operationId": name, "summary": summary, "tags": ["operation"], "responses": answers}}

    follow = look("events", "Follow events as server-sent events.", _ok("text/event-stream", text))
    follow["get"]["parameters"] = parameters
    return {
        f"{PREFIX}/events": follow,
        f"{PREFIX}/openapi.json": look(
            "openapi", "This description.", _ok("application/json", {"type": "object"})
        ),
        PATH: {
            "post": {
                "operationId": "webhook_vault",
                "summary": "Look at the vault's remote soon; for git hosts, which sign what they send.",
                "tags": ["operation"],
                "requestBody": {"required": False, "content": {"*/*": {"schema": {}}}},
                "responses": {
                    "202": {**_ok("application/json", health), "description": "It will be looked at."},
                    **_problems(),
                },
            }
        },
        "/metrics": look("metrics", "Figures for Prometheus.", _ok("text/plain", text)),
        "/healthz": look("healthz", "Whether the process lives.", _ok("application/json", health)),
        "/readyz": look(
            "readyz",
            "Whether each part can work.",
            _ok("application/json", health),
            {"503": _ok("application/json", health)},
        ),
    }
