"""Columns that several tables have in common."""

from typing import Any

from sqlalchemy import Column, Integer, Text

from orchestrator.store.columns import Key, Prose, Real, blank, flag, json_document, moment, number


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
    ]
