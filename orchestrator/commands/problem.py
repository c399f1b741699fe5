"""Errors as every surface tells them: RFC 9457 problem details."""

from typing import Any, Final

from orchestrator.domain import errors

STATUS: Final[dict[type[errors.OrchestratorError], int]] = {
    errors.InvalidInput: 422,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.Conflict: 409,
    errors.LeaseLost: 409,
    errors.DatabaseUnavailable: 503,
    errors.DatabaseTooNew: 503,
    errors.DatabaseNotMigrated: 503,
    errors.OrchestratorError: 500,
}
"""HTTP status of each error; one that is not here has that of its nearest base."""

TITLES: Final[dict[int, str]] = {
    403: "Not permitted",
    404: "Not found",
    409: "Not possible in the current state",
    422: "Invalid input",
    500: "Failed",
    503: "Database not usable",
}


def problem(error: errors.OrchestratorError) -> dict[str, Any]:
    """The members type, title, status and detail; `field` when one input is at fault; what the error has
    of its own."""
    status = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    details: dict[str, Any] = {
        "type": f"urn:orchestrator:problem:{error.code}",
        "title": TITLES[status],
        "status": status,
        "detail": str(error),
        **error.members,
    }
    return details if error.field is None else {**details, "field": error.field}
