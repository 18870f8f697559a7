"""The composition root: the only place that knows concrete classes, besides tests."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from connectors.kit.manifest import installed
from connectors.kit.resource import Actor, Question, Reader, ResourceType
from connectors.kit.secrets import SecretFolder
from connectors.kit.site import Site
from flows.kit import settings as settings_module
from flows.kit.clock import Clock
from flows.kit.evidence import EvidenceRoom
from flows.kit.ledger import Ledger
from flows.kit.pseudonym import Pseudonyms
from flows.kit.settings import ROOT, Settings
from flows.kit.store import Store, open_store
from flows.kit.todos import Todos


@dataclass
class Hub:
    """What a case needs: store, ledger, to-dos, evidence, and who acts on which system."""

    settings: Settings
    store: Store
    clock: Clock
    actors: Mapping[str, Actor] = field(default_factory=dict)
    readers: Mapping[str, Reader] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger on this store."""
        return Ledger(self.store, self.clock)

    @cached_property
    def todos(self) -> Todos:
        """The to-dos on this store."""
        return Todos(self.store, self.clock)

    @cached_property
    def evidence(self) -> EvidenceRoom:
        """Where evidence is kept."""
        return EvidenceRoom(self.settings.evidence, self.store, self.clock)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """Keyed hashes of personal values."""
        return Pseudonyms(SecretFolder(self.settings.secrets))

    def actor(self, type_: ResourceType) -> Actor:
        """Who acts for a resource type. Raises LookupError when the environment has no such system."""
        try:
            return self.actors[type_.name]
        except KeyError:
            raise LookupError(f"nobody acts for {type_.name} in environment {self.settings.environment.name}") from None

    def reader(self, question: Question) -> Reader:
        """Who answers a question. Raises LookupError when nobody does."""
        try:
            return self.readers[question.name]
        except KeyError:
            raise LookupError(f"nobody answers {question.name}") from None


def site(settings: Settings, system: str) -> Site:
    """Where `system` is in this environment. Raises LookupError when it is not there."""
    known = settings.environment.systems.get(system)
    if known is None:
        raise LookupError(f"environment {settings.environment.name} has no system {system}")
    return Site(system, known.address, known.account, SecretFolder(settings.secrets), known.options)


def hands(settings: Settings, root: Path = ROOT) -> tuple[dict[str, Actor], dict[str, Reader]]:
    """Actors and readers of every system this environment has, found by their manifests."""
    actors: dict[str, Actor] = {}
    readers: dict[str, Reader] = {}
    present = settings.environment.systems
    for name in installed(root / "connectors"):
        if name in present:
            module: Any = importlib.import_module(f"connectors.{name}.actor")
            actors |= module.actors(site(settings, name))
            readers |= module.readers(site(settings, name))
    for name, manifest in installed(root / "robots").items():
        if name in present:
            from robots.kit.actor import RobotActor

            robot = RobotActor(manifest, site(settings, name), settings.locks)
            actors |= dict.fromkeys(manifest.resources, robot)
            readers |= dict.fromkeys(manifest.questions, robot)
    return actors, readers


def build(settings: Settings | None = None, clock: Clock | None = None) -> Hub:
    """A hub of this environment."""
    settings = settings or settings_module.load()
    actors, readers = hands(settings)
    return Hub(settings, open_store(settings.store_url), clock or Clock(), actors, readers)


@cache
def this_hub() -> Hub:
    """The hub of this process, built on first use."""
    return build()
