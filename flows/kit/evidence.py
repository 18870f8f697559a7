"""Evidence: bytes that prove a look or an act, kept by the hash of their content, owner-only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from connectors.kit.resource import Evidence
from flows.kit.clock import Clock, as_text
from flows.kit.store import Store
from flows.kit.store.tables import evidence


class EvidenceRoom:
    """Keeps evidence in files under one directory, with its index in the store."""

    def __init__(self, root: Path, store: Store, clock: Clock) -> None:
        self.root, self.store, self.clock = root, store, clock

    def keep(self, items: Iterable[Evidence], *, case_id: str, effect_key: str) -> list[str]:
        """Store items and return their hashes. The files are on disk before the index names them."""
        hashes = []
        for item in items:
            digest = hashlib.sha256(item.content).hexdigest()
            self._write(digest, item.content)
            values = {
                "sha256": digest,
                "effect_key": effect_key,
                "case_id": case_id,
                "kind": item.kind,
                "media_type": item.media_type,
                "caption": item.caption[:200],
                "sensitive": item.sensitive,
                "size": len(item.content),
                "at": as_text(self.clock.now()),
            }
            try:
                with self.store.write() as connection:
                    connection.execute(evidence.insert().values(**values))
            except IntegrityError:
                pass  # the same bytes for the same effect: already kept
            hashes.append(digest)
        return hashes

    def _write(self, digest: str, content: bytes) -> None:
        path = self.path(digest)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{digest}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)

    def path(self, digest: str) -> Path:
        """Where the bytes with this hash lie."""
        return self.root / digest[:2] / digest

    def of_case(self, case_id: str) -> list[sa.Row[tuple[object, ...]]]:
        """The index of a case's evidence, oldest first."""
        query = sa.select(evidence).where(evidence.c.case_id == case_id).order_by(evidence.c.at)
        with self.store.read() as connection:
            return list(connection.execute(query).all())
