"""The tables: every column, key and index of the database, for SQLite and PostgreSQL alike."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

from orchestrator.store import conditions as when
from orchestrator.store.column_sets import (
    backoff_columns,
    definition_columns,
    limit_columns,
    schedule_columns,
    task_columns,
    worker_columns,
)
from orchestrator.store.columns import (
    Json,
    Key,
    Names,
    Prose,
    Real,
    Serial,
    amount,
    blank,
    flag,
    json_document,
    moment,
    number,
    partial,
)

REVISION: Final = "0015"
"""The latest migration: a database that says so needs no look at the migrations themselves."""

# PostgreSQL's own names, so that a constraint written inline in a migration and one written here agree.
metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)

agent_profiles: Final = Table(
    "agent_profiles",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    *definition_columns(),
    # Who governs it: never written from the vault, or whoever can write a file could approve himself.
    Column("owner", Text),
    flag("instance_shared"),
    Column("requested_by", Text),
    Column("approved_at", Real),
    Column("disabled_at", Real),
    Column("archived_at", Real),
)

profile_overlays: Final = Table(
    "profile_overlays",
    metadata,
    Column("project_id", Key, primary_key=True),
    Column("profile_id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    *definition_columns(),
)

profile_revisions: Final = Table(
    "profile_revisions",
    metadata,
    Column("id", Serial, Identity(always=True), primary_key=True),
    Column("project_id", Key, nullable=False, server_default=""),
    Column("profile_id", Key, nullable=False),
    Column("digest", Text, nullable=False),
    json_document("content"),
    moment("created_at"),
    Column("commit_id", Text),
    Column("author", Text),
    Index("profile_revisions_by_profile", "profile_id", "project_id", "id"),
    partial("profile_revisions_without_commit", "id", where="commit_id IS NULL"),
    sqlite_autoincrement=True,
)

projects: Final = Table(
    "projects",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    Column("weight", Real, nullable=False, server_default=text("1")),
    Column("max_concurrent", Integer),
    Column("budget_usd_per_day", Real),
    Column("repository", Text),
    Column("checkout", Text, nullable=False, server_default="empty"),
    flag("paused"),
    Column("requires", Names),
    Column("budget_tokens_per_day", BigInteger),
    Column("default_profile_id", Key, ForeignKey("agent_profiles.id")),
    # Deleting a profile clears the references to it; without the index that reads every project.
    Index("projects_by_profile", "default_profile_id"),
)

# One row, whose number grows with every change of what decides whether a task may start, and as what.
rules: Final = Table(
    "rules", metadata, Column("id", Integer, primary_key=True), Column("version", BigInteger, nullable=False)
)

bindings: Final = Table(
    "bindings",
    metadata,
    Column("project_id", Key, ForeignKey("projects.id"), primary_key=True),
    Column("profile_id", Key, ForeignKey("agent_profiles.id"), primary_key=True),
    Column("max_concurrent", Integer, nullable=False, server_default=text("0")),
    json_document("capabilities", "[]"),
    Column("auto_dispatch_eligible", Boolean, nullable=False, server_default=text("true")),
    Column("engagement_mode", Text),
    Column("require_approval_before_start", Boolean),
    moment("created_at"),
    moment("updated_at"),
    Column("archived_at", Real),
    Index("bindings_by_profile", "profile_id"),
)

tasks: Final = Table(
    "tasks",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id"), nullable=False),
    *task_columns(),
    Column("profile_id", Key, ForeignKey("agent_profiles.id")),
    Column("retried_after", Integer),  # the attempt after which a person asked for another try
    # An occurrence of a schedule makes one task, whoever fires it.
    partial("tasks_scheduled", "schedule_id", "scheduled_for", where="schedule_id IS NOT NULL", unique=True),
    # Those of a schedule that have not ended: whether the next one may start.
    partial("tasks_of_schedules", "schedule_id", "created_at", where=when.OF_SCHEDULE),
    partial("tasks_claimable", "project_id", "priority", "created_at", "id", where=when.CLAIMABLE),
    partial(
        "tasks_demanding", "requires", "project_id", "priority", "created_at", "id", where=when.DEMANDING
    ),
    partial("tasks_claimed", "lease_until", "project_id", "claimed_by", where=when.CLAIMED),
    partial("tasks_waiting", "run_at", where=when.WAITING),
    partial("tasks_held", "hold_until", where=when.HELD),
    partial("tasks_unanswered", "answer_by", where=when.ASKED),
    partial("tasks_by_profile", "profile_id", where="profile_id IS NOT NULL"),
    partial("tasks_by_parent", "parent_id", "created_at", "id", where="parent_id IS NOT NULL"),
    Index("tasks_by_age", "created_at", "id"),
    Index("tasks_by_project", "project_id", "created_at", "id"),
    Index("tasks_by_state", "state", "created_at", "id"),
)

archived_tasks: Final = Table(
    "archived_tasks",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, nullable=False),
    *task_columns(),
    moment("archived_at"),
    Column("profile_id", Text),
    Index("archived_tasks_by_project", "project_id", "archived_at", "id"),
    Index("archived_tasks_by_age", "created_at", "id"),
)

task_dependencies: Final = Table(
    "task_dependencies",
    metadata,
    Column("task_id", Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("depends_on", Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Index("task_dependencies_by_need", "depends_on"),
)

schedules: Final = Table(
    "schedules",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # cron, interval or once
    Column("expression", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("missed", Text, nullable=False, server_default="once"),  # skip, once or all
    Column("overlap", Text, nullable=False, server_default="allow"),  # allow, skip or queue
    json_document("task"),  # what each occurrence asks for
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("next_at", Real),
    Column("last_at", Real),
    moment("created_at"),
    moment("updated_at"),
    Column("profile_id", Key, ForeignKey("agent_profiles.id")),
    *schedule_columns(),
    partial("schedules_due", "next_at", where="enabled AND next_at IS NOT NULL"),
    Index("schedules_by_project", "project_id", "id"),
    Index("schedules_by_profile", "profile_id"),
)

# Occurrences that are due and wait until what the schedule made before has ended.
queued_occurrences: Final = Table(
    "queued_occurrences",
    metadata,
    Column("schedule_id", Key, ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
    Column("scheduled_for", Real, primary_key=True),
    moment("queued_at"),
)

# No key into tasks: the history outlives a task's move to the archive.
attempts: Final = Table(
    "attempts",
    metadata,
    Column("task_id", Key, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("project_id", Key, nullable=False),
    Column("worker", Key, nullable=False),
    moment("started_at"),
    Column("ended_at", Real),
    Column("outcome", Text),
    Column("message", Prose),
    Column("session_id", Text),
    Column("profile_id", Key),
    Column("tier", Text),
    Column("effective", Json),
    json_document("servers", "[]"),
    json_document("warnings", "[]"),
    flag("rehearsal"),
    Column("checkout", Text),
    json_document("enforcement"),
    amount("cost_usd"),
    number("input_tokens"),
    number("output_tokens"),
    number("cache_read_tokens"),
    number("cache_creation_tokens"),
    number("turns"),
    # What limits over all hosts are counted by, known when it is claimed.
    Column("host", Text),
    Column("claimed_profile", Text),
    Column("model", Text),
    # Measured by retention once the attempt has ended, and 0 when it took the messages away.
    Column("message_bytes", BigInteger),
    # What each project used lately: the scheduler's view and the daily budgets.
    partial(
        "attempts_ended", "ended_at", "project_id", "started_at", "cost_usd", where="ended_at IS NOT NULL"
    ),
    partial(
        "attempts_with_messages", "ended_at", "task_id", "number", "message_bytes", where=when.WITH_MESSAGES
    ),
    partial("attempts_unmeasured", "ended_at", where=when.UNMEASURED),
    partial("attempts_open", "project_id", "started_at", where="ended_at IS NULL"),
)

attempt_messages: Final = Table(
    "attempt_messages",
    metadata,
    Column("task_id", Key, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    moment("at"),
    Column("kind", Text, nullable=False),
    json_document("body"),
    ForeignKeyConstraint(["task_id", "number"], ["attempts.task_id", "attempts.number"], ondelete="CASCADE"),
)

# What an agent asked a person, and the answer. One question ends an attempt, so each has one at most.
questions: Final = Table(
    "questions",
    metadata,
    Column("task_id", Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("question", Prose, nullable=False),
    moment("asked_at"),
    Column("answer", Prose),
    Column("answered_at", Real),
    Column("answered_by", Text),
    ForeignKeyConstraint(["task_id", "attempt"], ["attempts.task_id", "attempts.number"], ondelete="CASCADE"),
)

# A system-wide row has the empty project: a primary key cannot hold NULL.
mcp_servers: Final = Table(
    "mcp_servers",
    metadata,
    Column("project_id", Key, primary_key=True, server_default=""),
    Column("name", Key, primary_key=True),
    Column("transport", Text, nullable=False),
    blank("description"),
    Column("command", Text),
    json_document("args", "[]"),
    json_document("env"),
    Column("url", Text),
    json_document("headers"),
    blank("digest"),
    moment("created_at"),
    moment("updated_at"),
    Column("probed_at", Real),
    Column("probe_error", Text),
    Column("probed_tools", Json),
)

# One row for each document of the vault as last read, those that do not parse included.
sync_state: Final = Table(
    "sync_state",
    metadata,
    Column("path", Key, primary_key=True),
    Column("kind", Text, nullable=False),  # profile or server
    Column("project_id", Key, nullable=False, server_default=""),
    Column("document_id", Key, nullable=False),
    Column("digest", Text, nullable=False),
    Column("error", Text),
    json_document("warnings", "[]"),
    moment("synced_at"),
    Index("sync_state_by_document", "kind", "document_id", "project_id"),
)

# One row: the commit that the vault and its remote stood at when the documents were last read.
vault_in_effect: Final = Table(
    "vault_in_effect",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("commit_id", Text, nullable=False),
)

workers: Final = Table("workers", metadata, *worker_columns())
limits: Final = Table("limits", metadata, *limit_columns())
backoffs: Final = Table("backoffs", metadata, *backoff_columns())

duties: Final = Table(
    "duties",
    metadata,
    Column("name", Key, primary_key=True),
    Column("worker", Key, nullable=False),
    Column("fence", BigInteger, nullable=False),
    moment("lease_until"),
)

events: Final = Table(
    "events",
    metadata,
    Column("id", Serial, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    moment("at"),
    Column("project_id", Key),
    Column("task_id", Key),
    json_document("data"),
    partial("events_by_project", "project_id", "id", where="project_id IS NOT NULL"),
    partial("events_by_task", "task_id", "id", where="task_id IS NOT NULL"),
    # Ids of deleted rows are never given again: a reader resumes from the last one it saw.
    sqlite_autoincrement=True,
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Serial, Identity(always=True), primary_key=True),
    moment("at"),
    Column("actor", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("project_id", Key),
    Column("outcome", Text, nullable=False),
    json_document("data"),
    Index("audit_by_time", "at"),
    sqlite_autoincrement=True,
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Key, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("project_id", Key),
    Column("task_id", Key),
    Column("attempt", Integer),
    json_document("grants", "[]"),
    moment("created_at"),
    Column("expires_at", Real),
    Column("revoked_at", Real),
    Column("used_at", Real),
    # Settling takes the tokens of what has ended; without the index that reads all there ever were.
    partial("tokens_of_attempts", "task_id", "attempt", where="revoked_at IS NULL AND task_id IS NOT NULL"),
)
