"""What requests and replies share about headers."""

from __future__ import annotations

from collections.abc import Sequence


def merged(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by (lower-case) name; the values of a repeated one joined by commas."""
    headers = dict(pairs)
    if len(headers) != len(pairs):
        headers = {}
        for name, value in pairs:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def line(name: bytes, value: bytes) -> bytes:
    """A header line. ValueError for a line break, with which a value could add headers."""
    whole = b"%b: %b\r\n" % (name, value)
    if whole.count(b"\n") != 1 or whole.count(b"\r") != 1:
        raise ValueError(f"a line break in the header {name!r}: {value!r}")
    return whole
