"""The rows behind a case: reading it, taking it in hand, and writing down how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.kit.processes import Owner
from connectors.kit.resource import Title
from flows.kit import journal, outbox
from flows.kit.clock import Clock, as_text
from flows.kit.ledger import Ledger
from flows.kit.plan import PlannedEffect, from_json, hash_of
from flows.kit.store import Store
from flows.kit.store.tables import case, plan, request

CLOSED = frozenset({"completed", "completed_with_exceptions", "refused", "withdrawn"})


class UnknownRequest(Exception):
    """Nobody accepted a request with this id."""


class CaseInHand(Exception):
    """Another living run works on this case."""


@dataclass(frozen=True)
class CaseRow:
    """A case with its request, as the store holds them."""

    id: str
    service: str
    business_key: str
    state: str
    reason: Title
    revision: int
    generation: int
    owner: str
    wake_at: str | None
    duplicate_of: str
    input: dict[str, Any]
    source: str
    source_ref: str
    requested_by: str
    locale: str
    expected_plan: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class StoredPlan:
    """A case's plan of one revision, with the facts it was made from."""

    hash: str
    effects: tuple[PlannedEffect, ...]
    facts: dict[str, Any]


class Cases:
    """Reads and moves case rows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def get(self, case_id: str) -> CaseRow:
        """One case. Raises UnknownRequest."""
        joined = sa.select(*_COLUMNS).join(request, request.c.id == case.c.id).where(case.c.id == case_id)
        with self.store.read() as connection:
            row = connection.execute(joined).mappings().one_or_none()
        if row is None:
            raise UnknownRequest(case_id)
        return _row(row)

    def listed(self, *, open_only: bool = False, limit: int = 200) -> list[CaseRow]:
        """Cases, oldest first."""
        query = sa.select(*_COLUMNS).join(request, request.c.id == case.c.id).order_by(case.c.created_at).limit(limit)
        if open_only:
            query = query.where(case.c.state.not_in(CLOSED))
        with self.store.read() as connection:
            return [_row(row) for row in connection.execute(query).mappings().all()]

    def take(self, case_id: str) -> CaseRow:
        """Take a case in hand for this process. Raises UnknownRequest, CaseInHand."""
        row = self.get(case_id)
        me = str(Owner.me())
        if row.state in CLOSED:
            return row
        if row.owner and row.owner != me and Owner.parse(row.owner).alive():
            raise CaseInHand(case_id)
        with self.store.write() as connection:
            taken = connection.execute(
                case.update()
                .where(case.c.id == case_id, case.c.owner == row.owner, case.c.state.not_in(CLOSED))
                .values(state="running", owner=me, wake_at=None, updated_at=as_text(self.clock.now()))
            )
            if taken.rowcount != 1:
                raise CaseInHand(case_id)
            journal.append(
                connection, self.clock, "case.running", case_id=case_id, body={"generation": row.generation}
            )
        return self.get(case_id)

    def leave(self, case_id: str, state: str, reason: Title, *, wake_at: str | None = None) -> None:
        """Write down how the case stands at the end of a run, and let go of it. Same state again adds no entry."""
        with self.store.write() as connection:
            before = connection.execute(sa.select(case.c.state).where(case.c.id == case_id)).one()
            if before.state in CLOSED:
                return
            connection.execute(
                case.update()
                .where(case.c.id == case_id)
                .values(
                    state=state,
                    owner="",
                    wake_at=wake_at,
                    crashes=0,
                    reason_zh=reason.zh[:500],
                    reason_en=reason.en[:500],
                    updated_at=as_text(self.clock.now()),
                )
            )
            journal.append(connection, self.clock, f"case.{state}", case_id=case_id, body={"why": reason.en[:200]})
            if state == "refused":
                outbox.put(
                    connection, self.clock, "comment", f"{case_id}:refused", case_id, {"event": "ticket.refused"}
                )
            elif state == "waiting" and wake_at is None:
                outbox.put(
                    connection, self.clock, "comment", f"{case_id}:waiting", case_id, {"event": "ticket.waiting"}
                )

    def plan_of(self, case_id: str, revision: int) -> StoredPlan | None:
        """The stored plan of a revision, if there is one."""
        with self.store.read() as connection:
            row = connection.execute(
                sa.select(plan).where(plan.c.case_id == case_id, plan.c.revision == revision)
            ).one_or_none()
        if row is None:
            return None
        return StoredPlan(row.hash, tuple(from_json(value) for value in row.effects), dict(row.facts))

    def keep_plan(
        self, case_id: str, revision: int, entries: Sequence[tuple[PlannedEffect, Any]], facts: dict[str, Any]
    ) -> str:
        """Store the plan and enter its effects in the ledger, in one transaction. Raises RecordBusy."""
        ledger = Ledger(self.store, self.clock)
        digest = hash_of([planned for planned, _ in entries])
        with self.store.write() as connection:
            connection.execute(
                plan.insert().values(
                    case_id=case_id,
                    revision=revision,
                    hash=digest,
                    effects=[planned.as_json() for planned, _ in entries],
                    facts=facts,
                    created_at=as_text(self.clock.now()),
                )
            )
            for position, (planned, wanted) in enumerate(entries):
                ledger.plan(connection, case_id, revision, position, planned.key, wanted)
            journal.append(
                connection,
                self.clock,
                "case.planned",
                case_id=case_id,
                body={"revision": revision, "plan": digest, "effects": [planned.resource for planned, _ in entries]},
            )
        return digest


_COLUMNS = (
    case.c.id,
    case.c.service,
    case.c.business_key,
    case.c.state,
    case.c.reason_zh,
    case.c.reason_en,
    case.c.revision,
    case.c.generation,
    case.c.owner,
    case.c.wake_at,
    case.c.duplicate_of,
    request.c.input,
    request.c.source,
    request.c.source_ref,
    request.c.requested_by,
    request.c.locale,
    request.c.expected_plan,
    case.c.created_at,
    case.c.updated_at,
)


def _row(row: Any) -> CaseRow:
    values = dict(row)
    reason = Title(values.pop("reason_zh"), values.pop("reason_en"))
    return CaseRow(reason=reason, **values)
