"""To-dos: whatever waits for a named person, the ways out that it has, and deciding one.

Deciding moves the effect in the ledger and starts the case's next generation in one transaction:
a decision is never half taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.kit.resource import Title
from flows.kit import journal
from flows.kit.clock import Clock, as_text
from flows.kit.ledger import Ledger
from flows.kit.outbox import wake_case
from flows.kit.pseudonym import new_id
from flows.kit.store import Store
from flows.kit.store.tables import case, effect, todo

OPTIONS: dict[str, Title] = {
    "look_again": Title("再看一次系统", "look at the system again"),
    "write": Title("按计划值再写一次（覆盖）", "write the planned values (overwrite)"),
    "accept": Title("系统里的内容就是对的，接受", "what the system holds is right: accept it"),
    "abandon": Title("放弃这一步", "give this step up"),
    "replan": Title("数据已更正，重新计划", "the data were corrected: plan the case anew"),
    "take": Title("受理这个请求", "accept the request"),
    "withdraw": Title("撤回整个请求", "withdraw the whole request"),
}


class UndecidedTodo(Exception):
    """The decision was not taken; the sentence says why and what to do."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True)
class NewTodo:
    """A to-do before it has an id."""

    kind: str
    reason: Title
    options: Sequence[str]
    assignee: str = "operations"
    effect_key: str = ""
    fields: Sequence[Mapping[str, Any]] = ()


class Todos:
    """Opens, lists and decides to-dos."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def open(self, case_id: str, new: NewTodo, *, connection: Connection | None = None) -> str:
        """Open a to-do, or return the open one that already asks this. The id is `TD-…`."""
        if connection is None:
            with self.store.write() as fresh:
                return self.open(case_id, new, connection=fresh)
        asked = connection.execute(
            sa.select(todo.c.id).where(
                todo.c.case_id == case_id,
                todo.c.effect_key == new.effect_key,
                todo.c.kind == new.kind,
                todo.c.state == "open",
            )
        ).scalar()
        if asked:
            return str(asked)
        now = self.clock.now()
        todo_id = new_id("TD", int(now.timestamp() * 1000))
        connection.execute(
            todo.insert().values(
                id=todo_id,
                case_id=case_id,
                effect_key=new.effect_key,
                kind=new.kind,
                assignee=new.assignee,
                reason_zh=new.reason.zh[:500],
                reason_en=new.reason.en[:500],
                fields=[dict(field) for field in new.fields],
                options=list(new.options),
                state="open",
                created_at=as_text(now),
                due_at=as_text(now + timedelta(days=1)),
            )
        )
        journal.append(
            connection,
            self.clock,
            "todo.opened",
            case_id=case_id,
            effect_key=new.effect_key,
            body={"todo": todo_id, "kind": new.kind, "fields": [field["field"] for field in new.fields]},
        )
        return todo_id

    def open_ones(self, case_id: str | None = None) -> list[sa.Row[Any]]:
        """Open to-dos, oldest first."""
        query = sa.select(todo).where(todo.c.state == "open").order_by(todo.c.created_at)
        if case_id is not None:
            query = query.where(todo.c.case_id == case_id)
        with self.store.read() as connection:
            return list(connection.execute(query).all())

    def get(self, todo_id: str) -> sa.Row[Any]:
        """One to-do. Raises UndecidedTodo when there is none."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(todo).where(todo.c.id == todo_id)).one_or_none()
        if row is None:
            raise UndecidedTodo(f"没有待办 {todo_id}；用 ./hub todos 查看", f"no to-do {todo_id}; see ./hub todos")
        return row

    def decide(self, todo_id: str, decision: str, *, by: str, note: str = "") -> None:
        """Take one decision, once, under a name, and let the case go on. Raises UndecidedTodo."""
        row = self.get(todo_id)
        if not by.strip():
            raise UndecidedTodo("决定须署名：--as 姓名", "a decision needs a name: --as NAME")
        if decision not in row.options:
            choices = ", ".join(row.options)
            raise UndecidedTodo(
                f"待办 {todo_id} 不能选“{decision}”；可选：{choices}",
                f"to-do {todo_id} has no way out {decision!r}; choose one of: {choices}",
            )
        with self.store.write() as connection:
            taken = connection.execute(
                todo.update()
                .where(todo.c.id == todo_id, todo.c.state == "open")
                .values(
                    state="decided",
                    decision=decision,
                    decided_by=by[:80],
                    note=note[:500],
                    decided_at=as_text(self.clock.now()),
                )
            )
            if taken.rowcount != 1:
                raise UndecidedTodo(f"待办 {todo_id} 已有人决定", f"to-do {todo_id} was decided already")
            journal.append(
                connection,
                self.clock,
                "todo.decided",
                case_id=row.case_id,
                effect_key=row.effect_key,
                actor=by[:80],
                body={"todo": todo_id, "kind": row.kind, "decision": decision},
            )
            if row.effect_key:
                self._carry_out(connection, row.effect_key, decision, by)
            if decision in {"replan", "take"}:
                self._raise_revision(connection, row.case_id)
            if decision == "withdraw":
                self._withdraw(connection, row.case_id, by)
            else:
                wake_case(connection, self.clock, row.case_id, why=f"decision {decision}")

    def close_answered(self, connection: Connection, case_id: str, effect_key: str) -> None:
        """Close open to-dos of an effect that settled by itself."""
        connection.execute(
            todo.update()
            .where(todo.c.case_id == case_id, todo.c.effect_key == effect_key, todo.c.state == "open")
            .values(state="closed", decided_at=as_text(self.clock.now()))
        )

    def _carry_out(self, connection: Connection, key: str, decision: str, by: str) -> None:
        ledger = Ledger(self.store, self.clock)
        row = connection.execute(sa.select(effect).where(effect.c.key == key)).one()
        target = {"accept": "done", "abandon": "abandoned", "replan": "abandoned", "withdraw": "abandoned"}.get(
            decision, "planned"
        )
        if row.state == target:
            return
        changes: dict[str, Any] = {"decision": decision, "not_before": None, "reason": Title("", "")}
        if decision == "accept":
            changes["outcome_name"] = "Accepted"
        ledger.move(key, row.state, target, actor=by, connection=connection, body={"decision": decision}, **changes)

    def _raise_revision(self, connection: Connection, case_id: str) -> None:
        ledger = Ledger(self.store, self.clock)
        waiting = sa.select(effect.c.key, effect.c.state).where(
            effect.c.case_id == case_id, effect.c.state.in_(("planned", "refused", "needs_person"))
        )
        for key, state in connection.execute(waiting).all():
            ledger.move(key, state, "abandoned", connection=connection, body={"why": "planned anew"})
        connection.execute(case.update().where(case.c.id == case_id).values(revision=case.c.revision + 1))

    def _withdraw(self, connection: Connection, case_id: str, by: str) -> None:
        self._raise_revision(connection, case_id)
        connection.execute(
            case.update()
            .where(case.c.id == case_id)
            .values(
                state="withdrawn",
                wake_at=None,
                reason_zh=f"由 {by} 撤回",
                reason_en=f"withdrawn by {by}",
                updated_at=as_text(self.clock.now()),
            )
        )
        journal.append(connection, self.clock, "case.withdrawn", case_id=case_id, actor=by)
