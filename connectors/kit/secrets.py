"""Secrets by name: manifests say names, a directory outside the repository holds values.

One file per secret, for example `staffroll/password`, readable by its owner only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from connectors.kit.errors import Misconfigured


class Secret:
    """A value that does not print, format, compare by repr, or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value; call it only where it leaves for the system it belongs to."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("secrets are not pickled")


class SecretFolder:
    """Reads secrets from files under one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, name: str) -> Secret:
        """The secret called `name` (`system/what`). Raises Misconfigured when missing or readable by others."""
        path = self.root / name
        system = name.split("/", 1)[0]
        try:
            mode = path.stat().st_mode
            if mode & (stat.S_IRGRP | stat.S_IROTH):
                raise Misconfigured(
                    system,
                    zh=f"密钥文件 {name} 对他人可读；请执行 chmod 600",
                    en=f"the secret file {name} is readable by others; run chmod 600 on it",
                )
            return Secret(path.read_text(encoding="utf-8").rstrip("\n"))
        except FileNotFoundError:
            raise Misconfigured(
                system, zh=f"缺少密钥 {name}", en=f"the secret {name} is missing from the secrets directory"
            ) from None

    def put(self, name: str, value: str) -> None:
        """Write a secret with owner-only permission."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value)
