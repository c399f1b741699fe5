"""What a command is: a name, a typed request, a typed result, and who may call it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final, Generic, TypeVar

from orchestrator.commands.use import Use

Request = TypeVar("Request")
Result = TypeVar("Result")


class Who(StrEnum):
    """Who may call a command."""

    PERSON = "person"
    """People and their programs only, whoever's key an agent holds."""
    ANYONE = "anyone"
    """Agents too, within what their effective profile allows."""


class Unchanged(Enum):
    """The value of a field that an edit does not mention; `None` is a value there, and clears."""

    UNCHANGED = object()


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class Command(Generic[Request, Result]):
    """One verb of ours, as every surface sees it.

    The handler raises the errors of `domain.errors` and nothing else that a caller could act on; when it
    raises, nothing has changed.
    """

    name: str
    request: type[Request]
    result: type[Result]
    handler: Callable[[Use, Request], Awaitable[Result]]
    changes: bool
    """Whether it may change anything; what does not is a GET."""
    who: Who = Who.PERSON

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]


AnyCommand = Command[Any, Any]


def changed(**fields: Any) -> dict[str, Any]:
    """The fields of an edit that were given."""
    return {name: value for name, value in fields.items() if value is not UNCHANGED}
