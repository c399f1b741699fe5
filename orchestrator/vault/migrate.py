"""Bringing documents of an older layout up to date: what would be written, and what a person must look at."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from orchestrator.domain.tools import EMBEDDED_SERVER
from orchestrator.vault import json_block, json_edit, server_document
from orchestrator.vault.change import Change
from orchestrator.vault.document import BOM, Parsed, parse
from orchestrator.vault.files import Tree, read_tree
from orchestrator.vault.layout import Address, is_id, path_of
from orchestrator.vault.problem import shown
from orchestrator.vault.server_document import ParsedServer

StepKind = Literal["profile", "mcp_server", "names", "kept", "stray"]

_MARK: Final = b"mcp servers"
"""A document without these words has no section of servers, and need not be parsed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing done: a profile or server written, a list of names put in the place of definitions. Or not
    done: kept as it was for a reason, a stray that only a person can place."""

    kind: StepKind
    path: str
    """Below the vault."""
    message: str

    @property
    def done(self) -> bool:
        return self.kind not in ("kept", "stray")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to write, and what to tell."""

    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()


class Planner:
    """Gathers changes; what is planned already counts as being there."""

    def __init__(self, present: Callable[[str], bytes | None]) -> None:
        self._present = present
        self._changes: dict[str, Change] = {}
        self._steps: list[Step] = []

    @property
    def plan(self) -> Plan:
        return Plan(changes=tuple(self._changes.values()), steps=tuple(self._steps))

    def at(self, path: str) -> bytes | None:
        """What the file says, or is planned to say."""
        planned = self._changes.get(path)
        return self._present(path) if planned is None else planned.after

    def put(self, path: str, data: bytes, kind: StepKind, message: str) -> None:
        self._changes[path] = Change(path=path, before=self._present(path), after=data)
        self.tell(kind, path, message)

    def tell(self, kind: StepKind, path: str, message: str) -> None:
        self._steps.append(Step(kind=kind, path=path, message=message))

    def servers(self, entries: Mapping[str, Any], project_id: str | None, source: str) -> bool:
        """Plan a file for each inline definition, and say whether all of them are in the registry then."""
        there = [self._server(name, entry, project_id, source) for name, entry in entries.items()]
        return all(there)

    def _server(self, name: str, entry: Any, project_id: str | None, source: str) -> bool:
        if name == EMBEDDED_SERVER:
            return True
        if not is_id(name):
            self.tell("kept", source, f"MCP server {shown(name)} stays: this is not a usable name")
            return False
        path = path_of(Address(kind="mcp_server", id=name, project_id=project_id))
        data = server_file(name, entry)
        new = server_document.parse(data, name=name, project_id=project_id)
        if not isinstance(new, ParsedServer):
            self.tell("kept", source, f"MCP server {name} stays: {new.errors[0].message}")
            return False
        there = self.at(path)
        if there is None:
            self.put(path, data, "mcp_server", f"MCP server {name}, from {source}")
            return True
        known = server_document.parse(there, name=name, project_id=project_id)
        if isinstance(known, ParsedServer) and known.server == new.server:
            return True
        self.tell("kept", source, f"MCP server {name} stays: {path} says something else")
        return False


def plan_documents(root: Path) -> Plan:
    """What older documents need. Raises VaultUnavailable when the vault cannot be read."""
    tree = read_tree(root, {})
    planner = Planner(lambda path: _found(tree, path))
    for path, file in sorted(tree.files.items()):
        if file.address.kind == "profile" and file.data is not None and _MARK in file.data.lower():
            _profile(planner, path, file.address, file.data)
    for path, stray in sorted(tree.strays.items()):
        where = "" if stray.intended is None else f"; it belongs at {path_of(stray.intended)}"
        planner.tell("stray", path, f"a directory of an old layout, which is never read{where}")
    return planner.plan


def server_file(name: str, entry: Any) -> bytes:
    """A registry file for an inline definition. Whether it is usable shows when it is read."""
    given = dict(entry) if isinstance(entry, Mapping) else {}
    transport = given.pop("transport", None) or given.pop("type", None)
    fields = {"name": name, **({} if transport is None else {"transport": transport}), **given}
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{text}---\n".encode("utf-8", "surrogatepass")


def _found(tree: Tree, path: str) -> bytes | None:
    file = tree.files.get(path)
    if path in tree.problems:
        return b""
    return None if file is None else file.data


def _profile(planner: Planner, path: str, address: Address, data: bytes) -> None:
    parsed = parse(data, profile_id=address.id, overlay=address.project_id is not None)
    if not isinstance(parsed, Parsed) or not parsed.inline_servers:
        return
    if not planner.servers(parsed.inline_servers, address.project_id, path):
        return
    names = list(parsed.inline_servers)
    after = _with_names(parsed, names)
    planner.put(path, after, "names", f"lists its MCP servers by name: {', '.join(names)}")


def _with_names(parsed: Parsed, names: Iterable[str]) -> bytes:
    """The document with the list of names in the place of the object, and every other byte as it was."""
    section = next(section for section in parsed.sections if section.title == "MCP Servers")
    block = json_block.block_of(section)
    assert block is not None
    inner = parsed.text[block.start : block.end]
    listed = inner.replace(inner.strip(), json_edit.dumps(list(names)), 1)
    text = parsed.text[: block.start] + listed + parsed.text[block.end :]
    return (BOM if parsed.bom else b"") + text.encode()
