"""Our requests to the agent, and its answers to them."""

import asyncio
import json

from orchestrator.harness.claude import control
from orchestrator.harness.process import Child


class Requests:
    """Writes to the agent's input, and hands each answer to the one who asked."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._waiting: dict[str, asyncio.Future[control.Answered]] = {}
        self._sent = 0

    def expect(self) -> tuple[str, asyncio.Future[control.Answered]]:
        """The number of a new request, and its answer to come; cancelled when the agent ends before."""
        self._sent += 1
        number = f"ours_{self._sent}"
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return number, self._waiting[number]

    async def ask(self, subtype: str) -> control.Answered:
        """Ask, and wait for the answer."""
        number, reply = self.expect()
        await self.send(control.ask(number, subtype))
        return await reply

    async def send(self, message: control.Wire) -> None:
        """Write one message. That nobody reads any more is seen where the agent's output ends."""
        line = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        await self._child.write(line + b"\n")

    def take(self, answer: control.Answered | None) -> None:
        """An answer has come; one that nobody waits for is left alone."""
        waiting = self._waiting.pop(answer.id, None) if answer is not None else None
        if answer is not None and waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def close(self) -> None:
        """No answer will come any more."""
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
