"""Bringing one effect to an end, whatever happened to earlier attempts.

Look, act only on the difference, read back. A dead `started` is `unknown`, never "retry"; doubt is
settled by looking after the system's settling time, or by a person, never by repeating
(reliability.md §2).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.kit.errors import AlreadyThere, Misconfigured, Rejected, SystemFault, Unavailable, Uncertain
from connectors.kit.resource import Absent, CannotTell, Evidence, Found, Probe, Several, Title, Wanted, Workbench
from flows.kit.clock import as_moment, as_text
from flows.kit.difference import FieldDifference, differences
from flows.kit.journal import canonical
from flows.kit.later import Later, Record, waits_for
from flows.kit.ledger import Entry
from flows.kit.plan import PlannedEffect, outside
from flows.kit.todos import NewTodo
from flows.kit.wiring import Hub

PATIENCE = timedelta(seconds=8)  # a doubt that settles within this is waited for inside the run
BACK_OFF = (5, 15, 60, 300)  # seconds until a system that was not reachable is tried again


@dataclass(frozen=True)
class Settled:
    """How one effect stands after a run: its record (or what it still waits for) and a name for people."""

    name: str  # Created, Changed, Already, Sent, Waiting, Owed, Unknown, Needs person, Refused
    value: Record | Later
    reason: Title = Title("", "")


class EffectRun:
    """One run's work on one effect of one case."""

    def __init__(
        self, hub: Hub, wanted: Wanted, key: str, plan: PlannedEffect | None, say: Callable[[str], None]
    ) -> None:
        self.hub, self.wanted, self.key, self.plan, self.say = hub, wanted, key, plan, say
        self.ledger = hub.ledger
        self.entry: Entry = hub.ledger.entry(key)
        self.args_sha = hub.pseudonyms.of(canonical({"f": _texts(wanted.fields), "i": _texts(wanted.initially)}))

    async def settle(self) -> Settled:
        """Bring the effect as far as it can go now."""
        while True:
            state = self.entry.state
            step = {
                "planned": self._from_planned,
                "started": self._from_started,
                "unknown": self._from_unknown,
            }.get(state)
            result = self._told() if step is None else await step()
            if result is not None:
                return result

    # Already settled, or waiting for a person: only tell.
    def _told(self) -> Settled:
        entry = self.entry
        if entry.state in {"done", "already"}:
            if entry.args_sha and entry.args_sha != self.args_sha and entry.decision != "accept":
                return self._ask(
                    "key_reuse",
                    Title("同一步骤现在要求不同的内容", "the same step now asks for something else"),
                    ("accept", "replan"),
                )
            return Settled(entry.outcome_name or "Done", Record(entry.outcome or {}))
        name = {"needs_person": "Needs person", "refused": "Refused", "abandoned": "Abandoned"}.get(
            entry.state, entry.state.capitalize()
        )
        return Settled(name, self._later(), entry.reason)

    async def _from_planned(self) -> Settled | None:
        entry = self.entry
        unknown = waits_for(self.wanted.fields) + waits_for(self.wanted.identity)
        if unknown:
            return Settled("Waiting", self._later(), Title(f"等待 {unknown[0]}", f"waits for {unknown[0]}"))
        if entry.not_before and self.hub.clock.now() < as_moment(entry.not_before):
            return Settled("Owed", self._later(), entry.reason)
        try:
            probe = await self._look()
        except SystemFault as fault:
            return self._owed(fault)
        match probe:
            case Several():
                return self._several()
            case CannotTell():
                earlier = self.ledger.done_before(entry.resource, entry.record_key)
                if earlier is not None and earlier.key != self.key:
                    return self._already(dict(earlier.outcome or {}))
                return await self._act(None, "send", differences(self.wanted, None))
            case Absent():
                return await self._act(None, "create", differences(self.wanted, None))
            case Found(record=record):
                lines = differences(self.wanted, record)
                if not lines:
                    return self._already(dict(record))
                return await self._change(dict(record), lines)
        return None

    async def _change(self, record: dict[str, Any], lines: list[FieldDifference]) -> Settled | None:
        kept = {line.field for line in lines if line.on_conflict == "keep"}
        lines = [line for line in lines if line.field not in kept]
        if not lines:
            return self._already(record)
        if self.entry.decision != "write" and any(line.on_conflict == "ask" for line in lines):
            return self._differs(record, lines, after_write=self.entry.fence > 0)
        return await self._act(record, "change", lines)

    async def _act(self, before: dict[str, Any] | None, action: str, lines: list[FieldDifference]) -> Settled | None:
        strayed = outside(self.plan, action, lines) if self.plan and self.entry.decision != "write" else None
        if strayed is not None:
            label = self.wanted.type.rule(strayed).label
            return self._ask(
                "outside_plan",
                Title(
                    f"系统自计划以来已变化（字段：{label.zh}），这一步不在计划内",
                    f"the system has changed since the plan (field: {label.en}); this step is outside the plan",
                ),
                ("replan", "write", "accept", "abandon") if before is not None else ("replan", "write", "abandon"),
                lines,
                outcome=before,
            )
        self.entry = self.ledger.start(self.entry, self.args_sha, before)
        fence = self.entry.fence
        try:
            hint = await self._in_thread(
                lambda actor, work: actor.apply(self.wanted, before, self.entry.mark, work), "act", fence
            )
        except AlreadyThere:
            self.entry = self.ledger.move(self.key, "started", "unknown", fence=fence)
            return None
        except Rejected as fault:
            return self._refused(fault)
        except (Unavailable, Misconfigured) as fault:
            self.entry = self.ledger.move(
                self.key, "started", "planned", fence=fence, reason=Title(fault.zh, fault.en), body={"why": "not sent"}
            )
            return self._owed(fault)
        except Uncertain as fault:
            self.entry = self.ledger.move(
                self.key, "started", "unknown", fence=fence, reason=Title(fault.zh, fault.en)
            )
            return None
        proofs = self._keep(hint.evidence)
        if self.wanted.type.kind == "blind":
            return self._done("Sent", {**_plain(self.wanted.fields), **hint.outputs}, proofs)
        return await self._read_back("Created" if before is None else "Changed", proofs)

    async def _from_started(self) -> Settled | None:
        """Somebody began and did not end it. If he may still act, wait; if he is dead, it is unknown."""
        if self.entry.actor_lives():
            return Settled("In hand", self._later(), Title("另一运行正在处理", "another run is working on it"))
        self.entry = self.ledger.move(
            self.key,
            "started",
            "unknown",
            fence=self.entry.fence,
            reason=Title("执行者已停止，结果未知", "whoever did it has died; its result is unknown"),
        )
        return None

    async def _from_unknown(self) -> Settled | None:
        """Look, after the system can no longer be about to save; that alone settles a doubt."""
        entry = self.entry
        if not await self._quiet():
            return Settled("Unknown", self._later(), entry.reason)
        try:
            probe = await self._look()
            if isinstance(probe, Absent) and self.wanted.type.guards_access_or_money:
                await asyncio.sleep(self.wanted.type.settles_within.total_seconds())
                probe = await self._look()  # money and access: absent only after two negative looks
        except SystemFault as fault:
            return self._still_unknown(fault)
        match probe:
            case Absent():
                self.entry = self.ledger.move(
                    self.key,
                    "unknown",
                    "planned",
                    fence=entry.fence,
                    reason=Title("已证实未执行", "proven not done"),
                    body={"proof": "absent"},
                )
                return None
            case Found(record=record):
                lines = differences(self.wanted, record, verify=True)
                if lines and entry.before is not None and not _moved(entry.before, record, lines):
                    # A change that never arrived: the record still is exactly the before-image.
                    self.entry = self.ledger.move(self.key, "unknown", "planned", fence=entry.fence)
                    return None
                if lines:
                    return self._differs(dict(record), lines, after_write=True)
                return self._done("Found", dict(record), self._keep(probe.evidence))
            case Several():
                return self._several()
            case _:
                return self._ask(
                    "doubtful",
                    Title("无法自动查证是否已执行，请人工确认", "nobody can look whether this happened; please find out"),
                    ("accept", "write", "abandon"),
                )

    async def _quiet(self) -> bool:
        """Wait until the system has settled; False when that takes longer than a run should last."""
        if self.entry.last_send is None:
            return True
        ready = as_moment(self.entry.last_send) + self.wanted.type.settles_within
        left = ready - self.hub.clock.now()
        if left > PATIENCE:
            self.ledger.move(self.key, "unknown", "unknown", not_before=as_text(ready))
            return False
        if left > timedelta(0):
            await asyncio.sleep(left.total_seconds())
        return True

    async def _read_back(self, name: str, proofs: list[str]) -> Settled | None:
        """Proof: the record as the system now shows it, compared field by field."""
        deadline = self.hub.clock.now() + self.wanted.type.settles_within
        try:
            probe = await self._look()
            while isinstance(probe, Absent) and self.hub.clock.now() < deadline:
                await asyncio.sleep(0.5)
                probe = await self._look()
        except SystemFault as fault:
            self.entry = self.ledger.move(
                self.key, "started", "unknown", fence=self.entry.fence, reason=Title(fault.zh, fault.en)
            )
            return self._still_unknown(fault)
        if isinstance(probe, Found):
            lines = differences(self.wanted, probe.record, verify=True)
            if lines:
                return self._differs(dict(probe.record), lines, after_write=True)
            return self._done(name, dict(probe.record), proofs + self._keep(probe.evidence))
        if isinstance(probe, Several):
            return self._several()
        self.entry = self.ledger.move(self.key, "started", "unknown", fence=self.entry.fence)
        return None

    async def _look(self) -> Probe:
        probe: Probe = await self._in_thread(
            lambda actor, work: actor.probe(self.wanted, self.entry.mark, self.entry.before, work), "look", None
        )
        if isinstance(probe, Found | Absent | Several):
            self._keep(probe.evidence)
        return probe

    async def _in_thread(self, call: Callable[[Any, Workbench], Any], verb: str, fence: int | None) -> Any:
        actor = self.hub.actor(self.wanted.type)
        directory = run_directory(self.hub, self.entry.case_id, f"{self.wanted.type.name}-{verb}")
        acting = (lambda pgid: self.ledger.acting(self.key, fence, pgid)) if fence is not None else (lambda pgid: None)
        work = Workbench(directory, acting, self.say)
        return await asyncio.to_thread(call, actor, work)

    def _keep(self, items: tuple[Evidence, ...]) -> list[str]:
        return self.hub.evidence.keep(items, case_id=self.entry.case_id, effect_key=self.key)

    def _later(self) -> Later:
        return Later(self.wanted.type.name)

    def _already(self, record: dict[str, Any]) -> Settled:
        self.entry = self.ledger.move(
            self.key,
            "planned",
            "already",
            fence=self.entry.fence,
            outcome=record,
            outcome_name="Already",
            args_sha=self.args_sha,
            reason=Title("", ""),
        )
        return Settled("Already", Record(record))

    def _done(self, name: str, record: dict[str, Any], proofs: list[str]) -> Settled:
        with self.hub.store.write() as connection:
            self.entry = self.ledger.move(
                self.key,
                self.entry.state,
                "done",
                fence=self.entry.fence,
                connection=connection,
                outcome=record,
                outcome_name=name,
                actor_group=None,
                reason=Title("", ""),
                body={"outcome": name, "evidence": sorted(set(proofs)), "record": self.hub.pseudonyms.of(canonical(record))},
            )
            self.hub.todos.close_answered(connection, self.entry.case_id, self.key)
        return Settled(name, Record(record))

    def _owed(self, fault: SystemFault) -> Settled:
        """The system did not take it now: owed, with a moment; a broken account also calls its owner."""
        tries = min(self.entry.attempts, len(BACK_OFF) - 1)
        moment = self.hub.clock.now() + timedelta(seconds=BACK_OFF[tries])
        reason = Title(fault.zh, fault.en)
        self.entry = self.ledger.move(
            self.key, "planned", "planned", not_before=as_text(moment), reason=reason, attempts=self.entry.attempts + 1
        )
        if isinstance(fault, Misconfigured | Rejected):
            return self._ask("broken_system", reason, ("write", "abandon"))
        return Settled("Owed", self._later(), reason)

    def _still_unknown(self, fault: SystemFault) -> Settled:
        moment = self.hub.clock.now() + timedelta(seconds=BACK_OFF[1])
        self.ledger.move(self.key, "unknown", "unknown", not_before=as_text(moment))
        return Settled("Unknown", self._later(), Title(fault.zh, fault.en))

    def _refused(self, fault: Rejected) -> Settled:
        reason = Title(fault.zh, fault.en)
        self.entry = self.ledger.move(
            self.key, "started", "refused", fence=self.entry.fence, reason=reason, body={"field": fault.field}
        )
        fields = [line for line in differences(self.wanted, None) if line.field == fault.field]
        self._open("refused_data", reason, ("replan", "write", "abandon", "withdraw"), fields)
        return Settled("Refused", self._later(), reason)

    def _differs(self, record: dict[str, Any], lines: list[FieldDifference], *, after_write: bool) -> Settled:
        labels_zh = "、".join(line.label_zh for line in lines)
        labels_en = ", ".join(line.label_en for line in lines)
        reason = (
            Title(f"写入后读回不一致：{labels_zh}", f"what the system saved is not what was written: {labels_en}")
            if after_write
            else Title(f"系统中已有记录，但不一致：{labels_zh}", f"the system already holds this record with other values: {labels_en}")
        )
        return self._ask("differs", reason, ("write", "accept", "look_again", "abandon"), lines, outcome=record)

    def _several(self) -> Settled:
        reason = Title("系统中有多条相符的记录", "the system holds several records that answer the search")
        return self._ask("several", reason, ("look_again", "abandon"))

    def _ask(
        self,
        kind: str,
        reason: Title,
        options: tuple[str, ...],
        lines: list[FieldDifference] | None = None,
        *,
        outcome: Mapping[str, Any] | None = None,
    ) -> Settled:
        changes: dict[str, Any] = {} if outcome is None else {"outcome": dict(outcome)}
        if self.entry.state in {"planned", "started", "unknown"}:
            self.entry = self.ledger.move(
                self.key,
                self.entry.state,
                "needs_person",
                fence=self.entry.fence,
                reason=reason,
                body={"why": kind, "fields": [line.field for line in lines or ()]},
                decision="",
                **changes,
            )
        self._open(kind, reason, options, lines or [])
        return Settled("Needs person", self._later(), reason)

    def _open(self, kind: str, reason: Title, options: tuple[str, ...], lines: list[FieldDifference]) -> None:
        title = self.wanted.type.title
        named = Title(f"{title.zh}：{reason.zh}", f"{title.en}: {reason.en}")
        new = NewTodo(kind, named, options, effect_key=self.key, fields=[line.masked() for line in lines])
        self.hub.todos.open(self.entry.case_id, new)


def run_directory(hub: Hub, case_id: str, name: str) -> Any:
    """A fresh private directory for one run of an actor."""
    parent = hub.settings.runs / case_id
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = hub.clock.now().strftime("%H%M%S%f")
    directory = parent / f"{stamp}-{hashlib.sha256(name.encode()).hexdigest()[:4]}-{name}"
    directory.mkdir(mode=0o700)
    return directory


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not isinstance(value, Later)}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _moved(before: Mapping[str, Any], now: Mapping[str, Any], lines: list[FieldDifference]) -> bool:
    return any(str(before.get(line.field) or "") != str(now.get(line.field) or "") for line in lines)
