"""MCP servers: one definition each, a project's shadowing the system's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Transport = Literal["stdio", "http"]


@dataclass(frozen=True, kw_only=True, slots=True)
class McpServer:
    """A server as its document defines it. `env` and `headers` may hold `${NAME}` references to secrets,
    which stay references until launch."""

    name: str
    transport: Transport
    project_id: str | None = None
    """The project that defines it; `None` is the system."""
    description: str = ""
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
