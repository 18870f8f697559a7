"""Opening the store: durable settings on every connection, asserted, or no start at all.

SQLite runs in WAL with synchronous=FULL: with NORMAL, power cuts lost acknowledged commits in
193 of 200 simulated runs (reliability.md §0.3). Writes begin IMMEDIATE, so two writers wait for
each other instead of failing half-way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}


class StoreNotDurable(Exception):
    """The database would forget acknowledged commits; the hub does not start on it."""


def _prepare_sqlite(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None  # SQLAlchemy's begin event below opens every transaction
    cursor = dbapi.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    for name, wanted in PRAGMAS.items():
        cursor.execute(f"PRAGMA {name}={wanted}")
        actual = cursor.execute(f"PRAGMA {name}").fetchone()[0]
        if actual != wanted:
            raise StoreNotDurable(f"PRAGMA {name} is {actual!r}, must be {wanted!r}; use a local disk")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("hub_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _check_postgres(dbapi: Any, _record: Any) -> None:
    with dbapi.cursor() as cursor:
        for name in ("fsync", "synchronous_commit"):
            cursor.execute(f"SHOW {name}")
            if cursor.fetchone()[0] != "on":
                raise StoreNotDurable(f"PostgreSQL runs with {name} off; set {name} = on")
    dbapi.rollback()


class Store:
    """One database; `write()` is one durable transaction, `read()` a consistent look."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block has ended, or did not happen."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only look; it never blocks a writer."""
        with self.engine.connect().execution_options(hub_reading=True) as connection:
            yield connection

    @property
    def is_sqlite(self) -> bool:
        """True on the embedded store."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_store(url: str, *, migrate: bool = True) -> Store:
    """Open (and bring up to date) the store at `url`. Raises StoreNotDurable."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(str(parsed.database))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_CREAT, 0o600)
        os.close(handle)
        engine = sa.create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=5)
        sa.event.listen(engine, "connect", _check_postgres)
    store = Store(engine)
    if migrate:
        from flows.kit.store.migrate import bring_up_to_date

        bring_up_to_date(store)
    return store
