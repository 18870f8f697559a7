"""Settings: the only reader of the environment. An environment is a file; the same commit runs on all.

`HUB_HOME` is where this installation keeps its state, `HUB_ENVIRONMENT` names the environment's file,
`HUB_STORE_URL` moves the store from embedded SQLite to PostgreSQL.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


class SystemSite(BaseModel):
    """Where one system is, and as whom the hub acts there."""

    model_config = ConfigDict(extra="forbid")
    address: str
    account: str = ""
    options: dict[str, Any] = {}


class Source(BaseModel):
    """One place deliveries come from. `slug` is the secret part of an unsigned source's address."""

    model_config = ConfigDict(extra="forbid")
    dialect: Literal["standard", "helpdesk"]
    slug: str
    service: str = ""
    system: str = ""  # whose API the pointer is read back from
    keys: list[str] = []  # names of live signing secrets; several while a key is rotated
    allowed_requesters: list[str] = []


class Environment(BaseModel):
    """One environment's addresses, accounts and modes. No secrets."""

    model_config = ConfigDict(extra="forbid")
    name: str
    kind: Literal["dev", "test", "demo", "prod"]
    gateway: str = "http://127.0.0.1:4290"
    prefect: str = "http://127.0.0.1:4291"
    systems: dict[str, SystemSite] = {}
    sources: dict[str, Source] = {}
    modes: dict[str, Literal["shadow", "on"]] = {}
    drop_folder: str = ""
    sweep_seconds: float = Field(default=300, gt=0)
    mail_domain: str = "example.com"


class Settings(BaseModel):
    """Everything a process of the hub needs to know."""

    model_config = ConfigDict(frozen=True)
    home: Path
    store_url: str
    environment: Environment

    @property
    def secrets(self) -> Path:
        """Directory of secret files."""
        return self.home / "secrets"

    @property
    def evidence(self) -> Path:
        """Directory of evidence, by hash."""
        return self.home / "evidence"

    @property
    def runs(self) -> Path:
        """Run directories of robots."""
        return self.home / "runs"

    @property
    def locks(self) -> Path:
        """Locks that processes hold for life."""
        return self.home / "locks"

    @property
    def plans(self) -> Path:
        """Previews that `./hub plan` printed."""
        return self.home / "plans"

    def page(self, request_id: str) -> str:
        """The address of a case's page."""
        return f"{self.environment.gateway}/cases/{request_id}"


def read_environment(path: Path) -> Environment:
    """One environment file. Raises ValueError naming the key that is wrong."""
    return Environment.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


def load() -> Settings:
    """The settings of this process; creates the home directory, owner-only."""
    home = Path(os.environ.get("HUB_HOME", ROOT / ".hub" / "home")).absolute()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = Path(os.environ.get("HUB_ENVIRONMENT", home / "environment.yaml"))
    if not file.exists():
        file = ROOT / "deployments" / "environments" / "dev.yaml"
    return Settings(
        home=home,
        store_url=os.environ.get("HUB_STORE_URL", f"sqlite:///{home / 'hub.db'}"),
        environment=read_environment(file),
    )
