"""A service request: one accepted ask. Each service derives its own, which is also its form."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Mode(StrEnum):
    """How far a service may go by itself."""

    SHADOW = "shadow"  # plans only
    ON = "on"


class ServiceRequest(BaseModel):
    """Base of every service's request: frozen, closed, with an identity that comes from the business."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    service: ClassVar[str]

    @property
    def business_key(self) -> str:
        """What makes two requests the same wish, for example the offer number."""
        raise NotImplementedError
