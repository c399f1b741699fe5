"""`orchestrator migrate`."""

from orchestrator.cli import output
from orchestrator.cli.session import settings
from orchestrator.store.database import open_database


def migrate() -> None:
    """Bring the database's schema up to date."""
    with open_database(settings().settings.database_url, migrate=True) as database:
        output.show(
            {"migrated": database.place},
            lambda _: [output.text(f"{database.place} is up to date")],
        )
