"""Keyed hashes: the same person gives the same code, and nobody can guess back.

A plain hash of an ID number is enumerable; HMAC with a key outside the store is not (domain.md §5.2).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from connectors.kit.errors import Misconfigured
from connectors.kit.secrets import SecretFolder

NAME = "hub/pseudonym"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I, L, O, U


class Pseudonyms:
    """Gives codes for values, with a key made on first use."""

    def __init__(self, folder: SecretFolder) -> None:
        try:
            self._key = folder.get(NAME).reveal().encode()
        except Misconfigured:
            if (folder.root / NAME).exists():
                raise
            folder.put(NAME, secrets.token_hex(32))
            self._key = folder.get(NAME).reveal().encode()

    def of(self, *parts: str) -> str:
        """32 hex digits for these parts."""
        text = "\x1f".join(parts).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]


def base32(number: int, length: int) -> str:
    """A number as `length` Crockford base 32 digits (its lowest 5 × length bits)."""
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(length)))


def mark_of(effect_key: str) -> str:
    """The short searchable code written into a target's memo field, for example `RH-7F3K2QX`."""
    return "RH-" + base32(int(hashlib.sha256(effect_key.encode()).hexdigest(), 16), 7)


def new_id(prefix: str, milliseconds: int) -> str:
    """A sortable id: `REQ-` + 9 digits of time + 6 of chance."""
    return f"{prefix}-{base32(milliseconds, 9)}{base32(secrets.randbits(30), 6)}"
