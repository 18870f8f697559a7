"""What can go wrong with a system, grouped by what we do about it.

    SystemFault
    ├── Unavailable     the call did not happen            → try again later
    ├── Rejected        the system said no to this data    → a person corrects the request
    │   └── AlreadyThere    … because the record exists    → look at `existing`
    ├── Misconfigured   credentials, permission, version   → stop this connector, call its owner
    └── Uncertain       nobody can know whether it happened → look before anything else

Vendor exceptions stop at the folder's door: a connector or robot raises only these.
"""

from __future__ import annotations

from collections.abc import Mapping


class SystemFault(Exception):
    """Base of everything a connector or robot raises on purpose.

    `zh` and `en` are sentences for people and hold no personal values; `detail` is for engineers
    and must hold no secret.
    """

    def __init__(self, system: str, *, zh: str, en: str, detail: str = "", field: str = "") -> None:
        super().__init__(f"{system}: {en}")
        self.system = system
        self.zh = zh
        self.en = en
        self.detail = detail
        self.field = field

    def sentence(self, language: str) -> str:
        """The sentence in `zh-CN` or `en`."""
        return self.zh if language.startswith("zh") else self.en


class Unavailable(SystemFault):
    """The call did not happen: nothing was changed, try again later."""


class Rejected(SystemFault):
    """The system said no to this data: a person corrects the request."""


class AlreadyThere(Rejected):
    """The system refused because the record exists; `existing` is what it said about it."""

    def __init__(
        self, system: str, *, zh: str, en: str, existing: Mapping[str, object] | None = None, detail: str = ""
    ) -> None:
        super().__init__(system, zh=zh, en=en, detail=detail)
        self.existing = dict(existing or {})


class Misconfigured(SystemFault):
    """Credentials, permission, version or page changed: stop, and call the system's owner."""


class Uncertain(SystemFault):
    """A write was sent and no trustworthy answer came back."""
