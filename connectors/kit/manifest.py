"""A system's manifest: who owns it, how it is reached, what can be ensured there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML


class Bilingual(BaseModel):
    """A name in both languages."""

    model_config = ConfigDict(extra="forbid")
    zh: str
    en: str


class Limits(BaseModel):
    """How many may act at once; screens allow one actor per account."""

    model_config = ConfigDict(extra="forbid")
    concurrent: int = Field(ge=1)


class ScreenTasks(BaseModel):
    """The two robot tasks of one resource: the look, and the act."""

    model_config = ConfigDict(extra="forbid")
    find: str
    act: str


class Manifest(BaseModel):
    """`manifest.yaml` of a connector or robot. Flat, closed: unknown keys are an error."""

    model_config = ConfigDict(extra="forbid")

    system: str
    name: Bilingual
    owner: str = Field(min_length=1)
    speaks: Literal["screen", "rest", "scim2", "smtp"]
    surface: Literal["browser", "form"] | None = None
    charset: str = "utf-8"
    limits: Limits
    secrets: list[str] = []
    data_class: Literal["personal", "internal", "public"]
    quality: Literal["bronze", "silver", "gold"]
    resources: dict[str, ScreenTasks] | list[str] = []
    questions: dict[str, str] | list[str] = []

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Load one file. Raises ValueError when the folder and the system differ, or a key is unknown."""
        manifest = cls.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
        if manifest.system != path.parent.name:
            raise ValueError(f"{path}: system {manifest.system!r} is not the folder's name {path.parent.name!r}")
        return manifest


def installed(folder: Path) -> dict[str, Manifest]:
    """Every system in a content folder, by name: each sub-folder with a manifest."""
    return {path.parent.name: Manifest.read(path) for path in sorted(folder.glob("*/manifest.yaml"))}
