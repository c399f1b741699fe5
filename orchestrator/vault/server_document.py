"""MCP server documents: bytes to a server, or everything that is wrong with them."""

import re
from dataclasses import dataclass, field
from typing import Final, TypeGuard
from urllib.parse import urlsplit

from orchestrator.domain.mcp import McpServer, Transport
from orchestrator.domain.tools import EMBEDDED_SERVER
from orchestrator.vault import front_matter
from orchestrator.vault.document import BOM, decode
from orchestrator.vault.front_matter import FrontMatter
from orchestrator.vault.guarded_yaml import Bare, Value
from orchestrator.vault.problem import (
    MOST_PROBLEMS,
    Findings,
    Problem,
    Rejected,
    did_you_mean,
    in_order,
    shown,
)

_STDIO_KEYS: Final = ("command", "args", "env")
_HTTP_KEYS: Final = ("url", "headers")
_KEYS: Final = ("name", "transport", "description", *_STDIO_KEYS, *_HTTP_KEYS)
_REFERENCE: Final = re.compile(r"\$\{")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedServer:
    """A usable document; `text` is the document as decoded, without the byte order mark it may have, and the
    offsets of `front` point into it."""

    server: McpServer
    warnings: tuple[Problem, ...] = ()
    text: str = field(default="", repr=False)
    bom: bool = False
    front: FrontMatter = field(default_factory=FrontMatter)


def parse(data: bytes, *, name: str, project_id: str | None = None) -> ParsedServer | Rejected:
    """Read an MCP server document. Never raises, whatever the bytes are.

    `name` and `project_id` are what the document's place says.
    """
    findings = Findings()
    text = decode(data, findings)
    front = front_matter.read(text, findings) if text is not None else None
    if text is None or front is None:
        return findings.rejected()
    if not front.present:
        findings.error("front matter is missing: a server is defined between two '---' lines", 1)
        return findings.rejected()
    server = _server(_Fields(front, findings), name, project_id)
    if server is None or findings.errors:
        return findings.rejected()
    return ParsedServer(
        server=server,
        warnings=in_order(findings.warnings),
        text=text,
        bom=data.startswith(BOM),
        front=front,
    )


class _Fields:
    """The front matter of a server, read field by field; what is wrong is collected."""

    def __init__(self, front: FrontMatter, findings: Findings) -> None:
        self.front = front
        self.findings = findings

    def error(self, key: str, message: str) -> None:
        self.findings.error(message, self.front.lines.get(key))

    def warn(self, key: str, message: str) -> None:
        self.findings.warn(message, self.front.lines.get(key))

    def text(self, key: str) -> str | None:
        return self.front.text(key, self.findings)

    def transport(self) -> Transport | None:
        given = self.text("transport")
        if given is None:
            if self.front.values.get("command") is not None:
                return "stdio"
            self.error("transport", "'transport' is missing; write stdio or http")
            return None
        folded = given.casefold()
        if _is_transport(folded):
            return folded
        self.error("transport", f"'transport' must be stdio or http, got {shown(given)}")
        return None

    def args(self) -> tuple[str, ...]:
        value = self.front.values.get("args")
        if value is None:
            return ()
        if not isinstance(value, list):
            self.error("args", "'args' must be a list of strings")
            return ()
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self.error("args", f"'args' must be a list of strings: args[{index}] is {_kind(item)}")
        return tuple(item for item in value if isinstance(item, str))

    def mapping(self, key: str, names: re.Pattern[str]) -> dict[str, str]:
        value = self.front.values.get(key)
        if value is None:
            return {}
        message = f"'{key}' must be an object of strings to strings"
        if not isinstance(value, dict):
            self.error(key, message)
            return {}
        good: dict[str, str] = {}
        for name, item in value.items():
            if not isinstance(item, str):
                self.error(key, f"{message}: {shown(name)} is {_kind(item)}")
            elif not names.fullmatch(name):
                self.error(key, f"'{key}': {shown(name)} is not a usable name")
            elif _CONTROL.search(item):
                self.error(key, f"'{key}': the value of {shown(name)} contains control characters")
            else:
                good[name] = item
        return good

    def warn_unused(self, keys: tuple[str, ...], transport: Transport) -> None:
        for key in keys:
            if self.front.values.get(key) is not None:
                self.warn(key, f"'{key}' is not used by a server with transport {transport}")

    def warn_unknown(self) -> None:
        for key in [key for key in self.front.values if key not in _KEYS][:MOST_PROBLEMS]:
            self.warn(key, f"unknown key {shown(key)}{did_you_mean(key, _KEYS)}")


def _server(fields: _Fields, name: str, project_id: str | None) -> McpServer | None:
    if name == EMBEDDED_SERVER:
        fields.error("name", f"'{name}' is reserved by the embedded {EMBEDDED_SERVER} server")
        return None
    given = fields.text("name")
    if given is not None and given != name:
        fields.error("name", f"name {shown(given)} differs from the file's name '{name}'")
    fields.warn_unknown()
    description = fields.text("description") or ""
    transport = fields.transport()
    if transport == "stdio":
        fields.warn_unused(_HTTP_KEYS, transport)
        return _stdio(fields, name, project_id, description)
    if transport == "http":
        fields.warn_unused(_STDIO_KEYS, transport)
        return _http(fields, name, project_id, description)
    return None


def _stdio(fields: _Fields, name: str, project_id: str | None, description: str) -> McpServer:
    command = fields.text("command")
    if command is None:
        fields.error("command", "stdio transport requires 'command'")
    args = fields.args()
    for key, texts in (("command", (command or "",)), ("args", args)):
        if any(_REFERENCE.search(text) for text in texts):
            fields.warn(key, f"'{key}': ${{...}} is only replaced in env and headers")
    return McpServer(
        name=name,
        transport="stdio",
        project_id=project_id,
        description=description,
        command=command,
        args=args,
        env=fields.mapping("env", _VARIABLE),
    )


def _http(fields: _Fields, name: str, project_id: str | None, description: str) -> McpServer:
    url = fields.text("url")
    if url is None:
        fields.error("url", "http transport requires 'url'")
    elif not _is_url(url):
        fields.error("url", f"'url' must be an http or https URL, got {shown(url)}")
    return McpServer(
        name=name,
        transport="http",
        project_id=project_id,
        description=description,
        url=url,
        headers=fields.mapping("headers", _HEADER),
    )


def _is_transport(text: str) -> TypeGuard[Transport]:
    return text in ("stdio", "http")


def _is_url(text: str) -> bool:
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _kind(value: Value) -> str:
    if isinstance(value, Bare):
        return f"a {value.kind}; put it in quotes"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else "empty"
