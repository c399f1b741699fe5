"""Requests from JSON, strictly, for every surface alike."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic import Field as member
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails

from orchestrator.commands.command import Unchanged
from orchestrator.domain.errors import InvalidInput

Request = TypeVar("Request")


def decode(request: type[Request], document: bytes | str | Mapping[str, Any]) -> Request:
    """A request from its JSON object. Nothing is converted: "5" is no number.

    Raises InvalidInput naming the member that is wrong and, for an unknown one, the nearest known.
    """
    raw = json.dumps(document) if isinstance(document, Mapping) else document
    model = shape(cast(Any, request))
    try:
        parsed = model.model_validate_json(raw)
    except ValidationError as error:
        raise _explained(request, error) from None
    return request(**{name: getattr(parsed, name) for name in parsed.model_fields_set})


@cache
def shape(request: type[Any]) -> type[BaseModel]:
    """The request as a strict pydantic model; its JSON schema is what MCP and OpenAPI publish."""
    hints = get_type_hints(request)
    members: dict[str, Any] = {}
    for item in fields(request):
        members[item.name] = (_given(hints[item.name]), ... if _required(item) else _default(item))
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(request.__name__, __config__=config, **members)


def left_out() -> Any:
    """A member that may be left out, of which no value says the same."""
    return member(default=None, json_schema_extra=_without_default)


def _without_default(schema: JsonDict) -> None:
    del schema["default"]


def _default(item: "Field[Any]") -> Any:
    """What holds when it is not given, as the schema says it: the request itself fills it in."""
    found = item.default if item.default_factory is MISSING else item.default_factory()
    return left_out() if isinstance(found, Unchanged) else found


def _given(hint: Any) -> Any:
    """The type of what can be given: without the mark for a field that was not."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    options = tuple(option for option in get_args(hint) if option is not Unchanged)
    return Union[options]  # noqa: UP007 - the members are known at run time only


def _required(item: "Field[Any]") -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _explained(request: type[Any], error: ValidationError) -> InvalidInput:
    """The first fault, as a sentence with the member's dotted path."""
    first = error.errors(include_url=False, include_context=True)[0]
    path = ".".join(str(part) for part in first["loc"])
    return InvalidInput(_sentence(request, first, path), field=path or None)


def _sentence(request: type[Any], fault: ErrorDetails, path: str) -> str:
    match fault["type"]:
        case "extra_forbidden":
            known = [item.name for item in fields(request)]
            near = difflib.get_close_matches(path, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
            return f"unknown field '{path}'; {hint}"
        case "missing":
            return f"'{path}' is required"
        case "json_invalid" | "model_type" if not path:
            return f"the request must be a JSON object: {fault['msg']}"
        case _ if (said := _own_sentence(request, fault)) is not None:
            return said
        case _:
            return f"'{path}': {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _own_sentence(request: type[Any], fault: ErrorDetails) -> str | None:
    """What a field itself says of a value of another type: its metadata `wrong`."""
    for item in fields(request):
        if fault["loc"] and item.name == fault["loc"][0]:
            said: str | None = item.metadata.get("wrong")
            return said
    return None
