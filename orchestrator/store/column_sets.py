"""Columns that several tables have in common."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Text, text

from orchestrator.store.columns import (
    Json,
    Key,
    Names,
    Prose,
    Real,
    amount,
    blank,
    flag,
    json_document,
    moment,
    number,
)


def definition_columns() -> list[Column[Any]]:
    """What a profile and an overlay have in common; an empty value means inherit."""
    return [
        blank("description"),
        blank("model"),
        blank("permission_mode"),
        json_document("allowed_tools", "[]"),
        json_document("mcp_servers"),  # '{}' is a legacy default; read as an empty list
        blank("system_prompt_suffix"),
        json_document("install"),
        moment("created_at"),
        moment("updated_at"),
        blank("harness"),
        json_document("denied_tools", "[]"),
        json_document("tags", "[]"),
        json_document("limits"),
        json_document("settings"),
        blank("digest"),
        Column("removed_at", Real),
    ]


def task_columns() -> list[Column[Any]]:
    """What a task keeps when it is archived."""
    return [
        Column("title", Prose, nullable=False),
        Column("prompt", Prose, nullable=False),
        Column("state", Text, nullable=False),
        moment("created_at"),
        moment("updated_at"),
        Column("priority", Integer, nullable=False),
        Column("run_at", Real),
        number("attempt"),
        number("failures"),
        number("max_attempts", "3"),
        Column("timeout_seconds", Real),
        Column("max_budget_usd", Real),
        json_document("labels"),
        Column("hold", Text),
        Column("hold_message", Prose),
        Column("hold_until", Real),
        Column("claimed_by", Key),
        Column("lease_until", Real),
        flag("cancel_requested"),
        Column("session_id", Text),
        Column("result", Prose),
        Column("finished_at", Real),
        Column("schedule_id", Key),
        Column("scheduled_for", Real),
        Column("parent_id", Key),  # the task whose agent asked for it
        Column("requires", Names),  # labels that its worker must have
        Column("max_tokens", BigInteger),
        Column("parent_attempt", Integer),  # the attempt of parent_id that bounds what it may do
        Column("answer_by", Real),
    ]


def schedule_columns() -> list[Column[Any]]:
    """When a schedule occurs, what decides about it, and how it stands."""
    return [
        Column("start_at", Real),
        Column("end_at", Real),
        amount("jitter_seconds"),
        number("missed_limit", "100"),
        Column("grace_seconds", Real, nullable=False, server_default=text("60")),
        Column("condition", Json),  # argv of what decides whether to run
        Column("condition_seconds", Real, nullable=False, server_default=text("60")),
        Column("paused_reason", Prose),
        Column("next_for", Real),  # next_at without its jitter
        Column("last_for", Real),
        Column("last_outcome", Prose),
        Column("last_task_id", Key),
        Column("checking_by", Key),  # who asks the condition, and for how long he has the right to
        Column("checking_until", Real),
    ]


def limit_columns() -> list[Column[Any]]:
    """What may run and be spent at most over all hosts. The instance itself has the empty name."""
    return [
        Column("scope", Key, primary_key=True),  # instance, host, profile or model
        Column("name", Key, primary_key=True),
        Column("max_concurrent", Integer),
        Column("budget_usd_per_day", Real),
        Column("budget_tokens_per_day", BigInteger),
        moment("updated_at"),
    ]


def backoff_columns() -> list[Column[Any]]:
    """Providers to be left alone for a while: a harness with the fingerprint of its credential."""
    return [
        Column("provider", Key, primary_key=True),
        Column("reason", Text, nullable=False),
        Column("message", Prose, nullable=False),
        moment("until"),
    ]


def worker_columns() -> list[Column[Any]]:
    """The workers: where each runs, how much it takes on, and when it was last heard of."""
    return [
        Column("id", Key, primary_key=True),
        Column("host", Text, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("version", Text, nullable=False),
        Column("slots", Integer, nullable=False),
        moment("started_at"),
        moment("seen_at"),
        flag("draining"),
        json_document("details"),
        json_document("labels", "[]"),
        flag("drain_asked"),
        Column("turning_since", Real),
        json_document("lacks"),
    ]
