"""Filing a request: every front door ends here, so a ticket, a form, a workbook row and a call are the same.

A request is durable before anybody is told that it was accepted. The same reference again is the same
request; the same wish while the first is open answers with the first one's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from connectors.kit.resource import Title
from flows.kit import journal, outbox
from flows.kit.clock import Clock, as_text
from flows.kit.pseudonym import new_id
from flows.kit.request import ServiceRequest
from flows.kit.services import services
from flows.kit.store.tables import OPEN_CASE, case, request


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: the field, what was given, and the way out in both languages."""

    field: str
    value: str
    zh: str
    en: str


class BadInput(Exception):
    """The input cannot be accepted; `problems` names every field that is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.en}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Ask:
    """One ask, before it is a request. `source_ref` is the source's own id for it."""

    service: str
    input: Mapping[str, Any]
    source: str
    source_ref: str
    requested_by: str = ""
    locale: str = "zh-CN"
    expected_plan: str = ""


@dataclass(frozen=True)
class Filed:
    """What became of an ask: `fresh`, the same delivery again (`repeated`), or an open one joined (`joined`)."""

    request_id: str
    how: str = field(default="fresh")


def validated(service: str, values: Mapping[str, Any]) -> ServiceRequest:
    """The service's typed request. Raises BadInput naming each wrong field, in zh and en."""
    known = services()
    if service not in known:
        names = ", ".join(sorted(known))
        raise BadInput([Problem("service", service, f"没有这项服务；可选：{names}", f"no such service; choose: {names}")])
    try:
        return known[service].request_type.model_validate(dict(values))
    except ValidationError as error:
        raise BadInput([_problem(known[service].request_type, line) for line in error.errors()]) from None


def _problem(model: type[ServiceRequest], line: Any) -> Problem:
    name = ".".join(str(part) for part in line["loc"]) or "input"
    described = model.model_fields.get(name)
    hint = (described.description or "") if described else ""
    value = "" if line["type"] == "missing" else str(line.get("input", ""))[:60]
    zh = {
        "missing": "必填字段缺失",
        "extra_forbidden": "没有这个字段",
        "string_pattern_mismatch": "格式不对",
        "enum": "不是可选值",
        "literal_error": "不是可选值",
    }.get(line["type"], "值不正确")
    message = line["msg"].removeprefix("Value error, ")
    if " / " in message:  # our own validators say both languages
        zh, _, message = message.partition(" / ")
    return Problem(name, value, f"{zh}。{hint}", f"{message}. {hint}".strip())


def file(connection: Connection, clock: Clock, ask: Ask) -> Filed:
    """File one ask in the caller's transaction. Raises BadInput."""
    wish = validated(ask.service, ask.input)
    same = sa.select(request.c.id).where(request.c.source == ask.source, request.c.source_ref == ask.source_ref)
    if known := connection.execute(same).scalar():
        return Filed(str(known), "repeated")
    if holder := open_holder(connection, ask.service, wish.business_key):
        journal.append(
            connection, clock, "request.joined", case_id=holder, actor=ask.source, body={"ref": ask.source_ref}
        )
        return Filed(holder, "joined")
    request_id = _enter(connection, clock, ask, wish.business_key)
    _begin(connection, clock, request_id)
    return Filed(request_id)


def file_pointer(connection: Connection, clock: Clock, ask: Ask) -> Filed:
    """Accept a ticket that must be read back before anyone acts on it (`ask.input` is empty)."""
    same = sa.select(request.c.id).where(request.c.source == ask.source, request.c.source_ref == ask.source_ref)
    if known := connection.execute(same).scalar():
        return Filed(str(known), "repeated")
    return Filed(_enter(connection, clock, ask, ""))


def complete_pointer(connection: Connection, clock: Clock, request_id: str, ask: Ask) -> Filed:
    """Fill in what the read-back ticket says, and begin; joins an open case for the same wish. Raises BadInput."""
    wish = validated(ask.service, ask.input)
    holder = open_holder(connection, ask.service, wish.business_key)
    now = as_text(clock.now())
    if holder and holder != request_id:
        connection.execute(
            case.update()
            .where(case.c.id == request_id)
            .values(
                state="withdrawn",
                duplicate_of=holder,
                reason_zh=f"已在 {holder} 下办理",
                reason_en=f"already being done under {holder}",
                updated_at=now,
            )
        )
        outbox.put(connection, clock, "comment", f"{request_id}:duplicate", request_id, {"event": "ticket.duplicate"})
        journal.append(connection, clock, "case.withdrawn", case_id=request_id, body={"duplicate_of": holder})
        return Filed(holder, "joined")
    connection.execute(
        request.update()
        .where(request.c.id == request_id)
        .values(
            service=ask.service,
            business_key=wish.business_key,
            input=wish.model_dump(mode="json", exclude_unset=True),
            requested_by=ask.requested_by,
            locale=ask.locale,
        )
    )
    connection.execute(
        case.update()
        .where(case.c.id == request_id)
        .values(service=ask.service, business_key=wish.business_key, updated_at=now)
    )
    _begin(connection, clock, request_id)
    return Filed(request_id)


def file_one(store: Any, clock: Clock, ask: Ask) -> Filed:
    """File in a transaction of its own; a racing twin loses and gets the winner's id."""
    try:
        with store.write() as connection:
            return file(connection, clock, ask)
    except IntegrityError:
        with store.write() as connection:
            return file(connection, clock, ask)


def open_holder(connection: Connection, service: str, business_key: str) -> str | None:
    """The open case for a wish."""
    query = sa.select(case.c.id).where(
        case.c.service == service, case.c.business_key == business_key, sa.text(OPEN_CASE)
    )
    return connection.execute(query).scalar()


def _enter(connection: Connection, clock: Clock, ask: Ask, business_key: str) -> str:
    now = clock.now()
    request_id = new_id("REQ", int(now.timestamp() * 1000))
    connection.execute(
        request.insert().values(
            id=request_id,
            service=ask.service,
            source=ask.source,
            source_ref=ask.source_ref,
            business_key=business_key,
            input=dict(ask.input),
            requested_by=ask.requested_by,
            locale=ask.locale,
            expected_plan=ask.expected_plan,
            created_at=as_text(now),
        )
    )
    connection.execute(
        case.insert().values(
            id=request_id,
            service=ask.service,
            business_key=business_key,
            state="accepted",
            created_at=as_text(now),
            updated_at=as_text(now),
        )
    )
    journal.append(
        connection,
        clock,
        "request.accepted",
        case_id=request_id,
        actor=ask.source,
        body={"service": ask.service, "ref": ask.source_ref},
    )
    return request_id


def _begin(connection: Connection, clock: Clock, request_id: str) -> None:
    outbox.wake_case(connection, clock, request_id, why="accepted")


def not_understood(problems: list[Problem]) -> Title:
    """Problems as one sentence for a ticket or a to-do; values stay out of it."""
    return Title(
        "；".join(f"{problem.field}：{problem.zh}" for problem in problems),
        "; ".join(f"{problem.field}: {problem.en}" for problem in problems),
    )
