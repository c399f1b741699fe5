"""The command that starts MCP servers and asks what tools they have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.commands.projects import known_project
from orchestrator.commands.servers import CatalogEntry, builtin_entry, entry, resolve, visible
from orchestrator.commands.use import Use
from orchestrator.domain.errors import Conflict
from orchestrator.domain.mcp import RegisteredServer, ServerProbe
from orchestrator.domain.tools import EMBEDDED_SERVER
from orchestrator.store import servers as store
from orchestrator.store.database import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeServer:
    name: str | None = None
    """Absent: all that a profile can name there, side by side."""
    project_id: str | None = None
    """Where the name is resolved: the project's own server first, then the system's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerProbed:
    probed: CatalogEntry | Mapping[str, CatalogEntry]
    """The entry of the server named, or all of them by name."""


async def probe_mcp_server(use: Use, request: ProbeServer) -> ServerProbed:
    """Start an MCP server, or all, and record which tools it offers or why it does not."""
    if request.name == EMBEDDED_SERVER:
        return ServerProbed(probed=builtin_entry())
    if request.name is not None:
        found = await use.database.read(resolve, request.name, request.project_id)
        return ServerProbed(probed=entry((await probe_all(use, [found]))[0]))

    def read(tx: Transaction) -> list[RegisteredServer]:
        if request.project_id is not None:
            known_project(tx, request.project_id)
        return sorted(visible(tx, request.project_id).values(), key=lambda one: one.server.name)

    probed = await probe_all(use, await use.database.read(read))
    return ServerProbed(probed={one.server.name: entry(one) for one in probed})


async def probe_all(use: Use, found: Sequence[RegisteredServer]) -> list[RegisteredServer]:
    """Probe them side by side and record what they said. Raises Conflict where none can be started."""
    if use.probe is None:
        raise Conflict("servers cannot be started from here; nothing was probed")
    probes = await use.probe([one.server for one in found])
    pairs = list(zip(found, probes, strict=True))
    await use.database.run(_record, pairs)
    return [replace(one, probe=probe) for one, probe in pairs]


def _record(tx: Transaction, pairs: Sequence[tuple[RegisteredServer, ServerProbe]]) -> None:
    for found, probe in pairs:
        store.record_probe(tx, found, probe)
