"""gzip and deflate, and what pretends to be."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocppgw.net import coding
from ocppgw.net.coding import DEFLATE, GZIP


@given(st.binary(max_size=5000), st.sampled_from([GZIP, DEFLATE]))
def test_round_trip(body: bytes, name: bytes) -> None:
    assert coding.decompress(coding.compress(body, name), name, len(body)) == body


@pytest.mark.parametrize("name", [GZIP, DEFLATE])
@pytest.mark.parametrize("size", [1001, 10_000, 50_000_000])
def test_a_bomb_is_not_unpacked(name: bytes, size: int) -> None:
    bomb = coding.compress(bytes(size), name)
    with pytest.raises(coding.TooLarge):
        coding.decompress(bomb, name, 1000)


def test_the_cap_is_for_all_members_together() -> None:
    with pytest.raises(coding.TooLarge):
        coding.decompress(gzip.compress(bytes(600)) * 2, GZIP, 1000)
    assert coding.decompress(gzip.compress(bytes(500)) * 2, GZIP, 1000) == bytes(1000)


def test_a_heap_of_empty_members_is_refused() -> None:
    with pytest.raises(coding.BrokenCoding, match="members"):
        coding.decompress(gzip.compress(b"") * 100, GZIP, 1000)


def test_padding_after_gzip_is_forgiven() -> None:
    assert coding.decompress(gzip.compress(b"hi") + b"\0" * 10, GZIP, 1000) == b"hi"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (gzip.compress(b"hello")[:-3], GZIP),
        (gzip.compress(b"hello")[:-6] + b"xxxxxx", GZIP),
        (gzip.compress(b"hello") + b"more", GZIP),
        (b"hello", GZIP),
        (b"hello", DEFLATE),
        (zlib.compress(b"hello" * 50)[:10], DEFLATE),
    ],
)
def test_what_is_broken_is_said_to_be(body: bytes, name: bytes) -> None:
    with pytest.raises(coding.BrokenCoding):
        coding.decompress(body, name, 1000)


@pytest.mark.parametrize(
    ("accept", "request_coding", "expected"),
    [
        (None, None, None),
        (None, DEFLATE, DEFLATE),
        (b"", GZIP, None),
        (b"identity", None, None),
        (b"gzip, deflate", None, GZIP),
        (b"deflate", None, DEFLATE),
        (b"GZIP;q=0.5", None, GZIP),
        (b"gzip;q=0, deflate", None, DEFLATE),
        (b"gzip; q=0.000", None, None),
        (b"*", None, GZIP),
        (b"*, gzip;q=0", None, DEFLATE),
        (b"br;level=3", GZIP, None),
        (b"x-gzip", None, GZIP),
    ],
)
def test_the_coding_of_a_reply(
    accept: bytes | None, request_coding: bytes | None, expected: bytes | None
) -> None:
    assert coding.reply_coding(accept, request_coding) == expected
