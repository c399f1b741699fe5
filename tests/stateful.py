"""What models of the database stand on: a fresh one each, and transactions that fail beside their commit."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from orchestrator.store.database import Database, Transaction, open_database

DONE, NEVER, UNHEARD = "done", "never", "unheard"
"""Committed and answered; rolled back by a failure before the commit; committed, and the answer lost."""


class CutOff(Exception):
    """The connection was lost."""


class DatabaseMachine(RuleBasedStateMachine):
    """A machine with a database of its own, open from its beginning to its teardown."""

    fresh: ClassVar[Callable[[], str]]
    """Makes the address of a new database; `try_out` says which, as machines are made without arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.database: Database = open_database(type(self).fresh())

    def teardown(self) -> None:
        self.database.close()

    def run_to(self, commit: str, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """What `work` answers, or `None` where it is not heard of; `commit` is one of the three above."""

        def cut(tx: Transaction) -> Any:
            work(tx, *args, **kwargs)
            raise CutOff

        if commit == NEVER:
            with pytest.raises(CutOff):
                self.database.run_sync(cut)
            return None
        heard = self.database.run_sync(work, *args, **kwargs)
        return None if commit == UNHEARD else heard


def try_out(machine: type[DatabaseMachine], fresh: Callable[[], str], *, examples: int, steps: int) -> None:
    """Run so many courses of so many steps, each on a database that `fresh` names."""
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"fresh": staticmethod(fresh)}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
