"""Names that only one person may have: reserved in the store before any system is touched.

Three people called 张伟 in one minute get three logins, in the order in which they asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from connectors.kit.resource import Question, Title
from flows.kit.clock import Clock, as_text
from flows.kit.store import Store
from flows.kit.store.tables import reservation

MOST_CANDIDATES = 30


class NoNameLeft(Exception):
    """Every candidate is taken."""


@dataclass(frozen=True)
class Naming:
    """A wish for a unique name: who holds it, candidates best first, and where else to look for it."""

    space: str
    title: Title
    holder: str  # pseudonym of the person
    candidates: Iterable[str]
    taken: Callable[[list[str]], Question]  # which of these does the directory already know?


class Reservations:
    """Holds names in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def held(self, space: str, holder: str) -> str | None:
        """The name this holder has."""
        query = sa.select(reservation.c.name).where(reservation.c.space == space, reservation.c.holder == holder)
        with self.store.read() as connection:
            return connection.execute(query).scalar()

    def free(self, naming: Naming, taken: Iterable[str]) -> list[str]:
        """Candidates nobody holds, best first."""
        candidates = list(islice(naming.candidates, MOST_CANDIDATES))
        query = sa.select(reservation.c.name).where(
            reservation.c.space == naming.space, reservation.c.name.in_(candidates)
        )
        with self.store.read() as connection:
            gone = set(connection.execute(query).scalars()) | {name.lower() for name in taken}
        return [name for name in candidates if name.lower() not in gone]

    def reserve(self, naming: Naming, case_id: str, taken: Iterable[str]) -> str:
        """Take the best free name for ever; the same holder keeps his. Raises NoNameLeft."""
        taken = set(taken)
        for _ in range(MOST_CANDIDATES):
            if name := self.held(naming.space, naming.holder):
                return name
            names = self.free(naming, taken)
            if not names:
                raise NoNameLeft(naming.space)
            try:
                with self.store.write() as connection:
                    connection.execute(
                        reservation.insert().values(
                            space=naming.space,
                            name=names[0],
                            holder=naming.holder,
                            case_id=case_id,
                            at=as_text(self.clock.now()),
                        )
                    )
                return names[0]
            except IntegrityError:
                continue  # somebody was faster: look again
        raise NoNameLeft(naming.space)
