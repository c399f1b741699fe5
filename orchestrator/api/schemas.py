"""Requests and results as JSON schemas, as `wire` reads the ones and `encoding` writes the others."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.json_schema import models_json_schema

from orchestrator.commands.wire import left_out, shape

WHERE: Final = "#/components/schemas/{model}"

Schema = dict[str, Any]


def all_of(
    requests: Iterable[type[Any]], results: Iterable[type[Any]]
) -> tuple[dict[tuple[str, type[Any]], Schema], Schema]:
    """A reference for each ("request" or "result", class), and the schemas that these refer to."""
    wanted = {("request", one): shape(cast(Any, one)) for one in requests}
    wanted |= {("result", one): answer(cast(Any, one)) for one in results}
    refs, whole = models_json_schema([(model, "validation") for model in wanted.values()], ref_template=WHERE)
    return (
        {key: refs[model, "validation"] for key, model in wanted.items()},
        cast(Schema, whole.get("$defs", {})),
    )


@cache
def answer(result: type[Any]) -> type[BaseModel]:
    """A result as it is written: inline records dissolved, members that may be left out not required."""
    members: dict[str, Any] = {}
    for name, hint, optional in _members(result):
        members[name] = (hint, left_out() if optional else ...)
    return create_model(result.__name__, __config__=ConfigDict(extra="forbid"), **members)


def _members(result: type[Any]) -> list[tuple[str, Any, bool]]:
    hints = get_type_hints(result)
    found: list[tuple[str, Any, bool]] = []
    for item in fields(result):
        if item.metadata.get("inline"):
            found += _members(hints[item.name])
        else:
            found.append((item.name, _written(hints[item.name]), bool(item.metadata.get("optional"))))
    return found


def _written(hint: Any) -> Any:
    """The type of the JSON that such a value becomes. A limit that is not there is written as null."""
    if hint is Path:
        return str
    if hint is float:
        return float | None
    if isinstance(hint, type) and is_dataclass(hint):
        return answer(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return Union[tuple(_written(one) for one in inner)]  # noqa: UP007 - known at run time only
    if origin in (tuple, list, frozenset, set) and inner:
        return list[_written(inner[0])]  # type: ignore[misc]  # a type that is made at run time
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, _written(inner[1])]  # type: ignore[misc]  # likewise
    return hint
