"""Bytes to replies: every case is fed whole and byte by byte."""

from __future__ import annotations

import gzip

import pytest

from ocppgw.net.replies import ReplyParser
from ocppgw.net.settings import ClientLimits

LIMITS = ClientLimits(header_bytes=1024, body_bytes=2048)
OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n\r\n"
BOMB = gzip.compress(bytes(9999))
SIZES = pytest.mark.parametrize("size", [1, 7, 1_000_000])


def parsed(data: bytes, size: int) -> ReplyParser:
    parser = ReplyParser(LIMITS)
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    return parser


@pytest.mark.parametrize(
    ("data", "status", "body", "reusable"),
    [
        (OK + b"" + TWO + b"ok", 200, b"ok", True),
        (OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
        (OK + b"Connection: close\r\n" + TWO + b"ok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\n" + TWO + b"ok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + TWO + b"ok", 200, b"ok", True),
        (b"HTTP/1.1 200\r\n" + TWO + b"ok", 200, b"ok", True),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK
         + b"" + TWO + b"ok", 200, b"ok", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX-T: 1\r\n\r\n",
         200, b"ok", True),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"ok"))
         + gzip.compress(b"ok"), 200, b"ok", True),
        (OK + b"Content-Length: 2\r\n\r\nokHTTP", 200, b"ok", False),
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + TWO + b"ok", 200, b"ok", True),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", 500, b"no", True),
    ],
)  # fmt: skip
@SIZES
def test_replies(data: bytes, status: int, body: bytes, reusable: bool, size: int) -> None:
    parser = parsed(data, size)
    assert parser.problem is None
    assert parser.reply is not None
    assert (parser.reply.status, parser.reply.body) == (status, body)
    assert parser.reusable is reusable
    assert parser.started


@SIZES
def test_a_body_until_the_end(size: int) -> None:
    data = OK + b"Server: old\r\nserver: one\r\n\r\nok"
    assert parsed(data, size).reply is None
    parser = parsed(data, size)
    parser.end()
    assert parser.reply is not None
    assert parser.reply.body == b"ok"
    assert parser.reply.headers == {b"server": b"old, one"}
    assert not parser.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        OK + b"Content-Length: 3\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
    ],
)
@SIZES
def test_a_reply_that_ends_too_early_is_none(data: bytes, size: int) -> None:
    parser = parsed(data, size)
    parser.end()
    assert parser.reply is None
    assert parser.started is bool(data)


LONG = b"x" * 2000


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"hello\r\n\r\n", "not a reply in HTTP/1.1"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not a reply"),
        (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol"),
        (OK + b"X: " + LONG + b"\r\n\r\n", "headers are more than 1024 bytes"),
        (OK + b"X: " + LONG, "headers are more than 1024 bytes"),
        (OK + b"Content-Length: 2049\r\n\r\n" + bytes(2049), "larger than 2048 bytes"),
        (OK + b"Content-Encoding: br\r\n" + TWO + b"ok", "encoded as br"),
        (OK + b"Content-Encoding: gzip\r\n" + TWO + b"ok", "cannot be decompressed"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
         "larger than 2048 bytes"),
    ],
)  # fmt: skip
@SIZES
def test_what_cannot_be_taken(data: bytes, problem: str, size: int) -> None:
    parser = parsed(data, size)
    assert parser.reply is None
    assert problem in str(parser.problem)
    assert not parser.reusable
    parser.end()
    assert parser.reply is None


def test_one_after_the_other() -> None:
    parser = ReplyParser(LIMITS)
    for body in (b"one", b"two"):
        parser.expect()
        assert not parser.started
        parser.feed(OK + b"Content-Length: 3\r\n\r\n" + body)
        assert parser.reply is not None
        assert parser.reply.body == body
