"""Stepping aside: a task that this host cannot run is left to a host that may."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.lack import (
    CHECKOUT_UNUSABLE,
    PROCESS_LEFT,
    SECRET_MISSING,
    Lacks,
    lack,
    lacked,
    needs,
)
from orchestrator.domain.outcome import Held
from orchestrator.domain.project import Project
from orchestrator.domain.task import Task
from orchestrator.store import load, queue, tasks, workers
from orchestrator.store.database import Database, Transaction
from orchestrator.store.load import Limits
from orchestrator.store.workers import Worker
from orchestrator.worker.admission import Facts, Hold, Verdict
from orchestrator.worker.lacking import Lacking

HOSTS: Final = 5
"""That a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    message: str
    until: float


class Elsewhere:
    """What this host lacks: noted by the attempts that missed it, and said in the worker's own row before how
    they ended is recorded. It passes over what it cannot run while another host is there that has not said
    the same; the last one to find out holds the task for all. So each tries once in `recheck_seconds`, and
    one that is killed leaves nothing behind: what its row says counts no longer than it is there itself."""

    def __init__(self, *, worker: str, host: str, lacking: Lacking, recheck_seconds: float) -> None:
        self._worker = worker
        self._host = host
        self._lacking = lacking
        self._recheck_seconds = recheck_seconds
        self._notes: Mapping[str, _Note] = {}
        self._said: Lacks = {}
        """What the others know of it."""

    def others(self, tx: Transaction, task: Task, project: Project) -> list[str]:
        """The other hosts with a worker that may take the task."""
        fit = self._fit(workers.alive(tx, now=queue.clock(tx)), {*task.requires, *project.requires})
        return sorted({one.host for one in fit})

    def note(self, held: Held, task: Task, project: Project, *, now: float) -> None:
        """It cannot run here for a while. Secrets are looked for all the time, and not noted."""
        what = {CHECKOUT_UNUSABLE: project.repository, PROCESS_LEFT: task.id}.get(held.reason)
        if what is not None:
            still = {name: one for name, one in self._notes.items() if one.until > now}
            note = _Note(message=held.message, until=now + self._recheck_seconds)
            self._notes = {**still, lack(held.reason, what): note}

    def lacks(self, now: float) -> dict[str, float | None]:
        """What this host lacks now."""
        secrets = {lack(SECRET_MISSING, name): None for name in self._lacking.names}
        return {**secrets, **{name: one.until for name, one in self._notes.items() if one.until > now}}

    async def tell(self, database: Database, *, now: float) -> Lacks:
        """Look for the secrets that were missing, and have the others know what this host lacks by now: what
        was held for a secret that is there is decided anew. Raises DatabaseUnavailable."""
        found = await self._lacking.look_again()
        if (lacks := self.lacks(now)) != self._said:
            await database.run(workers.say_lacks, self._worker, lacks)
            self._said = lacks
        if found:
            await database.run(tasks.reconsider, holds=(SECRET_MISSING,))
        return lacks

    def passed_over(
        self, tx: Transaction, candidates: Sequence[Candidate], facts: Facts
    ) -> Mapping[str, Hold]:
        """By task, why it does not start here: held where no host can run it, and else left as it is. Nothing
        of those that are nobody else's to take."""
        lacks = self.lacks(facts.now)
        if not lacks or not (self._notes or any(_secretless(task, facts) for task in candidates)):
            return {}
        alive = workers.alive(tx, now=facts.now)
        # Where the row was lost and made again, it is said once more.
        self._said = next((one.lacks for one in alive if one.id == self._worker), self._said)
        if not self._fit(alive, ()):
            return {}
        limits = load.limits(tx, {task.project_id for task in candidates})
        found = {}
        for task in candidates:
            project, verdict = limits[task.project_id], facts.verdicts[task.project_id, task.profile_id]
            others = self._fit(alive, {*json.loads(task.requires or "[]"), *project.requires})
            if others and verdict.reason in (None, SECRET_MISSING):
                there: dict[str, list[Lacks]] = {self._host: [lacks]}
                for one in others:
                    there.setdefault(one.host, []).append(one.lacks)
                if (hold := self._hold(task, project, verdict, there, now=facts.now)) is not None:
                    found[task.id] = hold
        return found

    def _hold(
        self,
        task: Candidate,
        project: Limits,
        verdict: Verdict,
        there: Mapping[str, Sequence[Lacks]],
        *,
        now: float,
    ) -> Hold | None:
        """`there` is what the workers of each host said. `None` where it can run here."""
        wanted = needs(
            task.id, checkout=project.checkout, repository=project.repository, secrets=verdict.secrets
        )
        missed = {host: [lacked(wanted, lacks, now=now) for lacks in said] for host, said in there.items()}
        (here,) = missed[self._host]
        if not here:
            return None
        note = self._notes.get(here[0])
        message = note.message if note else verdict.message
        hold = Hold(task_id=task.id, reason=here[0].partition(" ")[0], message=message)
        if not all(each for of_host in missed.values() for each in of_host):
            return hold
        ends = [until for said in there.values() for lacks in said for until in _untils(lacks, wanted, now)]
        told = f"{message} No host can run it now: {_told(missed)}.".lstrip()
        return replace(hold, message=told, until=min([now + self._recheck_seconds, *ends]))

    def _fit(self, alive: Sequence[Worker], required: Collection[str]) -> list[Worker]:
        return [one for one in alive if one.host != self._host and one.carries(required)]


def _secretless(task: Candidate, facts: Facts) -> bool:
    return facts.verdicts[task.project_id, task.profile_id].reason == SECRET_MISSING


def _untils(lacks: Lacks, wanted: Collection[str], now: float) -> list[float]:
    return [until for one in lacked(wanted, lacks, now=now) if (until := lacks[one]) is not None]


def _told(missed: Mapping[str, Sequence[Sequence[str]]]) -> str:
    what = {host: sorted({one for each in of_host for one in each}) for host, of_host in missed.items()}
    named = [f"{host} ({', '.join(what[host])})" for host in sorted(what)]
    return ", ".join(named[:HOSTS]) + (f" and {len(named) - HOSTS} more" if len(named) > HOSTS else "")
