"""The tables.

Revision ID: 0001
Revises:
"""

from string import Template
from typing import Final

from alembic import op

revision = "0001"
down_revision = None

TYPES: Final = {
    "sqlite": {"key": "TEXT", "real": "REAL", "serial": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"},
    "postgresql": {
        "key": 'TEXT COLLATE "C"',
        "real": "DOUBLE PRECISION",
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    },
}

TABLES: Final = (
    """CREATE TABLE agent_profiles (
    id $key NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    permission_mode TEXT NOT NULL DEFAULT '',
    allowed_tools TEXT NOT NULL DEFAULT '[]',
    mcp_servers TEXT NOT NULL DEFAULT '{}',
    system_prompt_suffix TEXT NOT NULL DEFAULT '',
    install TEXT NOT NULL DEFAULT '{}',
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    harness TEXT NOT NULL DEFAULT '',
    denied_tools TEXT NOT NULL DEFAULT '[]',
    tags TEXT NOT NULL DEFAULT '[]',
    limits TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL DEFAULT '{}',
    digest TEXT NOT NULL DEFAULT '',
    removed_at $real,
    owner TEXT,
    instance_shared BOOLEAN NOT NULL DEFAULT false,
    requested_by TEXT,
    approved_at $real,
    disabled_at $real,
    archived_at $real,
    CONSTRAINT agent_profiles_name_key UNIQUE (name)
)
""",
    """CREATE TABLE archived_tasks (
    id $key NOT NULL PRIMARY KEY,
    project_id $key NOT NULL,
    title TEXT NOT NULL,
    prompt TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    priority INTEGER NOT NULL,
    run_at $real,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    timeout_seconds $real,
    max_budget_usd $real,
    labels TEXT NOT NULL DEFAULT '{}',
    hold TEXT,
    hold_message TEXT,
    hold_until $real,
    claimed_by $key,
    lease_until $real,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,
    session_id TEXT,
    result TEXT,
    finished_at $real,
    schedule_id $key,
    scheduled_for $real,
    archived_at $real NOT NULL
)
""",
    """CREATE TABLE attempts (
    task_id $key NOT NULL,
    number INTEGER NOT NULL,
    project_id $key NOT NULL,
    worker $key NOT NULL,
    started_at $real NOT NULL,
    ended_at $real,
    outcome TEXT,
    message TEXT,
    session_id TEXT,
    profile_id $key,
    tier TEXT,
    effective TEXT,
    servers TEXT NOT NULL DEFAULT '[]',
    warnings TEXT NOT NULL DEFAULT '[]',
    rehearsal BOOLEAN NOT NULL DEFAULT false,
    checkout TEXT,
    enforcement TEXT NOT NULL DEFAULT '{}',
    cost_usd $real NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_creation_tokens INTEGER NOT NULL DEFAULT 0,
    turns INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, number)
)
""",
    """CREATE TABLE audit (
    id $serial,
    at $real NOT NULL,
    actor TEXT NOT NULL,
    command TEXT NOT NULL,
    subject TEXT NOT NULL,
    project_id $key,
    outcome TEXT NOT NULL,
    data TEXT NOT NULL DEFAULT '{}'
)
""",
    """CREATE TABLE duties (
    name $key NOT NULL PRIMARY KEY,
    worker $key NOT NULL,
    fence BIGINT NOT NULL,
    lease_until $real NOT NULL
)
""",
    """CREATE TABLE events (
    id $serial,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    at $real NOT NULL,
    project_id $key,
    task_id $key,
    data TEXT NOT NULL DEFAULT '{}'
)
""",
    """CREATE TABLE mcp_servers (
    project_id $key NOT NULL DEFAULT '',
    name $key NOT NULL,
    transport TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    command TEXT,
    args TEXT NOT NULL DEFAULT '[]',
    env TEXT NOT NULL DEFAULT '{}',
    url TEXT,
    headers TEXT NOT NULL DEFAULT '{}',
    digest TEXT NOT NULL DEFAULT '',
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    probed_at $real,
    probe_error TEXT,
    probed_tools TEXT,
    PRIMARY KEY (project_id, name)
)
""",
    """CREATE TABLE profile_overlays (
    project_id $key NOT NULL,
    profile_id $key NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    permission_mode TEXT NOT NULL DEFAULT '',
    allowed_tools TEXT NOT NULL DEFAULT '[]',
    mcp_servers TEXT NOT NULL DEFAULT '{}',
    system_prompt_suffix TEXT NOT NULL DEFAULT '',
    install TEXT NOT NULL DEFAULT '{}',
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    harness TEXT NOT NULL DEFAULT '',
    denied_tools TEXT NOT NULL DEFAULT '[]',
    tags TEXT NOT NULL DEFAULT '[]',
    limits TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL DEFAULT '{}',
    digest TEXT NOT NULL DEFAULT '',
    removed_at $real,
    PRIMARY KEY (project_id, profile_id)
)
""",
    """CREATE TABLE profile_revisions (
    id $serial,
    project_id $key NOT NULL DEFAULT '',
    profile_id $key NOT NULL,
    digest TEXT NOT NULL,
    content TEXT NOT NULL DEFAULT '{}',
    created_at $real NOT NULL
)
""",
    """CREATE TABLE sync_state (
    path $key NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    project_id $key NOT NULL DEFAULT '',
    document_id $key NOT NULL,
    digest TEXT NOT NULL,
    error TEXT,
    warnings TEXT NOT NULL DEFAULT '[]',
    synced_at $real NOT NULL
)
""",
    """CREATE TABLE tokens (
    id $key NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    project_id $key,
    task_id $key,
    attempt INTEGER,
    grants TEXT NOT NULL DEFAULT '[]',
    created_at $real NOT NULL,
    expires_at $real,
    revoked_at $real,
    used_at $real,
    CONSTRAINT tokens_digest_key UNIQUE (digest)
)
""",
    """CREATE TABLE workers (
    id $key NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    slots INTEGER NOT NULL,
    started_at $real NOT NULL,
    seen_at $real NOT NULL,
    draining BOOLEAN NOT NULL DEFAULT false,
    details TEXT NOT NULL DEFAULT '{}'
)
""",
    """CREATE TABLE attempt_messages (
    task_id $key NOT NULL,
    number INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at $real NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (task_id, number, sequence),
    FOREIGN KEY (task_id, number) REFERENCES attempts (task_id, number) ON DELETE CASCADE
)
""",
    """CREATE TABLE projects (
    id $key NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    weight $real NOT NULL DEFAULT 1,
    max_concurrent INTEGER,
    budget_usd_per_day $real,
    repository TEXT,
    checkout TEXT NOT NULL DEFAULT 'empty',
    paused BOOLEAN NOT NULL DEFAULT false
)
""",
    """CREATE TABLE bindings (
    project_id $key NOT NULL REFERENCES projects(id),
    profile_id $key NOT NULL REFERENCES agent_profiles(id),
    max_concurrent INTEGER NOT NULL DEFAULT 0,
    capabilities TEXT NOT NULL DEFAULT '[]',
    auto_dispatch_eligible BOOLEAN NOT NULL DEFAULT true,
    engagement_mode TEXT,
    require_approval_before_start BOOLEAN,
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    archived_at $real,
    PRIMARY KEY (project_id, profile_id)
)
""",
    """CREATE TABLE schedules (
    id $key NOT NULL PRIMARY KEY,
    project_id $key NOT NULL REFERENCES projects(id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    expression TEXT NOT NULL,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    missed TEXT NOT NULL DEFAULT 'once',
    overlap TEXT NOT NULL DEFAULT 'allow',
    task TEXT NOT NULL DEFAULT '{}',
    enabled BOOLEAN NOT NULL DEFAULT true,
    next_at $real,
    last_at $real,
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    profile_id $key REFERENCES agent_profiles(id)
)
""",
    """CREATE TABLE tasks (
    id $key NOT NULL PRIMARY KEY,
    project_id $key NOT NULL REFERENCES projects(id),
    title TEXT NOT NULL,
    prompt TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at $real NOT NULL,
    updated_at $real NOT NULL,
    priority INTEGER NOT NULL,
    run_at $real,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    timeout_seconds $real,
    max_budget_usd $real,
    labels TEXT NOT NULL DEFAULT '{}',
    hold TEXT,
    hold_message TEXT,
    hold_until $real,
    claimed_by $key,
    lease_until $real,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,
    session_id TEXT,
    result TEXT,
    finished_at $real,
    schedule_id $key,
    scheduled_for $real
)
""",
    """CREATE TABLE task_dependencies (
    task_id $key NOT NULL,
    depends_on $key NOT NULL,
    PRIMARY KEY (task_id, depends_on),
    FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    FOREIGN KEY (depends_on) REFERENCES tasks (id) ON DELETE CASCADE
)
""",
)

INDEXES: Final = (
    "CREATE INDEX archived_tasks_by_project ON archived_tasks (project_id, archived_at, id)",
    "CREATE INDEX attempts_ended ON attempts (ended_at, project_id, started_at, cost_usd) "
    "WHERE ended_at IS NOT NULL",
    "CREATE INDEX attempts_open ON attempts (project_id, started_at) WHERE ended_at IS NULL",
    "CREATE INDEX audit_by_time ON audit (at)",
    "CREATE INDEX events_by_project ON events (project_id, id) WHERE project_id IS NOT NULL",
    "CREATE INDEX events_by_task ON events (task_id, id) WHERE task_id IS NOT NULL",
    "CREATE INDEX profile_revisions_by_profile ON profile_revisions (profile_id, project_id, id)",
    "CREATE INDEX sync_state_by_document ON sync_state (kind, document_id, project_id)",
    "CREATE INDEX bindings_by_profile ON bindings (profile_id)",
    "CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled AND next_at IS NOT NULL",
    "CREATE INDEX tasks_by_age ON tasks (created_at, id)",
    "CREATE INDEX tasks_by_project ON tasks (project_id, created_at, id)",
    "CREATE INDEX tasks_by_state ON tasks (state, created_at, id)",
    "CREATE INDEX tasks_claimable ON tasks (project_id, priority, created_at, id) "
    "WHERE state = 'READY' AND hold IS NULL AND run_at IS NULL",
    "CREATE INDEX tasks_claimed ON tasks (lease_until, project_id, claimed_by) WHERE lease_until IS NOT NULL",
    "CREATE INDEX tasks_held ON tasks (hold_until) WHERE hold IS NOT NULL",
    "CREATE UNIQUE INDEX tasks_scheduled ON tasks (schedule_id, scheduled_for) WHERE schedule_id IS NOT NULL",
    "CREATE INDEX tasks_waiting ON tasks (run_at) WHERE run_at IS NOT NULL AND state NOT IN "
    "('ASSIGNED', 'BLOCKED', 'CANCELLED', 'COMPLETED', 'FAILED', 'IN_PROGRESS', 'WAITING_INPUT')",
    "CREATE INDEX task_dependencies_by_need ON task_dependencies (depends_on)",
)


def upgrade() -> None:
    types = TYPES[op.get_bind().dialect.name]
    for statement in (*TABLES, *INDEXES):
        op.execute(Template(statement).substitute(types))
