"""Transaction ids that every process computes alike and nobody can guess."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

import msgspec

from ocppgw.central.schema import SETTINGS
from ocppgw.storage.base import Conflict, Insert, Storage

_31_BITS = 0x7FFFFFFF
_SECRET = "installation"  # noqa: S105 (the name of a document)

_encode = msgspec.json.Encoder().encode


def digest(*parts: object, body: bytes = b"") -> str:
    """A key that is the same for the same parts (and body), and for no others."""
    state = blake2b(_encode(parts), digest_size=16)
    state.update(body)
    return state.hexdigest()


def transaction_id(secret: bytes, start_key: str, attempt: int) -> int:
    """31 bits of an HMAC over a start key; above 0 but for one case in 2^31."""
    mac = _keyed(secret).copy()
    mac.update(f"{start_key}/{attempt}".encode())
    return int.from_bytes(mac.digest()[:4], "big") & _31_BITS


@lru_cache(maxsize=8)
def _keyed(secret: bytes) -> hmac.HMAC:
    """Takes up the key once; it is a third of the whole HMAC."""
    return hmac.new(secret, digestmod="sha256")


async def installation_secret(
    storage: Storage, random: Callable[[int], bytes], commit_id: str
) -> bytes:
    """The secret of this installation, made at its first start and kept in its store."""
    document = await storage.get(SETTINGS, (_SECRET,))
    if document is None:
        document = {"name": _SECRET, "secret": random(32).hex()}
        try:
            await storage.commit(Insert(SETTINGS, document, commit_id))
        except Conflict as conflict:
            if conflict.current is None:
                raise
            document = conflict.current  # another process of ours was first
    return bytes.fromhex(document["secret"])
