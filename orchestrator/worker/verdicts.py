"""What resolving says about waiting tasks, remembered until something changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.cascade import Refusal, resolve
from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.confinement import resolve_for
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.selection import required_secrets, required_servers, select_servers
from orchestrator.store import attempts, profiles, tasks
from orchestrator.store.database import Transaction
from orchestrator.worker.admission import Key, Verdict
from orchestrator.worker.lacking import Lacking, unstartable
from orchestrator.worker.standing import REMEMBERED_SECONDS


class Verdicts:
    """Tasks of one project that name the same profile resolve alike, so each pair is asked about once."""

    def __init__(
        self, *, defaults: Mapping[str, EffectiveProfile], ceiling: Ceiling, lacking: Lacking
    ) -> None:
        self._lacking = lacking
        self._lacked = lacking.names
        self._defaults = defaults
        self._ceiling = ceiling
        self._known: dict[Key, Verdict] = {}
        self._version = -1
        self._since = 0.0

    def judge(
        self, tx: Transaction, waiting: Sequence[Candidate], now: float, version: int
    ) -> Mapping[Key, Verdict]:
        """A verdict for each. `version` is that of the rules, as the turn found them: what was said before
        holds for as long. An attempt resolves its profile anew in any case."""
        lacked = self._lacking.names
        lasting = self._since <= now < self._since + REMEMBERED_SECONDS
        if lacked != self._lacked or version != self._version or not lasting:
            self._known, self._since, self._lacked, self._version = {}, now, lacked, version
        # A refusal is not remembered: a task that is looked at again, because what held it has changed, would
        # be held once more for what was true before.
        known = {key: verdict for key, verdict in self._known.items() if verdict.reason is None}
        self._known = known
        for task in waiting:
            key = task.project_id, task.profile_id
            if key not in known:
                known[key] = self._ask(tx, task)
        return known

    def confined(self, tx: Transaction, candidate: Candidate) -> Verdict | None:
        """Why a task that an agent asked for may not start: its profile grants more than that agent had."""
        task = tasks.get(tx, candidate.id)
        if task is None:
            return None
        catalog = profiles.catalog_for(tx, task, defaults=self._defaults, ceiling=self._ceiling)
        resolved = resolve_for(task, catalog, caller=attempts.caller_of(tx, task))
        if isinstance(resolved, Refusal):
            return Verdict(reason=resolved.reason, message=resolved.message)
        return None

    def _ask(self, tx: Transaction, candidate: Candidate) -> Verdict:
        task = tasks.get(tx, candidate.id)
        if task is None:
            return Verdict(reason="task_missing", message="The task was removed.")
        named = replace(task, profile_id=candidate.profile_id)
        catalog = profiles.catalog_for(tx, named, defaults=self._defaults, ceiling=self._ceiling)
        resolved = resolve(catalog)
        if isinstance(resolved, Refusal):
            return Verdict(reason=resolved.reason, message=resolved.message)
        effective = resolved.effective
        selected = select_servers(effective.mcp_servers, catalog)
        optional = effective.optional_servers
        undefined = [name for name in selected.missing if name not in optional]
        required, secrets = required_servers(selected, optional), required_secrets(selected, optional)
        held = unstartable(resolved.profile_id, undefined, required, self._lacking)
        if held is not None:
            return Verdict(reason=held.reason, message=held.message, secrets=secrets)
        return Verdict(
            harness=effective.harness,
            profile_id=resolved.profile_id,
            model=effective.model,
            secrets=secrets,
        )
