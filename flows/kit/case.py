"""A case: one request being worked on, as the flow file sees it.

The same flow code plans and applies. It is entered from the top after a crash, a decision or a
moment; what is done returns its recorded outcome. A wait ends the run: the state is in the store.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect.states import Completed, Failed, State

from connectors.kit.errors import Misconfigured, SystemFault
from connectors.kit.resource import Absent, CannotTell, Found, Question, Several, Title, Wanted, Workbench
from flows.kit.cards import case_card, plan_card
from flows.kit.cases import CLOSED, CaseRow, Cases, StoredPlan
from flows.kit.clock import as_text
from flows.kit.difference import differences
from flows.kit.effects import EffectRun, Settled, run_directory
from flows.kit.later import Later, Record, waits_for
from flows.kit.ledger import SETTLED, RecordBusy, effect_key
from flows.kit.plan import PlannedEffect, first_change, from_json, hash_of, planned
from flows.kit.request import Mode, ServiceRequest
from flows.kit.reservations import Naming, NoNameLeft, Reservations
from flows.kit.services import services
from flows.kit.stage import say, show
from flows.kit.todos import NewTodo
from flows.kit.wiring import Hub, this_hub

Report = State[Any]
RequestId = str


class Parked(Exception):
    """This run can go no further now; the case waits, for a moment, a system or a person."""

    def __init__(self, reason: Title, *, wake_at: datetime | None = None, todo: NewTodo | None = None) -> None:
        super().__init__(reason.en)
        self.reason, self.wake_at, self.todo = reason, wake_at, todo


class CaseRefused(Exception):
    """The request cannot be carried out as it is; the sentence says what to do."""

    def __init__(self, reason: Title) -> None:
        super().__init__(reason.en)
        self.reason = reason


@dataclass
class Preview:
    """Where a plan is drawn: effects, and the facts they come from."""

    request: ServiceRequest
    row: CaseRow
    binding: bool  # False: `./hub plan`, which leaves no trace
    entries: list[tuple[PlannedEffect, Wanted]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


_preview: ContextVar[Preview | None] = ContextVar("preview", default=None)
_hub: ContextVar[Hub | None] = ContextVar("hub", default=None)


def current_hub() -> Hub:
    """The hub of this context (a test's), else of this process."""
    return _hub.get() or this_hub()


@asynccontextmanager
async def using(hub: Hub) -> AsyncIterator[None]:
    """Work with another hub inside the block."""
    token = _hub.set(hub)
    try:
        yield
    finally:
        _hub.reset(token)


class Case:
    """What a flow file may do: ensure, read, reserve, wait, tell, answer."""

    def __init__(self, hub: Hub, row: CaseRow, request: Any, *, preview: Preview | None, plan: StoredPlan | None) -> None:
        self.hub, self.row, self.request = hub, row, request
        self._preview, self._plan = preview, plan
        self._held_until = ""
        self._positions: dict[str, int] = {}
        self._mode = Mode.ON
        self.outcome: tuple[str, Title] = ("running", Title("", ""))

    @property
    def planning(self) -> bool:
        """Whether this run only draws the plan."""
        return self._preview is not None

    async def ensure(self, wanted: Wanted) -> Any:
        """Make a record so, once. Returns the Record, or a Later while planning, owed or waiting."""
        key = effect_key(self.row.id, self.row.revision, wanted.type.name, wanted.key)
        if self._preview is not None:
            return await self._draw(self._preview, wanted, key)
        line = next((line for line in (self._plan.effects if self._plan else ()) if line.key == key), None)
        if line is None:
            raise Parked(
                Title(f"步骤 {wanted.type.name} 不在计划内", f"step {wanted.type.name} is not in the plan"),
                todo=NewTodo(
                    "outside_plan",
                    Title("流程要求了计划之外的一步", "the process asks for a step that the plan does not have"),
                    ("replan", "withdraw"),
                ),
            )
        run = EffectRun(self.hub, wanted, key, line, say)
        title = wanted.type.title
        named = f"{title.zh} {title.en} · {wanted.type.system}"
        settled: Settled = await show(named, run.settle, lambda result: (result.name, result.reason.en))
        return settled.value

    async def read(self, question: Question) -> Mapping[str, Any] | None:
        """Read a fact once per revision; parks while the system cannot be asked."""
        fact = f"{question.name}|{json.dumps(dict(question.identity), sort_keys=True, ensure_ascii=False)}"
        facts = self._preview.facts if self._preview else (self._plan.facts if self._plan else {})
        if fact in facts:
            answer: Mapping[str, Any] | None = facts[fact]
            return answer
        title = f"{question.title.zh} {question.title.en} · {question.system}"
        answer = await show(title, lambda: self._ask(question), lambda result: ("Read" if result else "Nothing there", ""))
        facts[fact] = None if answer is None else dict(answer)
        return facts[fact]  # type: ignore[no-any-return]

    async def _ask(self, question: Question) -> Mapping[str, Any] | None:
        reader = self.hub.reader(question)
        work = Workbench(run_directory(self.hub, self.row.id, f"{question.name}-read"), say=say)
        try:
            answer, proofs = await asyncio.to_thread(reader.read, question, work)
        except Misconfigured as fault:
            reason = Title(fault.zh, fault.en)
            raise Parked(reason, todo=NewTodo("broken_system", reason, ("replan", "withdraw"))) from fault
        except SystemFault as fault:
            later = datetime.fromtimestamp(self.hub.clock.now().timestamp() + 15, tz=self.hub.clock.now().tzinfo)
            raise Parked(Title(fault.zh, fault.en), wake_at=later) from fault
        if self._preview is None or self._preview.binding:
            self.hub.evidence.keep(proofs, case_id=self.row.id, effect_key="")
        return answer

    async def reserve(self, naming: Naming) -> str:
        """A unique name for a person, held from now on (a preview only looks which one it would be)."""
        reservations = Reservations(self.hub.store, self.hub.clock)
        if held := reservations.held(naming.space, naming.holder):
            return held
        candidates = reservations.free(naming, ())
        answer = await self._ask(naming.taken(candidates)) or {}
        taken = [str(name) for name in answer.get("taken", ())]
        try:
            if self._preview is not None and not self._preview.binding:
                return reservations.free(naming, taken)[0]
            return await asyncio.to_thread(reservations.reserve, naming, self.row.id, taken)
        except (NoNameLeft, IndexError):
            reason = Title(f"{naming.title.zh}：候选都已被占用", f"{naming.title.en}: every candidate is taken")
            raise Parked(reason, todo=NewTodo("no_name_left", reason, ("replan", "withdraw"))) from None

    async def until(self, moment: datetime) -> None:
        """Go on from here only after `moment`; the run ends, the dispatcher starts the next one."""
        if self.planning:
            self._held_until = as_text(moment)
        elif self.hub.clock.now() < moment:
            local = moment.strftime("%Y-%m-%d %H:%M")
            raise Parked(Title(f"等到 {local}", f"waits until {local}"), wake_at=moment)

    def refuse(self, reason: Title) -> None:
        """End the case: it cannot be carried out. Raises CaseRefused."""
        raise CaseRefused(reason)

    def wait_for_person(self, kind: str, reason: Title, options: tuple[str, ...], fields: Any = ()) -> None:
        """Park until a person has decided. Raises Parked."""
        raise Parked(reason, todo=NewTodo(kind, reason, options, fields=fields))

    def report(self) -> Report:
        """How the run ended, as Prefect's state: waiting runs are named as waiting, not failed."""
        state, reason = self.outcome
        if self.planning:
            return Completed(name="Planned")
        name = {"completed_with_exceptions": "Completed with exceptions"}.get(state, state.capitalize())
        if state == "refused":
            return Failed(name=name, message=reason.en)
        return Completed(name=name, message=reason.en or None)

    async def _draw(self, preview: Preview, wanted: Wanted, key: str) -> Record | Later:
        """One line of the plan: look, compare, write nothing."""
        if waits_for(wanted.identity):
            return self._drawn(preview, wanted, key, "create", None, Later(wanted.type.name))
        work = Workbench(run_directory(self.hub, self.row.id, f"{wanted.type.name}-plan"), say=say)
        actor = self.hub.actor(wanted.type)
        try:
            probe = await asyncio.to_thread(actor.probe, wanted, "", None, work)
        except SystemFault:
            return self._drawn(preview, wanted, key, "unseen", None, Later(wanted.type.name))
        match probe:
            case Found(record=record):
                lines = [line for line in differences(wanted, record) if line.on_conflict != "keep"]
                if not lines:
                    return self._drawn(preview, wanted, key, "already", record, Record(record))
                action = "ask" if any(line.on_conflict == "ask" for line in lines) else "change"
                return self._drawn(preview, wanted, key, action, record, Later(wanted.type.name))
            case Several():
                return self._drawn(preview, wanted, key, "ask", None, Later(wanted.type.name))
            case CannotTell():
                earlier = self.hub.ledger.done_before(wanted.type.name, wanted.key)
                if earlier is not None:
                    record = earlier.outcome or {}
                    return self._drawn(preview, wanted, key, "already", wanted.fields, Record(record))
                return self._drawn(preview, wanted, key, "send", None, Later(wanted.type.name))
            case Absent():
                return self._drawn(preview, wanted, key, "create", None, Later(wanted.type.name))

    def _drawn(
        self, preview: Preview, wanted: Wanted, key: str, action: str, record: Mapping[str, Any] | None, value: Any
    ) -> Any:
        lines = [] if action == "already" else differences(wanted, record)
        preview.entries.append((planned(wanted, key, action, lines, self._held_until), wanted))
        return value


async def draw_plan(hub: Hub, row: CaseRow, *, binding: bool) -> Preview:
    """Run a service's process in plan mode. Raises Parked, CaseRefused."""
    service = services()[row.service]
    preview = Preview(service.request_type.model_validate(row.input), row, binding)
    token = _preview.set(preview)
    try:
        async with using(hub):
            await service.process(row.id)
    finally:
        _preview.reset(token)
    return preview


@asynccontextmanager
async def open_case(request_id: RequestId, mode: Mode | None = None) -> AsyncIterator[Case]:
    """Take a case in hand: plan it first if it has no plan, then let the process run on it.

    Raises UnknownRequest for an id nobody accepted, CaseInHand while another run works on it.
    """
    hub = current_hub()
    preview = _preview.get()
    if preview is not None:
        yield Case(hub, preview.row, preview.request, preview=preview, plan=None)
        return
    cases = Cases(hub.store, hub.clock)
    row = await asyncio.to_thread(cases.take, request_id)
    request = services()[row.service].request_type.model_validate(row.input)
    case = Case(hub, row, request, preview=None, plan=cases.plan_of(row.id, row.revision))
    try:
        if row.state in CLOSED:
            case.outcome = (row.state, row.reason)
            case._plan = case._plan or StoredPlan("", (), {})
        elif case._plan is None:
            case._plan = await _plan_case(hub, cases, row)
        mode = mode or Mode(hub.settings.environment.modes.get(row.service, Mode.ON))
        if row.state not in CLOSED and mode is Mode.SHADOW:
            raise Parked(Title("影子模式：只计划，不执行", "shadow mode: planned, nothing done"))
        yield case
        if row.state not in CLOSED:
            case.outcome = _closing(hub, cases, row)
    except Parked as parked:
        if parked.todo is not None:
            hub.todos.open(row.id, parked.todo)
        wake = as_text(parked.wake_at) if parked.wake_at else _earliest(hub, row)
        cases.leave(row.id, "waiting", parked.reason, wake_at=wake)
        case.outcome = ("waiting", parked.reason)
    except CaseRefused as refused:
        cases.leave(row.id, "refused", refused.reason)
        case.outcome = ("refused", refused.reason)
    await case_card(hub, row.id)


async def _plan_case(hub: Hub, cases: Cases, row: CaseRow) -> StoredPlan:
    preview = await draw_plan(hub, row, binding=True)
    if row.expected_plan and hash_of([line for line, _ in preview.entries]) != row.expected_plan:
        kept = hub.settings.plans / f"{row.expected_plan}.json"
        old = [from_json(line) for line in json.loads(kept.read_text())["effects"]] if kept.exists() else []
        change = first_change(old, [line for line, _ in preview.entries]) or Title("计划已变化", "the plan has changed")
        raise CaseRefused(
            Title(f"计划已过期：{change.zh}。请重新计划并确认", f"stale plan: {change.en}. Plan again and confirm")
        )
    try:
        cases.keep_plan(row.id, row.revision, preview.entries, preview.facts)
    except RecordBusy as busy:
        title = busy.wanted.type.title
        reason = Title(
            f"{title.zh}：正由 {busy.case_id} 处理", f"{title.en}: already being done under {busy.case_id}"
        )
        raise Parked(reason, todo=NewTodo("record_busy", reason, ("replan", "withdraw"))) from busy
    await plan_card(hub, row.id, [line for line, _ in preview.entries])
    stored = cases.plan_of(row.id, row.revision)
    assert stored is not None
    return stored


def _closing(hub: Hub, cases: Cases, row: CaseRow) -> tuple[str, Title]:
    """The case's state after a run that reached its end: complete only when every effect is settled."""
    entries = [entry for entry in hub.ledger.of_case(row.id) if entry.state not in SETTLED]
    if entries:
        first = next((entry for entry in entries if entry.reason.en), entries[0])
        zh, en = first.reason.zh or "等待其它步骤", first.reason.en or "waits for other steps"
        reason = Title(f"{first.resource}：{zh}", f"{first.resource}: {en}")
        cases.leave(row.id, "waiting", reason, wake_at=_earliest(hub, row))
        return "waiting", reason
    given_up = any(e.state == "abandoned" for e in hub.ledger.of_case(row.id) if e.decision == "abandon")
    state = "completed_with_exceptions" if given_up else "completed"
    cases.leave(row.id, state, Title("", ""))
    return state, Title("", "")


def _earliest(hub: Hub, row: CaseRow) -> str | None:
    moments = [e.not_before for e in hub.ledger.of_case(row.id) if e.state in {"planned", "unknown"} and e.not_before]
    return min(moments, default=None)
