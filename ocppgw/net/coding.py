"""Content codings: gzip and deflate, both ways, within a cap (OCPP 1.5 ch. 8, OCPP-S 6.1)."""

from __future__ import annotations

import functools
import zlib

GZIP = b"gzip"
DEFLATE = b"deflate"
ACCEPTED = b"gzip, deflate"

_ALIASES = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": DEFLATE, b"x-deflate": DEFLATE}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 64  # each costs a copy of what follows it
_LEVEL = 4  # above it, SOAP gets hardly smaller but costs twice the time


class UnknownCoding(Exception):
    """The Content-Encoding is none that we can read."""


class TooLarge(Exception):
    """The body is larger than the cap, or would be once decompressed."""


class BrokenCoding(Exception):
    """The body is not what its Content-Encoding says."""


@functools.lru_cache(maxsize=64)
def coding_named(content_encoding: bytes) -> bytes | None:
    """GZIP or DEFLATE for the value of a Content-Encoding header, ``None`` for identity.

    Raises UnknownCoding, also for several codings on top of each other.
    """
    name = content_encoding.strip().lower()
    if name in (b"", b"identity"):
        return None
    try:
        return _ALIASES[name]
    except KeyError:
        raise UnknownCoding(name.decode("latin-1")) from None


def decompress(body: bytes, coding: bytes, cap: int) -> bytes:
    """The decompressed body; never holds more than ``cap`` bytes of it.

    Gzip bodies may have several members, and NUL padding at their end. "deflate" is
    read as zlib and, since half the world took it so, as the bare format.
    Raises TooLarge, BrokenCoding.
    """
    if coding == GZIP:
        return _members(body, cap)
    try:
        return _one(body, zlib.MAX_WBITS, cap)[0]
    except BrokenCoding:
        return _one(body, -zlib.MAX_WBITS, cap)[0]


def _members(body: bytes, cap: int) -> bytes:
    whole = b""
    for _ in range(_MOST_MEMBERS):
        member, rest = _one(body, _GZIP_WINDOW, cap - len(whole))
        whole += member
        body = rest.lstrip(b"\0")
        if not body:
            return whole
    raise BrokenCoding(f"the gzip body has more than {_MOST_MEMBERS} members")


def _one(body: bytes, window: int, cap: int) -> tuple[bytes, bytes]:
    decoder = zlib.decompressobj(window)
    try:
        whole = decoder.decompress(body, cap + 1)
    except zlib.error as error:
        raise BrokenCoding(f"the body cannot be decompressed: {error}") from error
    if len(whole) > cap:
        raise TooLarge
    if not decoder.eof:
        raise BrokenCoding("the compressed body ends too early")
    return whole, decoder.unused_data


@functools.lru_cache(maxsize=64)
def reply_coding(accept_encoding: bytes | None, request_coding: bytes | None) -> bytes | None:
    """The coding a large reply may have: one that the client accepts, or sent itself."""
    if accept_encoding is None:
        return request_coding
    refused: list[bytes] = []
    accepted: list[bytes] = []
    for part in accept_encoding.lower().split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        (refused if _zero(parameters) else accepted).append(_ALIASES.get(name, name))
    for coding in (GZIP, DEFLATE):
        if coding not in refused and (coding in accepted or b"*" in accepted):
            return coding
    return None


def _zero(parameters: list[bytes]) -> bool:
    """Whether a quality of 0 is among the parameters: "not this one"."""
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if key.strip() == b"q":
            return not value.strip().strip(b"0.")
    return False


def compress(body: bytes, coding: bytes) -> bytes:
    """The body in that coding."""
    window = _GZIP_WINDOW if coding == GZIP else zlib.MAX_WBITS
    encoder = zlib.compressobj(_LEVEL, zlib.DEFLATED, window)
    return encoder.compress(body) + encoder.flush()
