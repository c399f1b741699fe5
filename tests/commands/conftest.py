"""Commands on a real database and a real vault, with a clock that stands still."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator.commands.use import Host, Use
from orchestrator.domain.attempt import AgentMessage, Snapshot, Usage
from orchestrator.domain.effective import as_json
from orchestrator.domain.outcome import Completed, Outcome
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Claim
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, events, queue, settling
from orchestrator.store.database import Database, open_database
from orchestrator.vault.sync import VaultSync

Request = TypeVar("Request")
Result = TypeVar("Result")

REVIEWER = """---
id: reviewer
name: Reviewer
description: Reads only
---
## Role
You review.

## Tools
```json
{"allowed": ["Read", "Grep"]}
```
"""


@dataclass
class Bench:
    """Everything a test of commands needs: `do` runs one, the clock moves by hand."""

    use: Use
    database: Database
    vault: Path
    now: float = field(default=1_800_000_000.0)

    def do(self, handler: Callable[[Use, Request], Awaitable[Result]], request: Request) -> Result:
        async def run() -> Result:
            return await handler(self.use, request)

        return asyncio.run(run())

    def kinds(self) -> list[str]:
        """The kinds of all events so far."""
        return [stored.event.kind for stored in self.database.read_sync(events.after, 0)]

    def begin(self, task_id: str, *said: tuple[str, dict[str, Any]]) -> Claim:
        """A worker takes the task, starts an attempt, and its agent says these things."""
        (claim,) = self.database.run_sync(
            queue.claim, [task_id], worker="w1", now=self.now, lease_seconds=60.0
        )
        snapshot = Snapshot(profile_id="reviewer", tier="task", effective=as_json(CLAUDE_DEFAULTS))
        self.database.run_sync(attempts.begin, claim, snapshot, now=self.now)
        self.say(claim, *said)
        return claim

    def say(self, claim: Claim, *said: tuple[str, dict[str, Any]], start: int = 1) -> None:
        messages = [
            AgentMessage(sequence=number, at=self.now, kind=kind, body=body)
            for number, (kind, body) in enumerate(said, start)
        ]
        self.database.run_sync(attempts.append_messages, claim, messages)

    def wake(self) -> None:
        """Whoever waited for his time is looked at again."""
        self.database.run_sync(queue.wake_due, now=self.now)

    def end(self, claim: Claim, outcome: Outcome | None = None) -> None:
        """The attempt ends; by default it completed with the answer "done"."""
        settlement = settle(claim.task, outcome or Completed(answer="done"), now=self.now, jitter=0.5)
        ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage(cost_usd=0.25, turns=2))
        assert self.database.run_sync(settling.settle, [ending], worker="w1", now=self.now)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    vault = tmp_path / "vault"
    profile = vault / "agent-types" / "reviewer" / "profile.md"
    profile.parent.mkdir(parents=True)
    profile.write_text(REVIEWER, encoding="utf-8")
    numbers = itertools.count()
    with open_database(f"sqlite:///{tmp_path / 'o.db'}") as database:
        sync = VaultSync(root=vault, database=database)
        asyncio.run(sync.run_once())
        made: Bench
        use = Use(
            database=database,
            sync=sync.run_once,
            host=Host(home=tmp_path, vault=vault, database="o.db"),
            clock=lambda: made.now,
            random=lambda: next(numbers),
            defaults={"claude": CLAUDE_DEFAULTS},
        )
        made = Bench(use=use, database=database, vault=vault)
        yield made
