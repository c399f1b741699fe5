"""Statements that go past SQLAlchemy on their way to the driver, and answer as if they had not."""

import pytest
from sqlalchemy import bindparam, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from orchestrator.domain.errors import Conflict
from orchestrator.domain.project import Project
from orchestrator.store import projects
from orchestrator.store.database import open_database
from orchestrator.store.prepared import Prepared
from orchestrator.store.tables import projects as table

BOTH = ("sqlite", "postgresql")


def both(statement) -> Prepared:
    return Prepared(dict.fromkeys(BOTH, statement))


@pytest.fixture
def filled(database):
    """A database with one project."""
    project = Project(id="acme", name="100% :sure", created_at=1.5, updated_at=1.5)
    database.run_sync(projects.create, project)
    return database


def test_it_answers_with_the_rows_of_a_statement_in_either_way_of_writing_one(filled) -> None:
    named = update(table).where(table.c.id == bindparam("project")).values(weight=2.0)
    changed = both(named.returning(table.c.name, table.c.weight))
    assert filled.run_sync(changed.rows, {"project": "acme"}) == [("100% :sure", 2.0)]
    asked = both(text("SELECT id, '100%' FROM projects WHERE name = :name"))
    assert filled.read_sync(asked.rows, {"name": "100% :sure"}) == [("acme", "100%")]
    assert filled.read_sync(asked.rows, {"name": "another"}) == []


def test_what_the_database_refuses_is_the_same_error_and_leaves_nothing(filled) -> None:
    again = both(
        table.insert().values(id=bindparam("id"), name="a", created_at=1, updated_at=1).returning(table.c.id)
    )

    def twice(tx) -> None:
        again.rows(tx, {"id": "new"})
        with pytest.raises(IntegrityError) as refused:
            again.rows(tx, {"id": "acme"})
        assert not refused.value.connection_invalidated
        raise refused.value

    with pytest.raises(Conflict, match="nothing was changed"):
        filled.run_sync(twice)
    assert filled.read_sync(projects.get, "new") is None


@pytest.mark.postgres
def test_a_connection_that_is_lost_is_told_and_the_transaction_begins_again(postgres_url) -> None:
    tries = []
    own, end = both(text("SELECT pg_backend_pid()")), both(text("SELECT pg_terminate_backend(:pid)"))

    def work(tx) -> int:
        ((pid,),) = own.rows(tx, {})
        tries.append(pid)
        if len(tries) == 1:
            with pytest.raises(OperationalError) as lost:
                end.rows(tx, {"pid": pid})
            assert lost.value.connection_invalidated
            raise lost.value
        return pid

    with open_database(postgres_url) as database:
        assert database.run_sync(work) == tries[1] != tries[0]
