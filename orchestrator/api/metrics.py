"""What Prometheus reads: the state of the queue as it is, and counts since this process started."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from orchestrator.api.events import Hub
from orchestrator.commands.use import Use
from orchestrator.domain.event import Event
from orchestrator.store.figures import Figures, counted, figures

if TYPE_CHECKING:
    # Only its name: the library is loaded with the first request for metrics.
    from prometheus_client.core import Metric

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Sums over the events of the whole installation, from the moment this process began to count."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.claims: dict[str, int] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.spend: dict[str, float] = {}
        self.syncs = 0
        self.sync_seconds = 0.0
        self.rejections = 0

    def add(self, event: Event) -> None:
        project, data = event.project_id or "", event.data
        match event.kind:
            case "attempt.started":
                self.claims[project] = self.claims.get(project, 0) + 1
            case "attempt.ended":
                key = (project, str(data.get("outcome")))
                self.attempts[key] = self.attempts.get(key, 0) + 1
                if not data.get("rehearsal"):
                    cost = float(data.get("cost_usd") or 0.0)
                    self.spend[project] = self.spend.get(project, 0.0) + cost
            case "vault.synced":
                self.syncs += 1
                self.sync_seconds += float(data.get("seconds") or 0.0)
                self.rejections += int(data.get("rejected") or 0)


class Metrics:
    """One for a process: whoever reads them twice sees counters that only grow."""

    def __init__(self, use: Use, hub: Hub) -> None:
        self._use = use
        self._hub = hub
        self._counts = Counts()

    async def text(self) -> bytes:
        """Everything, in Prometheus's text format. Raises DatabaseUnavailable."""
        # Lazily, as the library takes 2 MiB and most installations are never asked.
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - loaded on first use

        found = await self._use.database.read(figures)
        await self._count(found.last_event)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected(self._families(found)))
        return generate_latest(registry)

    async def _count(self, upto: int) -> None:
        counts = self._counts
        if counts.last is None:
            counts.last = upto
        while counts.last < upto:
            found, last = await self._use.database.read(counted, counts.last)
            if last <= counts.last:
                return
            counts.last = last
            for event in found:
                counts.add(event)

    def _families(self, found: Figures) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - loaded on first use

        now = self._use.clock()
        depth = GaugeMetricFamily(
            "orchestrator_tasks", "Tasks that have not ended.", labels=("project", "state")
        )
        age = GaugeMetricFamily(
            "orchestrator_oldest_task_seconds", "Age of the oldest of them.", labels=("project", "state")
        )
        for row in found.depths:
            depth.add_metric((row.project_id, row.state), row.count)
            age.add_metric((row.project_id, row.state), max(now - row.oldest_at, 0.0))
        running = GaugeMetricFamily(
            "orchestrator_agent_processes", "Attempts that go on, one agent process each.", labels=("worker",)
        )
        for worker, count in found.running.items():
            running.add_metric((worker,), count)
        yield from (depth, age, running)
        yield GaugeMetricFamily("orchestrator_leases", "Tasks that a worker has.", value=found.leases)
        held = None if found.oldest_claim is None else max(now - found.oldest_claim, 0.0)
        yield GaugeMetricFamily(
            "orchestrator_oldest_lease_seconds",
            "Since the first of them was taken.",
            value=held if held is not None else float("nan"),
        )
        left = None if found.soonest_lease is None else found.soonest_lease - now
        yield GaugeMetricFamily(
            "orchestrator_lease_seconds_left",
            "Until the first lease runs out; negative when its worker is late.",
            value=left if left is not None else float("nan"),
        )
        position = self._hub.position
        yield GaugeMetricFamily(
            "orchestrator_event_lag",
            "Events recorded that subscribers of this process were not yet told.",
            value=0 if position is None else max(found.last_event - position, 0),
        )
        yield GaugeMetricFamily(
            "orchestrator_event_subscribers", "Who follows events here.", value=self._hub.subscribers
        )
        yield GaugeMetricFamily(
            "orchestrator_vault_unusable_documents", "Documents that do not parse.", value=found.unusable
        )
        yield from self._counters()

    def _counters(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - loaded on first use

        counts = self._counts
        claims = CounterMetricFamily("orchestrator_claims", "Tasks taken and begun.", labels=("project",))
        for project, count in counts.claims.items():
            claims.add_metric((project,), count)
        ended = CounterMetricFamily(
            "orchestrator_attempts", "Attempts that ended.", labels=("project", "outcome")
        )
        for (project, outcome), count in counts.attempts.items():
            ended.add_metric((project, outcome), count)
        spend = CounterMetricFamily(
            "orchestrator_spend_usd", "What attempts cost, rehearsals not counted.", labels=("project",)
        )
        for project, usd in counts.spend.items():
            spend.add_metric((project,), usd)
        yield from (claims, ended, spend)
        yield CounterMetricFamily(
            "orchestrator_vault_syncs", "Syncs that changed something.", value=counts.syncs
        )
        yield CounterMetricFamily(
            "orchestrator_vault_sync_seconds", "What those took.", value=counts.sync_seconds
        )
        yield CounterMetricFamily(
            "orchestrator_vault_rejections", "Documents that could not be used.", value=counts.rejections
        )


class _Collected:
    """What the library wants to be handed: families, once."""

    def __init__(self, families: "Iterator[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterator[Metric]":
        return self._families
