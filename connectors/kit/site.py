"""Where a system is in this environment: address, account, options, and its secrets by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.kit.secrets import Secret, SecretFolder


@dataclass(frozen=True)
class Site:
    """One system as one environment knows it."""

    system: str
    address: str
    account: str
    secrets: SecretFolder
    options: Mapping[str, Any] = field(default_factory=dict)

    def secret(self, what: str) -> Secret:
        """The secret `<system>/<what>`, for example `staffroll/password`."""
        return self.secrets.get(f"{self.system}/{what}")
