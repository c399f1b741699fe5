"""How an attempt can end: one class per way."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """The agent finished its turn without an error."""

    kind: ClassVar[str] = "completed"
    answer: str
    structured: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The agent asked a person and gave its slot back."""

    kind: ClassVar[str] = "asked"
    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The profile was refused or must not be replaced; nothing was started."""

    kind: ClassVar[str] = "held"
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotHere:
    """This host cannot run the task, and another may; nothing was started."""

    kind: ClassVar[str] = "not_here"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthenticationFailed:
    kind: ClassVar[str] = "authentication_failed"
    message: str
    status: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimited:
    kind: ClassVar[str] = "rate_limited"
    message: str
    reset_at: float | None = None
    """When the provider says that the limit is lifted, Unix seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overloaded:
    kind: ClassVar[str] = "overloaded"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFailed:
    """The model's service answered with an error that is none of the above."""

    kind: ClassVar[str] = "api_failed"
    message: str
    status: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRefused:
    """The model declined, or its answer was cut at its token limit; another try would give the same."""

    kind: ClassVar[str] = "model_refused"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnLimitReached:
    kind: ClassVar[str] = "max_turns"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetSpent:
    kind: ClassVar[str] = "budget_spent"
    message: str
    unit: Literal["usd", "tokens"] = "usd"


@dataclass(frozen=True, kw_only=True, slots=True)
class NotStarted:
    """The command line could not be started or refused its arguments."""

    kind: ClassVar[str] = "start_refused"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolSurplus:
    """The agent reported more tools or servers than its profile grants; it was ended at once."""

    kind: ClassVar[str] = "tool_surplus"
    message: str
    tools: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerMissing:
    """A required MCP server was not connected."""

    kind: ClassVar[str] = "server_missing"
    message: str
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Crashed:
    """The agent ended without a result."""

    kind: ClassVar[str] = "crashed"
    message: str
    exit_code: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Killed:
    """Something outside ended the agent with a signal."""

    kind: ClassVar[str] = "killed"
    message: str
    signal: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hung:
    """One of our timers ran out: nothing heard, start-up, or the whole attempt."""

    kind: ClassVar[str] = "hung"
    message: str
    timer: Literal["stall", "start", "total"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """The worker is draining; the task goes on later in the same session."""

    kind: ClassVar[str] = "interrupted"
    message: str = "The worker was asked to stop; the task goes on later."


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    kind: ClassVar[str] = "cancelled"
    message: str = "Cancelled on request."


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerFault:
    """A fault of our own (checkout, disk, a bug); the log has the details under the attempt."""

    kind: ClassVar[str] = "worker_fault"
    message: str


Outcome = (
    Completed
    | Asked
    | Held
    | NotHere
    | AuthenticationFailed
    | RateLimited
    | Overloaded
    | ApiFailed
    | ModelRefused
    | TurnLimitReached
    | BudgetSpent
    | NotStarted
    | ToolSurplus
    | ServerMissing
    | Crashed
    | Killed
    | Hung
    | Interrupted
    | Cancelled
    | WorkerFault
)
