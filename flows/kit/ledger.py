"""The ledger: which effects are wanted, begun, proven, doubtful; each transition durable and journalled.

States and who may leave them (design §5, reliability.md §2.2):

    planned → started → done | refused | unknown          planned → already | needs_person
    started → planned (proven not sent)                   unknown → done | planned | needs_person
    needs_person → done | planned | abandoned             refused → planned | abandoned (a person)

Every move names the states it may start from and the fence of its actor; zero rows is `Fenced`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from connectors.kit.processes import Owner, group_members
from connectors.kit.resource import Title, Wanted
from flows.kit import journal
from flows.kit.clock import Clock, as_text
from flows.kit.pseudonym import mark_of
from flows.kit.store import Store
from flows.kit.store.tables import OPEN_EFFECT, effect

MOVES: dict[str, frozenset[str]] = {
    "planned": frozenset({"started", "already", "needs_person", "abandoned"}),
    "started": frozenset({"done", "refused", "unknown", "planned", "needs_person"}),
    "unknown": frozenset({"done", "planned", "needs_person"}),
    "needs_person": frozenset({"done", "planned", "abandoned"}),
    "refused": frozenset({"planned", "abandoned"}),
    "done": frozenset({"undoing"}),
    "undoing": frozenset({"undone", "needs_person"}),
    "already": frozenset(),
    "abandoned": frozenset(),
    "undone": frozenset(),
}
SETTLED = frozenset({"done", "already", "abandoned", "undone"})
OPEN = frozenset({"planned", "started", "unknown", "needs_person", "undoing"})


class Fenced(Exception):
    """Somebody else moved this effect since; what we know of it is stale."""


class RecordBusy(Exception):
    """Another open case works on the same record."""

    def __init__(self, wanted: Wanted, case_id: str) -> None:
        super().__init__(f"{wanted.type.name} is already being worked on under {case_id}")
        self.wanted, self.case_id = wanted, case_id


@dataclass(frozen=True)
class Entry:
    """One row of the ledger."""

    key: str
    case_id: str
    resource: str
    record_key: str
    mark: str
    state: str
    reason: Title
    args_sha: str
    decision: str
    attempts: int
    fence: int
    owner: str
    actor_group: int | None
    last_send: str | None
    not_before: str | None
    before: Mapping[str, Any] | None
    outcome: Mapping[str, Any] | None
    outcome_name: str

    def actor_lives(self) -> bool:
        """Whether whoever started this effect, or the robot he started, may still act."""
        if self.owner and Owner.parse(self.owner).alive():
            return True
        same_boot = bool(self.owner) and Owner.parse(self.owner).boot == Owner.me().boot
        return same_boot and self.actor_group is not None and bool(group_members(self.actor_group))


def effect_key(case_id: str, revision: int, step: str, item: str) -> str:
    """The same for the same step of the same request: no attempt, no run id, no clock."""
    return hashlib.sha256("\x1f".join((case_id, str(revision), step, item)).encode()).hexdigest()[:32]


_PLAIN = (
    "key case_id resource record_key mark state args_sha decision attempts fence owner actor_group last_send "
    "not_before before outcome outcome_name"
).split()


def _entry(row: Any) -> Entry:
    values = {name: row._mapping[name] for name in _PLAIN}
    return Entry(reason=Title(row.reason_zh, row.reason_en), **values)


class Ledger:
    """Reads and moves effects. It never talks to a target system."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def entry(self, key: str) -> Entry:
        """One effect. Raises KeyError when it was never planned."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(effect).where(effect.c.key == key)).one_or_none()
        if row is None:
            raise KeyError(key)
        return _entry(row)

    def of_case(self, case_id: str) -> list[Entry]:
        """A case's effects, newest revision last, in plan order."""
        order = (effect.c.revision, effect.c.position)
        with self.store.read() as connection:
            rows = connection.execute(sa.select(effect).where(effect.c.case_id == case_id).order_by(*order)).all()
        return [_entry(row) for row in rows]

    def done_before(self, resource: str, record_key: str) -> Entry | None:
        """The latest proven effect on a record: what a blind kind has instead of a probe."""
        query = (
            sa.select(effect)
            .where(effect.c.resource == resource, effect.c.record_key == record_key, effect.c.state == "done")
            .order_by(effect.c.updated_at.desc())
            .limit(1)
        )
        with self.store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _entry(row)

    def plan(self, connection: Connection, case_id: str, revision: int, position: int, key: str, wanted: Wanted) -> None:
        """Enter an effect as planned, once. Raises RecordBusy when another open case holds the record."""
        if connection.execute(sa.select(effect.c.key).where(effect.c.key == key)).one_or_none():
            return
        holder = connection.execute(
            sa.select(effect.c.case_id).where(
                effect.c.resource == wanted.type.name, effect.c.record_key == wanted.key, sa.text(OPEN_EFFECT)
            )
        ).scalar()
        if holder is not None:
            raise RecordBusy(wanted, holder)
        values = {
            "key": key,
            "case_id": case_id,
            "revision": revision,
            "position": position,
            "resource": wanted.type.name,
            "record_key": wanted.key,
            "wish_key": wanted.wish,
            "mark": mark_of(key),
            "state": "planned",
            "updated_at": as_text(self.clock.now()),
        }
        try:
            with connection.begin_nested():
                connection.execute(effect.insert().values(**values))
        except IntegrityError as clash:  # a racing writer on PostgreSQL, or a wish that was granted before
            raise RecordBusy(wanted, "another case") from clash
        journal.append(
            connection,
            self.clock,
            "effect.planned",
            case_id=case_id,
            effect_key=key,
            body={"resource": wanted.type.name, "fields": sorted(wanted.fields)},
        )

    def move(
        self,
        key: str,
        source: str,
        target: str,
        *,
        fence: int | None = None,
        actor: str = "hub",
        body: Mapping[str, Any] | None = None,
        connection: Connection | None = None,
        **changes: Any,
    ) -> Entry:
        """Move one effect from `source` to `target`, if it is (still) there. Raises Fenced otherwise."""
        if target != source and target not in MOVES[source]:
            raise ValueError(f"the ledger knows no way from {source} to {target}")
        if connection is None:
            with self.store.write() as fresh:
                return self.move(
                    key, source, target, fence=fence, actor=actor, body=body, connection=fresh, **changes
                )
        if "reason" in changes:
            reason = changes.pop("reason")
            changes |= {"reason_zh": reason.zh[:500], "reason_en": reason.en[:500]}
        if target == "started":
            changes["fence"] = effect.c.fence + 1  # whoever acted before is locked out from here on
        condition = sa.and_(effect.c.key == key, effect.c.state == source)
        if fence is not None:
            condition = sa.and_(condition, effect.c.fence == fence)
        moved = connection.execute(
            effect.update().where(condition).values(state=target, updated_at=as_text(self.clock.now()), **changes)
        )
        if moved.rowcount != 1:
            raise Fenced(f"effect {key} is no longer {source}" + (f" at fence {fence}" if fence is not None else ""))
        row = connection.execute(sa.select(effect).where(effect.c.key == key)).one()
        journal.append(
            connection,
            self.clock,
            f"effect.{target}",
            case_id=row.case_id,
            effect_key=key,
            actor=actor,
            body={"from": source, "resource": row.resource, "fence": row.fence, **(body or {})},
        )
        return _entry(row)

    def start(self, entry: Entry, args_sha: str, before: Mapping[str, Any] | None) -> Entry:
        """Durable intent, before any byte goes out: this process will act now."""
        now = as_text(self.clock.now())
        return self.move(
            entry.key,
            "planned",
            "started",
            fence=entry.fence,
            body={"args": args_sha},
            args_sha=args_sha,
            before=None if before is None else dict(before),
            attempts=entry.attempts + 1,
            owner=str(Owner.me()),
            actor_group=None,
            last_send=now,
            not_before=None,
            reason=Title("", ""),
        )

    def acting(self, key: str, fence: int, pgid: int) -> None:
        """Note the process group that acts, so that a later run can prove it dead."""
        with self.store.write() as connection:
            moved = connection.execute(
                effect.update()
                .where(effect.c.key == key, effect.c.fence == fence, effect.c.state == "started")
                .values(actor_group=pgid, last_send=as_text(self.clock.now()))
            )
            if moved.rowcount != 1:
                raise Fenced(f"effect {key} was taken over; its robot must not act")
