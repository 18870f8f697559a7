"""The journal: every transition, hash-chained, in the same transaction as what it tells.

`hash = SHA-256(prev ‖ canonical JSON of the entry)`. Personal values never enter the chain: entries
hold field names, states, and keyed hashes (reliability.md §2.9).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from flows.kit.clock import Clock, as_text
from flows.kit.store.tables import chain_head, journal

FIRST = "0" * 64


def canonical(value: Any) -> str:
    """JSON that is the same for the same content: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)


def link(prev: str, entry: Mapping[str, Any]) -> str:
    """The hash of an entry that follows `prev`."""
    return hashlib.sha256((prev + canonical(entry)).encode()).hexdigest()


def append(
    connection: Connection,
    clock: Clock,
    event: str,
    *,
    case_id: str = "",
    effect_key: str = "",
    actor: str = "hub",
    body: Mapping[str, Any] | None = None,
) -> None:
    """Add one entry within the caller's transaction; writers queue on the chain's head."""
    head = connection.execute(sa.select(chain_head).where(chain_head.c.id == 1).with_for_update()).one()
    entry = {
        "seq": head.seq + 1,
        "at": as_text(clock.now()),
        "case_id": case_id,
        "effect_key": effect_key,
        "event": event,
        "actor": actor,
        "body": dict(body or {}),
    }
    digest = link(head.hash, entry)
    connection.execute(journal.insert().values(**entry, prev=head.hash, hash=digest))
    connection.execute(chain_head.update().where(chain_head.c.id == 1).values(seq=entry["seq"], hash=digest))


def first_broken(entries: Iterable[Mapping[str, Any]]) -> int | None:
    """The sequence number at which a chain (oldest first) stops being whole; None when it is whole."""
    prev, expected = FIRST, 1
    for row in entries:
        entry = {name: row[name] for name in ("seq", "at", "case_id", "effect_key", "event", "actor", "body")}
        if row["seq"] != expected or row["prev"] != prev or row["hash"] != link(prev, entry):
            return expected
        prev, expected = row["hash"], expected + 1
    return None
