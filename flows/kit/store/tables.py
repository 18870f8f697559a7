"""Tables of the store (SQLAlchemy Core), the same on SQLite and PostgreSQL.

Moments are ISO 8601 UTC texts of fixed width, so they sort and read the same on both.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

MOMENT = sa.String(27)
OPEN_EFFECT = "state IN ('planned', 'started', 'unknown', 'needs_person', 'undoing')"
OPEN_CASE = "state IN ('accepted', 'running', 'waiting')"

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("delivery_key", sa.String(200), nullable=False),
    sa.Column("body_sha", sa.String(64), nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),  # new, filed, unhandled, own
    sa.Column("why", sa.String(200), nullable=False, default=""),
    sa.Column("pointer", sa.String(200), nullable=False, default=""),  # what to read back at the source
    sa.Column("request_id", sa.String(24)),
    sa.Column("received_at", MOMENT, nullable=False),
    sa.UniqueConstraint("source", "delivery_key"),
)
sa.Index("ix_inbox_state", inbox.c.state)
# A replay under a fresh delivery id is still a replay (reliability.md §5.4).
sa.Index("uq_inbox_source_body_sha", inbox.c.source, inbox.c.body_sha, unique=True)

request = sa.Table(
    "request",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("service", sa.String(40), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("source_ref", sa.String(200), nullable=False),
    sa.Column("business_key", sa.String(200), nullable=False, default=""),
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False, default=""),
    sa.Column("locale", sa.String(10), nullable=False, default="zh-CN"),
    sa.Column("expected_plan", sa.String(64), nullable=False, default=""),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.UniqueConstraint("source", "source_ref"),
)

case = sa.Table(
    "case",
    metadata,
    sa.Column("id", sa.String(24), sa.ForeignKey("request.id"), primary_key=True),
    sa.Column("service", sa.String(40), nullable=False),
    sa.Column("business_key", sa.String(200), nullable=False, default=""),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("reason_zh", sa.String(500), nullable=False, default=""),
    sa.Column("reason_en", sa.String(500), nullable=False, default=""),
    sa.Column("revision", sa.Integer, nullable=False, default=1),
    sa.Column("generation", sa.Integer, nullable=False, default=0),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sa.Column("owner", sa.String(120), nullable=False, default=""),
    sa.Column("wake_at", MOMENT),
    sa.Column("duplicate_of", sa.String(24), nullable=False, default=""),
    sa.Column("maps", sa.JSON, nullable=False, default=dict),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.Column("updated_at", MOMENT, nullable=False),
)
sa.Index("ix_case_state", case.c.state)
# Exactly one open case per service and business key; "" is a ticket that was not read yet.
sa.Index(
    "uq_case_open_business_key",
    case.c.service,
    case.c.business_key,
    unique=True,
    sqlite_where=sa.text(f"{OPEN_CASE} AND business_key <> ''"),
    postgresql_where=sa.text(f"{OPEN_CASE} AND business_key <> ''"),
)

plan = sa.Table(
    "plan",
    metadata,
    sa.Column("case_id", sa.String(24), sa.ForeignKey("case.id"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("effects", sa.JSON, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False),
)

effect = sa.Table(
    "effect",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("case_id", sa.String(24), sa.ForeignKey("case.id"), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("resource", sa.String(60), nullable=False),
    sa.Column("record_key", sa.String(200), nullable=False),
    sa.Column("wish_key", sa.String(200)),
    sa.Column("mark", sa.String(16), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason_zh", sa.String(500), nullable=False, default=""),
    sa.Column("reason_en", sa.String(500), nullable=False, default=""),
    sa.Column("args_sha", sa.String(64), nullable=False, default=""),
    sa.Column("decision", sa.String(20), nullable=False, default=""),  # what a person allowed: write
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("owner", sa.String(120), nullable=False, default=""),
    sa.Column("actor_group", sa.Integer),  # process group of the robot that may still act
    sa.Column("last_send", MOMENT),
    sa.Column("not_before", MOMENT),
    sa.Column("before", sa.JSON),
    sa.Column("outcome", sa.JSON),
    sa.Column("outcome_name", sa.String(20), nullable=False, default=""),
    sa.Column("updated_at", MOMENT, nullable=False),
)
sa.Index("ix_effect_case_id", effect.c.case_id)
# Two cases never work on one record at once; later cases may (design §5, record key).
sa.Index(
    "uq_effect_open_record",
    effect.c.resource,
    effect.c.record_key,
    unique=True,
    sqlite_where=sa.text(OPEN_EFFECT),
    postgresql_where=sa.text(OPEN_EFFECT),
)
# A wish declared `once` is granted once for ever, unless it was given up before anything happened.
sa.Index(
    "uq_effect_wish",
    effect.c.wish_key,
    unique=True,
    sqlite_where=sa.text("wish_key IS NOT NULL AND state NOT IN ('abandoned', 'refused')"),
    postgresql_where=sa.text("wish_key IS NOT NULL AND state NOT IN ('abandoned', 'refused')"),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", MOMENT, nullable=False),
    sa.Column("case_id", sa.String(24), nullable=False, default=""),
    sa.Column("effect_key", sa.String(64), nullable=False, default=""),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
sa.Index("ix_journal_case_id", journal.c.case_id)

chain_head = sa.Table(
    "chain_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

todo = sa.Table(
    "todo",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("case_id", sa.String(24), sa.ForeignKey("case.id"), nullable=False),
    sa.Column("effect_key", sa.String(64), nullable=False, default=""),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("assignee", sa.String(80), nullable=False),
    sa.Column("reason_zh", sa.String(500), nullable=False),
    sa.Column("reason_en", sa.String(500), nullable=False),
    sa.Column("fields", sa.JSON, nullable=False),  # [{field, label_zh, label_en, wanted, found}] masked
    sa.Column("options", sa.JSON, nullable=False),  # [decision]
    sa.Column("state", sa.String(10), nullable=False),  # open, decided, closed
    sa.Column("decision", sa.String(20), nullable=False, default=""),
    sa.Column("decided_by", sa.String(80), nullable=False, default=""),
    sa.Column("note", sa.String(500), nullable=False, default=""),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.Column("due_at", MOMENT, nullable=False),
    sa.Column("decided_at", MOMENT),
)
sa.Index("ix_todo_state", todo.c.state)
sa.Index(
    "uq_todo_open",
    todo.c.case_id,
    todo.c.effect_key,
    todo.c.kind,
    unique=True,
    sqlite_where=sa.text("state = 'open'"),
    postgresql_where=sa.text("state = 'open'"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(20), nullable=False),  # dispatch, comment
    sa.Column("key", sa.String(80), nullable=False, unique=True),
    sa.Column("case_id", sa.String(24), nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # waiting, sent, given_up
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", MOMENT, nullable=False),
    sa.Column("answer", sa.String(200), nullable=False, default=""),
    sa.Column("updated_at", MOMENT, nullable=False),
)
sa.Index("ix_outbox_state", outbox.c.state)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("effect_key", sa.String(64), primary_key=True),
    sa.Column("case_id", sa.String(24), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("media_type", sa.String(80), nullable=False),
    sa.Column("caption", sa.String(200), nullable=False, default=""),
    sa.Column("sensitive", sa.Boolean, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("at", MOMENT, nullable=False),
)
sa.Index("ix_evidence_case_id", evidence.c.case_id)

reservation = sa.Table(
    "reservation",
    metadata,
    sa.Column("space", sa.String(40), primary_key=True),  # "login"
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("holder", sa.String(80), nullable=False),  # pseudonym of the person, never a name
    sa.Column("case_id", sa.String(24), nullable=False),
    sa.Column("at", MOMENT, nullable=False),
    sa.UniqueConstraint("space", "holder"),
)
