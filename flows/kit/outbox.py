"""The outbox: what must leave the store (a Prefect run, a comment), written with the change that causes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from flows.kit.clock import Clock, as_text
from flows.kit.store.tables import case, outbox


def put(connection: Connection, clock: Clock, kind: str, key: str, case_id: str, payload: Mapping[str, Any]) -> None:
    """Queue one thing to send; the same key is sent once."""
    if connection.execute(sa.select(outbox.c.id).where(outbox.c.key == key)).scalar() is not None:
        return
    now = as_text(clock.now())
    connection.execute(
        outbox.insert().values(
            kind=kind, key=key, case_id=case_id, payload=dict(payload), state="waiting", not_before=now, updated_at=now
        )
    )


def wake_case(connection: Connection, clock: Clock, case_id: str, *, why: str) -> None:
    """Start the next generation of an open case: a new Prefect run with a new idempotency key."""
    woken = connection.execute(
        case.update()
        .where(case.c.id == case_id, case.c.state.in_(("accepted", "running", "waiting")))
        .values(generation=case.c.generation + 1, wake_at=None, updated_at=as_text(clock.now()))
    )
    if woken.rowcount:
        row = connection.execute(sa.select(case.c.generation, case.c.service).where(case.c.id == case_id)).one()
        put(
            connection,
            clock,
            "dispatch",
            f"{case_id}:{row.generation}",
            case_id,
            {"generation": row.generation, "service": row.service, "why": why},
        )
