"""The commands on workers and on limits over all hosts, for the list that every surface is made from."""

from typing import Final

from orchestrator.commands import fleet, limits
from orchestrator.commands.command import AnyCommand, Command

FLEET: Final[tuple[AnyCommand, ...]] = (
    Command(
        name="list_workers",
        request=fleet.ListWorkers,
        result=fleet.WorkerList,
        handler=fleet.list_workers,
        changes=False,
    ),
    Command(
        name="drain_worker",
        request=fleet.DrainWorker,
        result=fleet.WorkerDraining,
        handler=fleet.drain_worker,
        changes=True,
    ),
    Command(
        name="set_limit",
        request=limits.SetLimit,
        result=limits.LimitSet,
        handler=limits.set_limit,
        changes=True,
    ),
    Command(
        name="list_limits",
        request=limits.ListLimits,
        result=limits.LimitList,
        handler=limits.list_limits,
        changes=False,
    ),
)
