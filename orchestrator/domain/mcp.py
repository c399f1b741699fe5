"""MCP servers: one definition each, a project's shadowing the system's, and what they were seen to offer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerTool:
    """A tool as its server describes it; `input_schema` is a JSON schema."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerProbe:
    """What a server said when it was started and asked for its tools, or why it did not."""

    at: float
    tools: tuple[ServerTool, ...] = ()
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredServer:
    """A server of the registry. `probe` is `None` until it was probed as it is defined now; `digest` is of
    its document."""

    server: McpServer
    digest: str
    probe: ServerProbe | None = None
