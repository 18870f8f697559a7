"""The resource contract: what can be ensured in a system, described without I/O, and who does it.

A `resources.py` builds `Wanted` descriptions; an `Actor` (connector or robot) fulfils them.
Plan and difference are computed once, in `flows.kit`, never by an actor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

Kind = Literal["native_key", "set_state", "marked_create", "counted_create", "blind"]
OnConflict = Literal["overwrite", "keep", "ask"]
Reversibility = Literal["reversible", "compensable", "irreversible"]


@dataclass(frozen=True)
class Title:
    """A name people read, in both languages."""

    zh: str
    en: str

    def __str__(self) -> str:
        return self.en


@dataclass(frozen=True)
class FieldRule:
    """How one compared field is treated when the system holds something else."""

    label: Title
    on_conflict: OnConflict = "ask"
    verify: bool = True
    sensitive: bool = False


@dataclass(frozen=True)
class ResourceType:
    """What a system promises about one kind of record."""

    name: str  # "staffroll.employee": system, dot, noun
    title: Title
    kind: Kind
    deadline: timedelta  # the acting process is killed after this
    settles_within: timedelta  # how long the system may still commit after we gave up
    reversibility: Reversibility = "compensable"
    guards_access_or_money: bool = False  # on doubt a person decides, two negative looks for money
    allots: tuple[str, ...] = ()  # fields only the system can fill: known after apply
    rules: Mapping[str, FieldRule] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """The folder that acts for this type."""
        return self.name.split(".", 1)[0]

    def rule(self, name: str) -> FieldRule:
        """The rule of a field; an undeclared field asks on conflict and is verified."""
        return self.rules.get(name) or FieldRule(Title(name, name))


@dataclass(frozen=True)
class Wanted:
    """One record as it should be. Values may be `Later` until what they come from is known.

    `key` names the record for the ledger (unique among open effects); `identity` is how a probe
    searches, never by something the target allots to this very record.
    """

    type: ResourceType
    key: str
    identity: Mapping[str, Any]
    fields: Mapping[str, Any]
    initially: Mapping[str, Any] = field(default_factory=dict)
    wish: str | None = None
    map_hash: str = ""


@dataclass(frozen=True)
class Question:
    """Something a flow reads from a system and never changes, for example an accepted offer."""

    name: str  # "staffroll.offer"
    title: Title
    identity: Mapping[str, Any]

    @property
    def system(self) -> str:
        """The folder that answers."""
        return self.name.split(".", 1)[0]


@dataclass(frozen=True)
class Evidence:
    """What proves a look or an act; stored by the hash of its content."""

    kind: Literal["read-back", "screenshot", "response", "page", "log"]
    media_type: str
    content: bytes
    caption: str = ""
    sensitive: bool = True


@dataclass(frozen=True)
class Found:
    """Exactly one record answers the search; `record` holds wanted and allotted fields."""

    record: Mapping[str, Any]
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Absent:
    """No record answers the search."""

    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Several:
    """More than one record answers: a person must look."""

    records: tuple[Mapping[str, Any], ...]
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class CannotTell:
    """The system cannot be searched (blind kinds)."""

    zh: str
    en: str


Probe = Found | Absent | Several | CannotTell


@dataclass(frozen=True)
class Hint:
    """What an act claims to have done. A hint, never proof: `done` needs a read-back."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Workbench:
    """Where an actor works: a private directory, and how it tells the ledger and people what it does."""

    directory: Path
    acting: Callable[[int], None] = lambda pgid: None  # called with the process group that will act
    say: Callable[[str], None] = lambda step: None  # step names for the log, never values


class Actor(Protocol):
    """Fulfils the contract for one resource type. Methods block and raise only `SystemFault`s."""

    def probe(self, wanted: Wanted, mark: str, before: Mapping[str, Any] | None, work: Workbench) -> Probe:
        """Look, read-only, by `wanted.identity` (and the mark where the kind needs it)."""
        ...

    def apply(self, wanted: Wanted, before: Mapping[str, Any] | None, mark: str, work: Workbench) -> Hint:
        """Make it so: the only method that may change the system. `before` is None to create."""
        ...


class Reader(Protocol):
    """Answers one kind of question, read-only."""

    def read(self, question: Question, work: Workbench) -> tuple[Mapping[str, Any] | None, tuple[Evidence, ...]]:
        """The answer, or None when the system knows nothing of it."""
        ...
