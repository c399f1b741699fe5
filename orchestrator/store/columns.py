"""The kinds of column the tables are made of."""

import json
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.types import TypeEngine


class Json(TypeDecorator[Any]):
    """A JSON document kept as text, keys sorted so that equal documents are equal text.

    Text and not the databases' own JSON: it keeps the NUL characters, lone surrogates and infinite limits
    that agents and profiles produce, and reads the same on both.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        return None if value is None else dumps(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        return None if value is None else document(value)


class Names(TypeDecorator[tuple[str, ...]]):
    """Some names, sorted, as a JSON list; NULL for none, so that an index can leave those rows out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: Dialect) -> str | None:
        return dumps(sorted(set(value))) if value else None

    def process_result_value(self, value: str | None, _dialect: Dialect) -> tuple[str, ...]:
        return names(value)


def document(value: str) -> Any:
    """What `Json` keeps, from its text."""
    return {} if value == "{}" else json.loads(value)  # as nearly all are where documents are optional


def names(value: str | None) -> tuple[str, ...]:
    """What `Names` keeps, from its text."""
    return () if value is None else tuple(json.loads(value))


class Prose(TypeDecorator[str]):
    """Text that strangers wrote. What a database cannot hold (NUL, lone surrogates) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        return None if value is None else prose(value)


def prose(value: str) -> str:
    """The text as a database can hold it."""
    if "\0" not in value and value.isascii():
        return value
    storable = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return storable.replace("\0", "\ufffd")


def dumps(value: Any) -> str:
    """Canonical JSON. Escapes only when the text could not be encoded otherwise."""
    readable = _encode(value)
    if readable.isascii():
        return readable
    try:
        readable.encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return readable


# Compared byte by byte on both databases: an order that ends in the id must be the same everywhere, and a
# prefix search must be able to use the key's index.
Key: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
# REAL is four bytes on PostgreSQL, eight on SQLite; Unix seconds need eight.
Real: Final[TypeEngine[float]] = Double().with_variant(REAL(), "sqlite")
Serial: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")


# Made once: making one costs as much as encoding a small document.
_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def blank(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def json_document(name: str, default: str = "{}") -> Column[Any]:
    return Column(name, Json, nullable=False, server_default=text(f"'{default}'"))


def flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def number(name: str, default: str = "0") -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default=text(default))


def amount(name: str) -> Column[Any]:
    return Column(name, Real, nullable=False, server_default=text("0"))


def moment(name: str) -> Column[Any]:
    return Column(name, Real, nullable=False)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index on the rows that the condition names, spelled alike on both databases."""
    condition = text(where)
    return Index(name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition)
