"""Secrets by reference: `${NAME}` of a server becomes its value at launch, and is shown nowhere."""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.mcp import McpServer

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

HIDDEN: Final = "•••"
"""Stands wherever a value is not shown."""

SHORTEST_MASKED: Final = 6
"""Characters of a value that is looked for in texts. A shorter one is no secret worth the name, and taking
it out would tear up every other text."""

Value = TypeVar("Value")


class SecretMissing(StartRefused):
    """A server refers to a secret that is not there; add it to the secrets."""

    code = "secret-missing"


def references(server: McpServer) -> tuple[str, ...]:
    """The names that its `env` and `headers` refer to, each once, in order."""
    texts = (*server.env.values(), *server.headers.values())
    return tuple(dict.fromkeys(name for text in texts for name in REFERENCE.findall(text)))


def missing(server: McpServer, secrets: Container[str]) -> SecretMissing | None:
    """What is wrong when some reference has no value: a value is never taken from anywhere else, and the
    reference itself is never passed on."""
    for where, values in (("env", server.env), ("headers", server.headers)):
        for text in values.values():
            for name in REFERENCE.findall(text):
                if name not in secrets:
                    return SecretMissing(
                        f"MCP server {server.name}: {where} refers to ${{{name}}}, and there is no secret of "
                        "that name; add it to the secrets."
                    )
    return None


def needed(servers: Iterable[McpServer], secrets: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The secrets named and those that the servers refer to, as far as they are there: what an attempt is
    given, and nothing else."""
    wanted = (*names, *(name for server in servers for name in references(server)))
    # Asked for one by one: where secrets come from may be slow, and may list nothing.
    found = ((name, secrets.get(name)) for name in dict.fromkeys(wanted))
    return {name: value for name, value in found if value is not None}


def resolved(server: McpServer, secrets: Mapping[str, str]) -> McpServer:
    """The server with every reference replaced by its value. Raises SecretMissing."""
    if (problem := missing(server, secrets)) is not None:
        raise problem

    def filled(values: Mapping[str, str]) -> dict[str, str]:
        return {key: REFERENCE.sub(lambda found: secrets[found[1]], value) for key, value in values.items()}

    return replace(server, env=filled(server.env), headers=filled(server.headers))


def literals(server: McpServer) -> tuple[str, ...]:
    """Values of `env` and `headers` that stand in the document itself, without a reference."""
    texts = (*server.env.values(), *server.headers.values())
    return tuple(text for text in texts if REFERENCE.search(text) is None)


def beginning(text: str, most: int) -> str:
    """At most so many characters, without the word that the cut falls into: a part of a secret would be
    recognised by no mask."""
    if len(text) <= most:
        return text
    whole = re.match(r".*(?=\s)", text[: most + 1], re.DOTALL)
    return whole[0] if whole else ""


def ending(text: str, most: int) -> str:
    """The same of the end."""
    return beginning(text[::-1][: most + 1], most)[::-1]


class Mask:
    """Takes secret values out of whatever is to be shown or stored."""

    def __init__(self, values: Iterable[str]) -> None:
        known = {value for value in values if len(value) >= SHORTEST_MASKED}
        # The longest first: one secret may be the beginning of another.
        words = sorted(known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def text(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def value(self, value: Value) -> Value:
        """The same in every text within lists, mappings and records; the value itself when there is none."""
        return value if self._pattern is None else self._inside(value)

    def _inside(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._inside(key): self._inside(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._inside(item) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{f.name: self._inside(getattr(value, f.name)) for f in fields(value) if f.init}
            )
        return value


def mask_of(servers: Iterable[McpServer], secrets: Mapping[str, str], names: Iterable[str] = ()) -> Mask:
    """Hides what these servers refer to, and the secrets named."""
    wanted = [*names, *(name for server in servers for name in references(server))]
    return Mask(secrets[name] for name in wanted if name in secrets)
