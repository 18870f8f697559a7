"""What a run shows in Prefect: a case card and a plan card. Field names, states, masked values, and a link.

Artifacts are readable by every operator, so nothing personal is in them; the case's page has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import acreate_markdown_artifact
from prefect.context import FlowRunContext

from flows.kit.cases import Cases
from flows.kit.difference import mask
from flows.kit.plan import ACTIONS, PlannedEffect
from flows.kit.wiring import Hub


async def _publish(key: str, markdown: str, description: str) -> None:
    if FlowRunContext.get() is not None:
        await acreate_markdown_artifact(key=key.lower(), markdown=markdown, description=description)


async def plan_card(hub: Hub, case_id: str, effects: Sequence[PlannedEffect]) -> None:
    """Publish the plan of a case."""
    lines = [
        f"# 计划 Plan · {case_id}",
        "",
        f"[打开业务单 Open the case]({hub.settings.page(case_id)})",
        "",
        "| 步骤 Step | 动作 Action | 字段 Fields | 可逆性 Reversibility |",
        "|---|---|---|---|",
    ]
    for effect in effects:
        fields = "; ".join(
            f"{line['label_zh']} {line['label_en']} = {_shown(line['after'])}" for line in effect.fields
        )
        action = ACTIONS[effect.action]
        held = f" ⏲ {effect.held_until[:16]}Z" if effect.held_until else ""
        lines.append(
            f"| {effect.title_zh} {effect.title_en} · {effect.resource} | {action.zh} {action.en}{held} "
            f"| {fields or '—'} | {effect.reversibility} |"
        )
    await _publish(f"plan-{case_id}", "\n".join(lines), "计划 Plan")


def _shown(value: object) -> str:
    """Every value masked; only what is not known yet, and switches, show as they are."""
    text = str(value)
    if text.startswith("after(") or isinstance(value, bool):
        return f"`{text}`"
    return str(mask(text)).replace("|", "\\|").replace("\n", " ")[:24]


async def case_card(hub: Hub, case_id: str) -> None:
    """Publish how a case stands."""
    row = Cases(hub.store, hub.clock).get(case_id)
    lines = [
        f"# {case_id} · {row.state}",
        "",
        f"{row.reason.zh} {row.reason.en}".strip(),
        "",
        f"[打开业务单 Open the case]({hub.settings.page(case_id)})",
        "",
        "| 步骤 Step | 状态 State | 结果 Outcome |",
        "|---|---|---|",
    ]
    lines += [f"| {e.resource} | {e.state} | {e.outcome_name or e.reason.en or '—'} |" for e in hub.ledger.of_case(case_id)]
    todos = hub.todos.open_ones(case_id)
    if todos:
        lines += ["", "**等待人工 Waits for a person**", ""]
        lines += [f"- `{todo.id}` → {todo.assignee}: {todo.reason_zh} / {todo.reason_en}" for todo in todos]
    await _publish(f"case-{case_id}", "\n".join(lines), "业务单 Case")
