"""What it means when one of our clocks runs out; pure."""

from orchestrator.domain.outcome import Hung
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.harness.claude.config import Timers

Deadline = tuple[float, Hung | None]
"""A time on the loop's clock and what it ends with; `None` is a good end. That clock stands still while the
machine is suspended, and so does the agent: it is not ended for time in which it could do nothing."""


def out_of_time(effective: EffectiveProfile) -> Hung:
    return Hung(
        message=f"The attempt took longer than the {effective.timeout_seconds:g} s that profile "
        f"{effective.profile_id} allows; raise timeout_seconds, or split the task.",
        timer="total",
    )


def no_start(timers: Timers) -> Hung:
    return Hung(
        message=f"The agent did not start within {timers.start:g} s; look at its MCP servers, and at how "
        "busy "
        "the machine is.",
        timer="start",
    )


def silence(timers: Timers) -> Hung:
    return Hung(
        message=f"Nothing was heard of the agent for {timers.stall:g} s, and it was ended.",
        timer="stall",
    )
