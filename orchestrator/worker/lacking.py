"""What a profile's servers lack before they can be started: a definition, or a secret."""

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

from orchestrator.domain.lack import SECRET_MISSING
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.outcome import Held
from orchestrator.domain.secret import missing

SERVER_UNDEFINED: Final = "server_undefined"

LOOK_SECONDS: Final = 1.0
"""How often secrets that were missing are looked for, at most: where they come from may be slow."""


def unstartable(
    profile_id: str, undefined: Sequence[str], servers: Iterable[McpServer], secrets: Container[str]
) -> Held | None:
    """Why a profile cannot run that requires these servers and names those `undefined` besides; `None` when
    it can."""
    if undefined:
        names = ", ".join(undefined)
        return Held(
            reason=SERVER_UNDEFINED,
            message=f"Profile {profile_id} lists MCP servers that are not defined: {names}. "
            "Add their documents to the vault, or take them out of the profile.",
        )
    problem = next((found for server in servers if (found := missing(server, secrets))), None)
    return None if problem is None else Held(reason=SECRET_MISSING, message=str(problem))


class Lacking:
    """The secrets that attempts of this worker did not find. As a container it has every name but those: what
    else is there is only known to who asks for it."""

    def __init__(self, secrets: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._secrets = secrets
        self._clock = clock
        self.names: frozenset[str] = frozenset()
        self._looked_at = 0.0

    def __contains__(self, name: object) -> bool:
        return name not in self.names

    def note(self, names: Iterable[str]) -> None:
        self.names |= frozenset(names)

    async def look_again(self) -> bool:
        """Whether any of them is there by now."""
        if not self.names or self._clock() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = self._clock()
        found = await asyncio.to_thread(self._found, self.names)
        self.names -= found
        return bool(found)

    def _found(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset(name for name in names if self._is_there(name))

    def _is_there(self, name: str) -> bool:
        try:
            return self._secrets.get(name) is not None
        except OSError:  # an attempt says so, when it has come to that
            return True
