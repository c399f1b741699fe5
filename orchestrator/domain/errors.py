"""Errors: what an operator can act on, each with the way out in its message."""

from collections.abc import Mapping
from typing import Any, ClassVar


class OrchestratorError(Exception):
    """Something went wrong that the operator can act on."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.field = field
        """The input that is at fault, as a dotted path, when one is."""
        self.members = members or {}
        """More of the same in a form that programs read, such as the names that the message counts."""


class InvalidInput(OrchestratorError):
    """The request is not valid; nothing was changed."""

    code = "invalid-input"


class NotFound(OrchestratorError):
    """Not found; nothing was changed."""

    code = "not-found"


class AlreadyExists(OrchestratorError):
    """It already exists; nothing was changed."""

    code = "already-exists"


class Conflict(OrchestratorError):
    """The current state does not allow this; nothing was changed."""

    code = "conflict"


class NotPermitted(OrchestratorError):
    """Who asks may not do this; nothing was changed."""

    code = "not-permitted"


class IllegalTransition(Conflict):
    """The task is not in a state from which this can happen."""

    code = "illegal-transition"


class LeaseLost(OrchestratorError):
    """Another worker holds this task now; the result was dropped."""

    code = "lease-lost"


class ConfigurationError(OrchestratorError):
    """The configuration is not usable; correct the named key."""

    code = "configuration"


class DatabaseUnavailable(OrchestratorError):
    """The database cannot be reached or written; check that it runs, has space and is writable."""

    code = "database-unavailable"


class DatabaseTooNew(OrchestratorError):
    """The database was written by a newer version; upgrade this program, or use a copy from before."""

    code = "database-too-new"


class DatabaseNotMigrated(OrchestratorError):
    """The database's schema is older than this program; run `orchestrator migrate`."""

    code = "database-not-migrated"


class StartRefused(OrchestratorError):
    """The agent could not be started; see the message for the file and the way out."""

    code = "start-refused"
