"""The types of event: the documentation, the list, and what is recorded agree."""

import ast
import re
from pathlib import Path

from orchestrator.api.page import filled
from orchestrator.domain.known_events import BY_NAME, KNOWN_EVENTS
from orchestrator.store import events

ROOT = Path(__file__).resolve().parents[2]
NAME = r"(task|limit|attempt|profile|mcp_server|vault|project|question|progress|tool|schedule)\.[a-z_]+"
BY_TEMPLATE = {
    f"{kind}.{what}" for kind in ("profile", "mcp_server") for what in ("changed", "rejected", "removed")
}
"""Named from the kind of a document and what became of it."""
GAP = "events.gap"
"""Told to one reader, and recorded nowhere."""


def recorded_in_code() -> set[str]:
    """Names of events that stand in the code, those of log lines left out."""
    found: set[str] = set()
    for folder in ("store", "worker", "commands"):
        for path in (ROOT / "orchestrator" / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            logged = {
                id(call.args[0])
                for call in ast.walk(tree)
                if isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == "log"
                and call.args
            }
            texts = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in logged)
            found |= {str(n.value) for n in texts if re.fullmatch(NAME, str(n.value))}
    return found


def test_the_page_is_written_from_the_list() -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert page == filled(page)


def test_the_list_names_every_type_that_the_code_records_and_no_other() -> None:
    counted = {"attempt.started", "attempt.ended", "vault.synced", GAP}
    assert recorded_in_code() | BY_TEMPLATE | counted == BY_NAME.keys()
    assert len(BY_NAME) == len(KNOWN_EVENTS)


def test_what_is_recorded_has_the_members_that_the_list_promises(with_api) -> None:
    async def test(api) -> None:
        ask = api.ask
        await ask("POST", "/api/v1/projects", {"id": "acme"})
        for change in ({"weight": 2.0}, {"name": "A"}):
            await ask("PATCH", "/api/v1/projects/acme", change)
        for verb in ("pause", "resume"):
            await ask("POST", f"/api/v1/projects/acme/{verb}")
        first = (await ask("POST", "/api/v1/tasks", {"title": "a"})).json["created"]
        second = (await ask("POST", "/api/v1/tasks", {"title": "b", "depends_on": [first]})).json["created"]
        for verb in ("cancel", "retry", "cancel"):
            assert (await ask("POST", f"/api/v1/tasks/{first}/{verb}")).status == 200
        await ask("PATCH", f"/api/v1/tasks/{second}", {"title": "c"})
        await ask("POST", "/api/v1/profiles", {"id": "mine", "name": "Mine", "allowed_tools": ["Read"]})
        await ask("DELETE", "/api/v1/profiles/mine")
        found = await api.use.database.read(events.after, 0)
        assert len({stored.event.kind for stored in found}) >= 12
        for event in (stored.event for stored in found):
            known = BY_NAME[event.kind]
            assert set(known.fields) <= event.data.keys() <= {*known.fields, *known.sometimes}, event

    with_api(test)
