"""A look at every transaction of a test's own process: one that changes what decides whether a task may start
says so, or a worker would go on by what it remembers."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.sql.dml import UpdateBase

from orchestrator.store import database, outbox

RULES: Final = frozenset(
    {
        "agent_profiles",
        "backoffs",
        "bindings",
        "limits",
        "mcp_servers",
        "profile_overlays",
        "projects",
        "sync_state",
    }
)
STORE: Final = Path(database.__file__).parent
SEEN: Final = "marked_rules.seen"
ASIDE: Final = frozenset({"probed_at", "probe_error", "probed_tools"})
"""What decides nothing."""


@pytest.fixture(autouse=True)
def marked_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    unmarked: set[str] = set()
    flush = database.flush

    def begun(tx: Connection) -> None:
        tx.info[SEEN] = set()

    def executed(tx: Connection, statement: Any, *_: object) -> None:
        if _is_ours() and isinstance(statement, UpdateBase) and (name := statement.table.name) in RULES:  # type: ignore[attr-defined]  # each has one
            values = {getattr(key, "name", key) for key in getattr(statement, "_values", None) or ()}
            if not values or not values <= ASIDE:
                tx.info.setdefault(SEEN, set()).add(name)

    def looked_at(tx: Connection) -> None:
        if not outbox._of(tx).rules:
            unmarked.update(tx.info.get(SEEN, ()))
        flush(tx)

    monkeypatch.setattr(database, "flush", looked_at)
    listeners = (("begin", begun), ("after_execute", executed))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    yield
    for name, listener in listeners:
        event.remove(Engine, name, listener)
    assert not unmarked, f"rules were changed without a word: {sorted(unmarked)}"


def _is_ours() -> bool:
    """Whether the program itself had the statement executed, and not a test that prepares something."""
    frame = sys._getframe(2)
    while frame.f_back is not None and "sqlalchemy" in frame.f_code.co_filename:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).is_relative_to(STORE)
