"""Exit codes: what a script may rely on."""

from typing import Final

from orchestrator.domain import errors

OK: Final = 0
FAILED: Final = 1
INVALID: Final = 2
NOT_FOUND: Final = 3
REFUSED: Final = 4
CONFIGURATION: Final = 5
DATABASE: Final = 6
PERSON: Final = 7
BUG: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

MEANINGS: Final[dict[int, str]] = {
    OK: "done; for `task watch` and `task add --wait`: the task completed",
    FAILED: "it failed: the task did not end as COMPLETED, `doctor` found a fault, `call` was refused",
    INVALID: "the command line or a value in it is not valid; nothing was changed",
    NOT_FOUND: "the task, project, profile or attempt was not found; nothing was changed",
    REFUSED: "the current state does not allow it, or it already exists; nothing was changed",
    CONFIGURATION: "the configuration, or the agent's command line that it names, is not usable",
    DATABASE: "the database cannot be reached or written, or its schema is older or newer than the program",
    PERSON: "`task watch` and `task add --wait`: the task waits for a person; the output says what for",
    BUG: "a fault of the program itself; the message says where the details are",
    INTERRUPTED: "interrupted from the keyboard",
    BROKEN_PIPE: "whoever read the output went away",
}
"""The table in the documentation is this one; a test compares them."""

_CODES: Final[dict[type[errors.OrchestratorError], int]] = {
    errors.InvalidInput: INVALID,
    errors.NotFound: NOT_FOUND,
    errors.AlreadyExists: REFUSED,
    errors.Conflict: REFUSED,
    errors.LeaseLost: REFUSED,
    errors.ConfigurationError: CONFIGURATION,
    errors.StartRefused: CONFIGURATION,
    errors.DatabaseUnavailable: DATABASE,
    errors.DatabaseTooNew: DATABASE,
    errors.DatabaseNotMigrated: DATABASE,
    errors.OrchestratorError: FAILED,
}


def exit_code(error: errors.OrchestratorError) -> int:
    """That of the error's class, or of its nearest base."""
    return next(_CODES[base] for base in type(error).__mro__ if base in _CODES)
