"""Errors on stderr: one line for people, problem details with --json."""

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from orchestrator.cli import exit_codes
from orchestrator.commands.problem import problem
from orchestrator.commands.visible import visible
from orchestrator.domain.errors import ConfigurationError, InvalidInput, OrchestratorError

_NAMED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})


def expected(error: OrchestratorError, *, as_json: bool) -> int:
    """Something that the operator can act on."""
    _tell(problem(error), as_json=as_json)
    return exit_codes.exit_code(error)


def usage(message: str, *, below: Sequence[str], as_json: bool) -> int:
    """The command line itself is wrong; `below` names the command as far as it was understood."""
    see = " ".join(("orchestrator", *below, "--help"))
    _tell(problem(InvalidInput(f"{message} See `{see}`.")), as_json=as_json)
    return exit_codes.INVALID


def unusable(error: OSError, *, as_json: bool) -> int:
    """A file or directory of ours cannot be used."""
    if _debugging():
        sys.stderr.write("".join(traceback.format_exception(error)))
    where = "" if error.filename is None else f"{error.filename}: "
    said = f"{where}{error.strerror or error}; check its owner, its permissions and the space on its disk"
    return expected(ConfigurationError(said), as_json=as_json)


def several(group: ExceptionGroup[Exception], *, as_json: bool) -> int:
    """What ended tasks that ran side by side: the first that the operator can act on, else a fault."""
    left: list[Exception] = [group]
    while left:
        error = left.pop(0)
        if isinstance(error, ExceptionGroup):
            left.extend(error.exceptions)
        elif isinstance(error, OrchestratorError):
            return expected(error, as_json=as_json)
    return unexpected(group, as_json=as_json)


def unexpected(error: Exception, *, as_json: bool) -> int:
    """A fault of ours: the details go into a file, or to stderr with ORCHESTRATOR_DEBUG=1."""
    details = "".join(traceback.format_exception(error))
    if _debugging():
        sys.stderr.write(details)
        where = "the details are above"
    else:
        where = f"the details are in {_kept(details)}; ORCHESTRATOR_DEBUG=1 prints them"
    said = _named(error)
    if (first := _innermost(error)) is not error:
        said += f", from {_named(first)}"
    _tell(problem(OrchestratorError(f"a fault of the program ({said}); {where}")), as_json=as_json)
    return exit_codes.BUG


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _innermost(error: BaseException) -> BaseException:
    """Where it began: what is loaded lazily, or ran beside others, fails in the words of who asked for it."""
    seen = {id(error)}
    while True:
        before = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else _before(error)
        if before is None or id(before) in seen:
            return error
        seen.add(id(before))
        error = before


def _before(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _debugging() -> bool:
    return os.environ.get("ORCHESTRATOR_DEBUG") == "1"


def _tell(details: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        line = json.dumps(details, ensure_ascii=False)
    else:
        field = details.get("field")
        detail = str(details["detail"])
        # Most messages name their field themselves; only those that do not need it in front. What was not
        # found, or is there already, is named too.
        named = field is None or str(field) in detail or details["status"] in _NAMED
        line = visible(f"error: {detail}" if named else f"error: {field}: {detail}")
    sys.stderr.write(line + "\n")


def _kept(details: str) -> Path:
    """A file of the user's own with the traceback; it may name paths and values, so nobody else reads it."""
    descriptor, name = tempfile.mkstemp(prefix="orchestrator-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(details)
    return Path(name)
