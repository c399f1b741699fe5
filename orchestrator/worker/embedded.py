"""Our own MCP server among those of an attempt: its address, and a token that ends with the attempt."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.grants import granted_embedded
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.token import digest_of
from orchestrator.domain.tools import EMBEDDED_SERVER

Address = Callable[[], Awaitable[str]]
"""Where agents of this process reach our MCP server; it is started when first asked for. Raises
ConfigurationError."""

SECRET: Final = "ORCHESTRATOR_ATTEMPT_TOKEN"  # noqa: S105 - the name, not the token
TOKEN_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What an attempt is given that has tools of ours. The token is in no log, row or command line: the
    definition names a secret, which is put in its place where the agent's own file is written."""

    server: McpServer
    token: str = field(repr=False)

    @property
    def digest(self) -> str:
        return digest_of(self.token)

    @property
    def secrets(self) -> dict[str, str]:
        return {SECRET: self.token}


async def pass_for(effective: EffectiveProfile, address: Address | None) -> Pass | None:
    """A new pass, when the profile grants any of our tools and there is somewhere to call them."""
    if address is None or not granted_embedded(effective):
        return None
    server = McpServer(
        name=EMBEDDED_SERVER,
        transport="http",
        description="The tasks of the orchestrator itself.",
        url=await address(),
        headers={"Authorization": f"Bearer ${{{SECRET}}}"},
    )
    return Pass(server=server, token=f"attempt-{secrets.token_urlsafe(TOKEN_BYTES)}")
