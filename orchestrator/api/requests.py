"""Requests of HTTP as the JSON objects that commands take."""

import json
from typing import Any, cast

from pydantic_core import from_json
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request

from orchestrator.api.identify import BODY_BYTES
from orchestrator.api.problems import Refused, check_json
from orchestrator.commands.wire import shape
from orchestrator.domain.errors import InvalidInput

Document = dict[str, Any]


async def body(request: Request) -> bytes:
    """The body, if it says that it is JSON and is not too large; `{}` when there is none. Raises Refused."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > BODY_BYTES:
                raise Refused(413, "too-large", f"A request has at most {BODY_BYTES:,} bytes.")
            parts.append(part)
    except ClientDisconnect:
        raise Refused(400, "bad-request", "The request ended before its body.") from None
    if not size:
        return b"{}"
    check_json(request.headers.get("content-type"))
    return b"".join(parts)


def merged(document: bytes, given: Document) -> bytes | Document:
    """The document with the members that the address gives. Raises InvalidInput when both give one."""
    if not given:
        return document
    try:
        members = from_json(document, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(f"the request must be a JSON object: {error}") from None
    if not isinstance(members, dict):
        raise InvalidInput("the request must be a JSON object")
    for name in given.keys() & members.keys():
        raise InvalidInput(f"'{name}' is given by the address; leave it out of the body", field=name)
    return {**members, **given}


def from_query(request: type[Any], query: QueryParams) -> Document:
    """The members that the query gives: lists by repeating the name, mappings as `labels=team:red`.
    What is not the text of a number where one is asked for is left for the command's own check."""
    members = shape(cast(Any, request)).model_json_schema()["properties"]
    document: Document = {}
    for name in query:
        kinds = kinds_of(members.get(name, {}))
        texts = query.getlist(name)
        if "array" in kinds:
            document[name] = texts
        elif "object" in kinds:
            document[name] = dict(_pair(name, text) for text in texts)
        elif len(texts) > 1:
            raise InvalidInput(f"'{name}' is given more than once", field=name)
        else:
            document[name] = plain(texts[0], kinds)
    return document


def from_path(request: type[Any], parameters: dict[str, str]) -> Document:
    """The members that the path gives."""
    members = shape(cast(Any, request)).model_json_schema()["properties"]
    return {name: plain(text, kinds_of(members[name])) for name, text in parameters.items()}


def kinds_of(schema: dict[str, Any]) -> frozenset[str]:
    """The JSON types that a member may have."""
    options = schema.get("anyOf", [schema])
    return frozenset(str(option.get("type", "string")) for option in options)


def plain(text: str, kinds: frozenset[str]) -> Any:
    """A scalar from its text."""
    if kinds & {"integer", "number", "boolean"} and "string" not in kinds:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text
    return text


def _pair(name: str, text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon:
        raise InvalidInput(f"'{name}' must be given as name:value, got {text[:80]!r}", field=name)
    return key, value
