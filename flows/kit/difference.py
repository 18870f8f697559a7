"""What differs between a record as wanted and as found, field by field; and how it may be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kit.resource import Wanted
from flows.kit.later import is_later, shown


@dataclass(frozen=True)
class FieldDifference:
    """One field: what is there, what should be."""

    field: str
    label_zh: str
    label_en: str
    before: Any
    after: Any
    on_conflict: str
    sensitive: bool

    def masked(self) -> dict[str, Any]:
        """For to-dos and pages: sensitive values keep their ends only."""
        return {
            "field": self.field,
            "label_zh": self.label_zh,
            "label_en": self.label_en,
            "found": mask(self.before) if self.sensitive else self.before,
            "wanted": mask(self.after) if self.sensitive else shown(self.after),
        }


def mask(value: Any) -> Any:
    """`320102199003078811` → `3201**********8811`; short values keep one character; None stays None."""
    if value is None or is_later(value):
        return shown(value)
    text = str(value)
    keep = 4 if len(text) >= 12 else 1
    return text[:keep] + "*" * max(len(text) - 2 * keep, 1) + (text[-keep:] if len(text) > 2 * keep else "")


def same(wanted: Any, found: Any) -> bool:
    """Equality as people mean it: NFC, no outer blanks, true booleans; never case or zero folding."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    left, right = ("" if value is None else str(value) for value in (wanted, found))
    return unicodedata.normalize("NFC", left).strip() == unicodedata.normalize("NFC", right).strip()


def differences(wanted: Wanted, found: Mapping[str, Any] | None, *, verify: bool = False) -> list[FieldDifference]:
    """Fields of `wanted` that `found` does not have so; with `found=None` every field, as for a creation.

    `verify=True` looks only at fields whose rule says so: the read-back. An unknown value never equals.
    """
    result = []
    for name, value in wanted.fields.items():
        rule = wanted.type.rule(name)
        if found is not None and verify and not rule.verify:
            continue
        if found is not None and not is_later(value) and same(value, found.get(name)):
            continue
        before = None if found is None else found.get(name)
        label = rule.label
        result.append(FieldDifference(name, label.zh, label.en, before, value, rule.on_conflict, rule.sensitive))
    return result
