"""Alembic, run from code: `open_store` brings a database to the newest revision, one process at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from flows.kit.store.engine import Store

MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _is_current(store: Store) -> bool:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with store.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head


def bring_up_to_date(store: Store) -> None:
    """Upgrade to head; several processes starting at once wait for the first one."""
    if _is_current(store):
        return
    if store.is_sqlite:
        database = Path(str(store.engine.url.database))
        with open(database.with_suffix(".migrating"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _upgrade(store)
    else:
        _upgrade(store)


def _upgrade(store: Store) -> None:
    config = _config()
    with store.engine.begin() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(72418)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
