"""The store: inbox, requests, cases, ledger, journal, to-dos, outbox, evidence. The truth; Prefect is not."""

from flows.kit.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
