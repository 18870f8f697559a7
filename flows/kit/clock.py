"""Time is injected: only this module asks the operating system what time it is."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta


class Clock:
    """The current moment, in UTC. `HUB_CLOCK_SHIFT` (seconds) moves it in tests and demos."""

    def __init__(self, shift: timedelta | None = None) -> None:
        self.shift = shift if shift is not None else timedelta(seconds=float(os.environ.get("HUB_CLOCK_SHIFT", "0")))

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.now(UTC) + self.shift


class FixedClock(Clock):
    """A clock that a test moves by hand."""

    def __init__(self, moment: datetime) -> None:
        super().__init__(timedelta(0))
        self.moment = moment

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment


def as_text(moment: datetime) -> str:
    """The store's form: ISO 8601 UTC, microseconds, `Z`; 27 characters, so texts sort as moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_moment(text: str) -> datetime:
    """The inverse of `as_text`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
