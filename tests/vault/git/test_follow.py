"""The duty beside the event loop."""

import asyncio
import socket
import time

from orchestrator.store.wake import Listener
from orchestrator.vault.git.follow import follow_remote
from orchestrator.vault.git.state import GitState


def test_a_trigger_is_a_look_again_and_the_tree_is_read_after_it(here, there) -> None:
    async def scenario() -> None:
        looked, asked = asyncio.Queue[str](), Listener()

        async def look(_: object) -> None:
            looked.put_nowait(here.read("README.md"))

        duty = asyncio.create_task(follow_remote(here.vault, look, seconds=600.0, asked=asked))
        async with asyncio.timeout(20):
            await looked.get()
            there.put("README.md", "changed\n")
            await asyncio.to_thread(there.synced)
            asked.ring()
            assert await looked.get() == "changed\n"
        duty.cancel()

    asyncio.run(scenario())


def test_ending_it_does_not_wait_for_a_remote_that_says_nothing(here) -> None:
    async def scenario(port: int) -> float:
        here.git("remote", "set-url", "origin", f"https://127.0.0.1:{port}/x.git")
        vault = here.vault
        duty = asyncio.create_task(follow_remote(vault, lambda _: asyncio.Event().wait(), seconds=600.0))
        reader = asyncio.get_running_loop()
        connection, _ = await reader.sock_accept(silent)
        started = time.monotonic()
        duty.cancel()
        await asyncio.gather(duty, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        connection.close()
        assert vault.run_once().state is GitState.STOPPED
        return time.monotonic() - started

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        assert asyncio.run(scenario(silent.getsockname()[1])) < 5
