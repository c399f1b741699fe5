"""One command line's way to the commands: settings, database, and what they are to use."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli.options import current
from orchestrator.commands.use import Use

if TYPE_CHECKING:
    from orchestrator.app import App
    from orchestrator.settings import Loaded

Request = TypeVar("Request")
Result = TypeVar("Result")


def settings() -> "Loaded":
    """The settings, as this command line overrides them. Raises ConfigurationError."""
    from orchestrator.settings import load  # noqa: PLC0415 - see `use`

    options = current()
    return load(home=options.home, overrides=options.overrides)


def use_of(opened: "App") -> Use:
    """What commands may use of an application that is open."""
    from orchestrator import app  # noqa: PLC0415 - see `use`

    return app.use(opened, clock=time.time, random=lambda: secrets.randbits(40))


@asynccontextmanager
async def use(*, log: str = "warning") -> AsyncIterator[Use]:
    """What commands may use, for as long as the block lasts. Only warnings are logged, or what `log` says."""
    # Database, vault and harnesses take longest to load; neither help nor a wrong option waits for them.
    from orchestrator import app, logs  # noqa: PLC0415 - lazy on purpose

    loaded = settings().settings
    logs.configure(style=loaded.log.format, level=log)
    async with app.opened(loaded) as opened:
        yield use_of(opened)


def call(
    handler: Callable[[Use, Request], Awaitable[Result]], request: Request, *, log: str = "warning"
) -> Result:
    """Run one command from start to end."""

    async def run() -> Result:
        async with use(log=log) as ready:
            return await handler(ready, request)

    return asyncio.run(run())
