"""The services people can ask for: every folder in `flows/` but `kit`, by its `service.yaml`."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from flows.kit.request import ServiceRequest
from flows.kit.settings import ROOT


class Bilingual(BaseModel):
    """A name in both languages."""

    zh: str
    en: str


class ServiceManifest(BaseModel):
    """`service.yaml`: what the service is called, who owns it, what it touches."""

    model_config = ConfigDict(extra="forbid")
    service: str
    name: Bilingual
    about: Bilingual
    owner: str
    request: str  # class in request.py
    flow: str  # case flow in flow.py
    form: str  # form flow in flow.py
    systems: list[str]
    data_class: str
    ticket_fields: dict[str, str] = {}  # ticket field -> request field


@dataclass(frozen=True)
class Service:
    """A service with its code, imported when needed."""

    manifest: ServiceManifest

    def _load(self, module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"flows.{self.manifest.service}.{module}"), name)

    @property
    def request_type(self) -> type[ServiceRequest]:
        """The request's class."""
        found: type[ServiceRequest] = self._load("request", self.manifest.request)
        return found

    @property
    def flow(self) -> Any:
        """The Prefect flow that carries a case."""
        return self._load("flow", self.manifest.flow)

    @property
    def form(self) -> Any:
        """The Prefect flow behind the form."""
        return self._load("flow", self.manifest.form)

    @property
    def process(self) -> Callable[..., Awaitable[Any]]:
        """The case flow's plain function: what plans run, without Prefect."""
        process: Callable[..., Awaitable[Any]] = self.flow.fn
        return process


@cache
def services() -> dict[str, Service]:
    """Every service by name. Raises ValueError when a folder and its manifest disagree."""
    found = {}
    for path in sorted((ROOT / "flows").glob("*/service.yaml")):
        manifest = ServiceManifest.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
        if manifest.service != path.parent.name:
            raise ValueError(f"{path}: service {manifest.service!r} is not the folder's name")
        found[manifest.service] = Service(manifest)
    return found
