"""Classifying: how an attempt ended, from structured fields only; pure."""

import signal as signals
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.outcome import (
    ApiFailed,
    AuthenticationFailed,
    BudgetSpent,
    Completed,
    Crashed,
    Killed,
    ModelRefused,
    NotStarted,
    Outcome,
    Overloaded,
    RateLimited,
    TurnLimitReached,
)
from orchestrator.domain.secret import beginning
from orchestrator.harness.claude.tally import Tally

AUTHENTICATION: Final = frozenset({"authentication_failed", "oauth_org_not_allowed", "billing_error"})
NOT_LOGGED_IN: Final = "Not logged in"
"""What the command line says in place of an answer when it has no credentials at all."""
SHELL_SIGNALS: Final = 128
"""A process in a wrapper that a signal ended has the exit code 128 plus its number."""

LATEST: Final = 1e12
"""Largest time or delay that is believed, in whatever unit: beyond is a slip, or not finite."""

TOO_LONG: Final = frozenset({"prompt_too_long", "blocking_limit", "model_context_window_exceeded"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What is known when the process is gone. `ours` is the reason why we ended it, when we did."""

    tally: Tally
    ours: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None
    stderr: str = ""


def classify(ending: Ending) -> Outcome:
    """The outcome. An answer that was complete before we stopped the agent is still the answer."""
    result = ending.tally.result
    if result is not None and _is_success(result):
        return Completed(answer=_text(result), structured=result.get("structured_output"))
    if ending.ours is not None:
        return ending.ours
    if result is not None:
        return _failed(result, ending.tally)
    return _without_result(ending)


def early_end(raw: Mapping[str, Any], *, at: float, patience: float) -> Outcome | None:
    """Whether an announced retry is worth waiting for. A wrong key stays wrong; three minutes of retries and
    the slot they hold buy nothing. A long wait is better spent out of the slot."""
    status, delay_ms = raw.get("error_status"), raw.get("retry_delay_ms")
    if status == 401:
        return _authentication(401)
    if status == 429 and isinstance(delay_ms, int | float) and delay_ms > patience * 1000:
        return _rate_limited(at + delay_ms / 1000 if delay_ms <= LATEST else None)
    return None


def _is_success(result: Mapping[str, Any]) -> bool:
    return result.get("subtype") == "success" and result.get("is_error") is False


def _failed(result: Mapping[str, Any], tally: Tally) -> Outcome:
    said = _sentence(result)
    match result.get("subtype"):
        case "success":
            return _api_failure(result, tally)
        case "error_max_turns":
            return TurnLimitReached(
                message=f"The turn limit was reached: {said} Raise max_turns, or split the task."
            )
        case "error_max_budget_usd":
            return BudgetSpent(
                message=f"The budget was spent: {said} Raise max_budget_usd, or split the task."
            )
        case subtype:
            return Crashed(message=f"The agent gave up ({subtype}): {said} See the attempt's log.")


def _api_failure(result: Mapping[str, Any], tally: Tally) -> Outcome:
    """`subtype` is "success" for every failure of the service; what counts is the status and the error's
    code."""
    status = result.get("api_error_status")
    status = status if isinstance(status, int) else None
    code, said = tally.api_error, _sentence(result)
    if status in (401, 403) or code in AUTHENTICATION:
        return _authentication(status, said)
    if status == 429 or code == "rate_limit":
        return _rate_limited(_reset(tally))
    if status == 529 or code == "overloaded":
        return Overloaded(message="The model's service is overloaded; the task is tried again later.")
    if status == 404 or code == "model_not_found":
        return ApiFailed(
            message=f"The model is not there or not open to this account: {said} Correct `model`.",
            status=status or 404,
        )
    if result.get("stop_reason") == "refusal":
        return ModelRefused(message=f"The model declined: {said} Change the prompt or the model.")
    if code == "max_output_tokens" or result.get("terminal_reason") in TOO_LONG:
        return ModelRefused(message=f"The conversation or an answer is too long: {said} Split the task.")
    return ApiFailed(message=f"The model's service failed: {said}", status=status)


def _without_result(ending: Ending) -> Outcome:
    hint = _last_line(ending.stderr)
    number = ending.signal
    if number is None and ending.exit_code is not None and ending.exit_code > SHELL_SIGNALS:
        number = ending.exit_code - SHELL_SIGNALS
    if number is not None:
        return Killed(
            message=f"The agent was ended by {_signal_name(number)} from outside; look for the out-of-memory "
            "killer or an operator. The task is tried again.",
            signal=number,
        )
    if ending.tally.init is None and ending.exit_code:
        return NotStarted(
            message=f"The command line refused to start (exit code {ending.exit_code}): "
            f"{hint or 'it said nothing'}. "
            "Run `orchestrator doctor`."
        )
    return Crashed(
        message=f"The agent ended without a result (exit code {ending.exit_code})"
        + (f": {hint}" if hint else "."),
        exit_code=ending.exit_code,
    )


def _authentication(status: int | None, said: str = "") -> AuthenticationFailed:
    if status is None and NOT_LOGGED_IN in said:
        # Nobody was asked, and what it advises is no way in for a worker.
        return AuthenticationFailed(
            message="The agent found no credentials; set ANTHROPIC_API_KEY or `claude.api_key`, and start "
            "the worker anew.",
            status=None,
        )
    detail = f" The service said: {said}" if said else ""
    return AuthenticationFailed(
        message="The model's service does not accept the credentials; set a valid ANTHROPIC_API_KEY "
        "among the "
        f"secrets.{detail}",
        status=status,
    )


def _rate_limited(reset_at: float | None) -> RateLimited:
    return RateLimited(
        message="The model's service limits the rate of requests; the task goes on when the limit is lifted.",
        reset_at=reset_at,
    )


def _reset(tally: Tally) -> float | None:
    reset = (tally.rejection or {}).get("resetsAt")
    if isinstance(reset, bool) or not isinstance(reset, int | float) or not 0 <= reset <= LATEST:
        return None
    return float(reset)


def _sentence(result: Mapping[str, Any]) -> str:
    """The same, ready to be followed by another sentence."""
    said = _text(result).strip()
    return said if not said or said.endswith((".", "!", "?")) else f"{said}."


def _text(result: Mapping[str, Any]) -> str:
    """What the result says: the answer, or the list of errors in its place."""
    answer, errors = result.get("result"), result.get("errors")
    if isinstance(answer, str):
        return answer
    return "; ".join(str(error) for error in errors) + "." if isinstance(errors, list) and errors else ""


def _last_line(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return beginning(lines[-1], 300) if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
