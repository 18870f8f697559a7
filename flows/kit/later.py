"""`Later`: a value that is not known yet, because the system allots it when we act.

A `Later` may be passed on into other wanted records; it shows in the plan, and in its hash, as
`after(staffroll.employee).worker_no`. Deciding anything on one is a mistake, so it raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn


class BranchOnLater(Exception):
    """The process tried to decide on a value that is not known yet."""


class Later:
    """A record, or one field of it, that will be known after another effect is done."""

    __slots__ = ("_field", "_source")

    is_later = True  # how the mappings, which import nothing of ours, recognise one

    def __init__(self, source: str, field: str = "") -> None:
        self._source = source
        self._field = field

    def __getattr__(self, name: str) -> Later:
        if name.startswith("_"):
            raise AttributeError(name)
        return Later(self._source, f"{self._field}.{name}" if self._field else name)

    __getitem__ = __getattr__

    def __str__(self) -> str:
        return f"after({self._source}).{self._field}" if self._field else f"after({self._source})"

    __repr__ = __str__

    def _refuse(self, *_: object) -> NoReturn:
        raise BranchOnLater(f"{self} is not known yet; pass it on, or wait for it, but do not decide on it")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __len__ = __iter__ = _refuse  # type: ignore[assignment]
    __hash__ = object.__hash__


class Record(dict[str, Any]):
    """A record as a system holds it, read by attribute: `record.worker_no`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def is_later(value: object) -> bool:
    """Whether a value is still unknown (without deciding on it)."""
    return isinstance(value, Later)


def waits_for(values: Mapping[str, Any]) -> list[str]:
    """The unknown values of a mapping, as they show in a plan."""
    return [str(value) for value in values.values() if isinstance(value, Later)]


def shown(value: Any) -> Any:
    """A value as plans and hashes hold it."""
    return str(value) if isinstance(value, Later) else value
