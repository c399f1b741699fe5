"""The report of an attempt, out of everything that is known at its end."""

from typing import Any

from orchestrator.domain.outcome import Outcome
from orchestrator.harness.claude.argv import Plan
from orchestrator.harness.claude.binary import Cli
from orchestrator.harness.claude.classify import Ending, classify
from orchestrator.harness.claude.conversation import Conversation
from orchestrator.harness.claude.report import Report
from orchestrator.harness.claude.run import Run


def summarize(
    talk: Conversation, plan: Plan, cli: Cli, *, session_id: str | None, transcript: str | None, run: Run
) -> Report:
    """The report of an attempt whose process is gone."""
    code = run.exit.code if run.exit else None
    signal = run.exit.signal if run.exit else None
    outcome = classify(
        Ending(
            tally=talk.tally,
            ours=talk.ours,
            exit_code=code,
            signal=signal,
            stderr=run.stderr,
        )
    )
    return Report(
        outcome=outcome,
        usage=talk.tally.usage(),
        enforcement=_enforcement(talk, plan),
        calls=tuple(talk.calls),
        session_id=session_id,
        transcript=transcript,
        warnings=(*([cli.warning] if cli.warning else []), *talk.warnings),
        exit_code=-signal if signal is not None else code,
        cli_version=cli.version,
    )


def never_started(outcome: Outcome, cli: Cli | None) -> Report:
    """The report of an attempt for which no process was started."""
    return Report(
        outcome=outcome,
        warnings=(cli.warning,) if cli is not None and cli.warning else (),
        cli_version=cli.version if cli is not None else None,
    )


def _enforcement(talk: Conversation, plan: Plan) -> dict[str, Any]:
    comparison = talk.comparison
    granted = sum(call.granted for call in talk.calls)
    return {
        "absent": {
            "tools": list(plan.tools),
            "hidden": list(plan.hidden),
            "setting_sources": [],
            "strict_mcp_config": True,
        },
        "verified": {
            "held": comparison is not None and comparison.fault is None,
            "tools": list(comparison.tools) if comparison else None,
            "servers": dict(comparison.servers) if comparison else None,
        },
        "answered": {
            "registered": talk.registered,
            "fail_closed": talk.fail_closed,
            "granted": granted,
            "denied": len(talk.calls) - granted,
            "denied_by_agent": len(talk.tally.denials),
        },
    }
