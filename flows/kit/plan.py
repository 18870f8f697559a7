"""The plan: the effects a case would cause, each with its difference; its hash; what it permits.

`apply` may do what the plan shows and nothing else: values the plan marks `after(…)` are filled in,
a record that meanwhile became right is `already`, anything else is outside the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from connectors.kit.resource import Title, Wanted
from flows.kit.difference import FieldDifference
from flows.kit.journal import canonical
from flows.kit.later import shown

ACTIONS: dict[str, Title] = {
    "create": Title("新建", "create"),
    "change": Title("修改", "change"),
    "already": Title("已符合", "already so"),
    "send": Title("发送", "send"),
    "unseen": Title("系统暂不可达，待查", "system not reachable, to be looked at"),
    "ask": Title("需要人工决定", "a person must decide"),
}


@dataclass(frozen=True)
class PlannedEffect:
    """One line of a plan. `fields` hold clear values: they stay in the store."""

    key: str
    resource: str
    title_zh: str
    title_en: str
    record_key: str
    action: str
    reversibility: str
    fields: tuple[Mapping[str, Any], ...]
    held_until: str = ""

    def content(self) -> dict[str, Any]:
        """What the hash covers: no keys of ours, nothing that differs between a preview and the case."""
        return {
            "resource": self.resource,
            "record": self.record_key,
            "action": self.action,
            "held_until": self.held_until,
            "fields": [{name: line[name] for name in ("field", "before", "after")} for line in self.fields],
        }

    def as_json(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)


def planned(wanted: Wanted, key: str, action: str, lines: Sequence[FieldDifference], held_until: str) -> PlannedEffect:
    """One line of the plan from a computed difference."""
    fields = [
        {
            "field": line.field,
            "label_zh": line.label_zh,
            "label_en": line.label_en,
            "before": line.before,
            "after": shown(line.after),
            "sensitive": line.sensitive,
        }
        for line in lines
    ]
    title = wanted.type.title
    return PlannedEffect(
        key, wanted.type.name, title.zh, title.en, wanted.key, action, wanted.type.reversibility, tuple(fields), held_until
    )


def from_json(value: Mapping[str, Any]) -> PlannedEffect:
    """The inverse of `as_json`."""
    return PlannedEffect(**{**value, "fields": tuple(value["fields"])})


def hash_of(effects: Sequence[PlannedEffect]) -> str:
    """The plan's hash: the same effects with the same values, in the same order."""
    return hashlib.sha256(canonical([effect.content() for effect in effects]).encode()).hexdigest()


def first_change(old: Sequence[PlannedEffect], new: Sequence[PlannedEffect]) -> Title | None:
    """What differs between two plans, in one sentence without values; None when they are equal."""
    for then, now in zip(old, new, strict=False):
        if then.resource != now.resource or then.record_key != now.record_key:
            break
        if then.action != now.action:
            return Title(
                f"{now.title_zh}：原计划“{ACTIONS[then.action].zh}”，现在是“{ACTIONS[now.action].zh}”",
                f"{now.title_en}: the plan said {then.action!r}, it would now be {now.action!r}",
            )
        before = {line["field"]: line for line in then.fields}
        after = {line["field"]: line for line in now.fields}
        for name in [*before, *[name for name in after if name not in before]]:
            left, right = before.get(name), after.get(name)
            if left is None or right is None or (left["before"], left["after"]) != (right["before"], right["after"]):
                label = right or left or {}
                return Title(
                    f"{now.title_zh}：字段“{label['label_zh']}”已变化", f"{now.title_en}: field {name!r} has changed"
                )
        if then.held_until != now.held_until:
            return Title(f"{now.title_zh}：时间已变化", f"{now.title_en}: its moment has changed")
    if len(old) != len(new) or [e.resource for e in old] != [e.resource for e in new]:
        return Title("计划的步骤已变化", "the plan's steps have changed")
    return None


def outside(plan: PlannedEffect, action: str, lines: Sequence[FieldDifference]) -> str | None:
    """The field (or action) by which an intended act leaves the plan; None when the plan permits it."""
    if action == "already" or plan.action == "ask":
        return None
    if plan.action == "already" or (plan.action, action) == ("change", "create"):
        return lines[0].field if lines else action
    permitted = {line["field"]: line for line in plan.fields}
    for line in lines:
        allowed = permitted.get(line.field)
        if allowed is None:
            return line.field
        after = allowed["after"]
        filled_in = isinstance(after, str) and after.startswith("after(")
        if not filled_in and after != shown(line.after):
            return line.field
        if plan.action == "create" and action == "change":
            return line.field  # somebody made this record meanwhile, and made it differently
    return None
