"""Who acts, so that a later run can prove that he is dead: pid, start time, boot id, process group.

A pid alone is reused; pid with its start time (clock ticks since boot, /proc/PID/stat field 22)
within one boot id names one process for ever.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


def boot_id() -> str:
    """This boot of this machine; `HUB_BOOT_ID_FILE` stands in for a reboot in tests."""
    path = os.environ.get("HUB_BOOT_ID_FILE", "/proc/sys/kernel/random/boot_id")
    return Path(path).read_text(encoding="ascii").strip()


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on (the name may hold spaces), None when gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def started_at(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; None when it is gone or a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return int(fields[19])


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one machine."""

    boot: str
    pid: int
    start: int

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        start = started_at(pid)
        assert start is not None
        return cls(boot_id(), pid, start)

    def alive(self) -> bool:
        """False only when proven: another boot, or nobody with this pid and start time."""
        return self.boot == boot_id() and started_at(self.pid) == self.start

    def __str__(self) -> str:
        return f"{self.boot}:{self.pid}:{self.start}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The inverse of str()."""
        boot, pid, start = text.split(":")
        return cls(boot, int(pid), int(start))


def group_members(pgid: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in "ZX" and int(fields[2]) == pgid:
            members.append(int(entry))
    return members


def kill_group(pgid: int, *, grace: float = 10.0) -> None:
    """SIGTERM, wait up to `grace` seconds, then SIGKILL, until nobody of the group lives."""
    for signum, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(pgid, signum)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not group_members(pgid):
                return
            time.sleep(0.05)
