"""Bytes to requests: every case is fed whole and byte by byte."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocppgw.net.parsing import BODY, HEAD, IDLE, RequestParser, split_target
from ocppgw.net.settings import HttpLimits

LIMITS = HttpLimits(header_bytes=1024, header_count=10, body_bytes=2048)
HEAD_ONLY = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
SIZES = pytest.mark.parametrize("size", [1, 7, 1_000_000])


def parsed(data: bytes, size: int, limits: HttpLimits = LIMITS) -> RequestParser:
    parser = RequestParser(limits, "192.0.2.1")
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    return parser


def chunked(*chunks: bytes) -> bytes:
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\n\r\n"


@SIZES
def test_a_whole_request(size: int) -> None:
    parser = parsed(
        b"POST /Ocpp/Central%20System?token=a%20b HTTP/1.1\r\nHOST: a\r\nX-Two: 1\r\nx-two: 2\r\n"
        b"Content-Length: 5\r\n\r\nhello",
        size,
    )
    (incoming,) = parser.ready
    request = incoming.request
    assert request.method == "POST"
    assert request.target == "/Ocpp/Central%20System?token=a%20b"
    assert request.path == "/Ocpp/Central System"
    assert request.query == "token=a%20b"
    assert request.headers == {b"host": b"a", b"x-two": b"1, 2", b"content-length": b"5"}
    assert request.body == b"hello"
    assert request.remote_address == "192.0.2.1"
    assert incoming.keep_alive
    assert not incoming.http_10
    assert (parser.stage, parser.held, parser.problem) == (IDLE, 0, None)


@pytest.mark.parametrize(
    ("data", "keep_alive", "bodies"),
    [
        (HEAD_ONLY, True, [b""]),
        (HEAD_ONLY * 3, True, [b""] * 3),
        (b"\r\n\r\n" + HEAD_ONLY, True, [b""]),
        (b"GET / HTTP/1.1\r\n\r\n", True, [b""]),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False, [b""]),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + HEAD_ONLY, False, [b""]),
        (b"GET / HTTP/1.0\r\n\r\n", False, [b""]),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True, [b""]),
        (POST + b"Content-Length: 0\r\n\r\n", True, [b""]),
        (POST + b"Content-Length: 2\r\n\r\nhiPOST", True, [b"hi"]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"he", b"llo"), True, [b"hello"]),
        (POST + b"Transfer-Encoding: Chunked\r\n\r\n3;a=b\r\nhey\r\n0\r\nX-T: 1\r\n\r\n", True,
         [b"hey"]),
        (b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
         + chunked(b"hey"), False, [b"hey"]),
        (POST + b"Upgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", True, [b"hi"]),
        (POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
         b"Content-Length: 2\r\n\r\nhi" + HEAD_ONLY, True, [b"hi", b""]),
        (POST + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", False,
         [b"hi"]),
    ],
)  # fmt: skip
@SIZES
def test_accepted(data: bytes, keep_alive: bool, bodies: list[bytes], size: int) -> None:
    parser = parsed(data, size)
    assert parser.problem is None
    assert [each.request.body for each in parser.ready] == bodies
    assert {each.keep_alive for each in parser.ready} == {keep_alive}


LONG = b"x" * 2000
BOMB = gzip.compress(LONG * 2)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", 400),
        (b"GET / HTTP/3.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\n\r\n", 501),
        # request smuggling: where the body ends must have one answer
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: +1\r\n\r\na", 400),
        (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400),
        # limits
        (b"GET /" + LONG + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + LONG + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + LONG, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 11 + b"\r\n", 431),
        (POST + b"Content-Length: 2049\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(LONG, LONG), 413),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, 413),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 400),
        (POST + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", 415),
        (POST + b"Content-Encoding: gzip, gzip\r\nContent-Length: 5\r\n\r\nhello", 415),
        (POST + b"\r\nhello", 411),
        (POST + b"Expect: a-pony\r\nContent-Length: 5\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n", 400),
    ],
)  # fmt: skip
@SIZES
def test_turned_away(data: bytes, status: int, size: int) -> None:
    parser = parsed(data, size)
    assert parser.problem is not None
    assert parser.problem.status == status
    assert not parser.ready
    problem = parser.problem
    parser.feed(HEAD_ONLY)
    assert parser.problem is problem, "nothing is read after it"
    assert not parser.ready


@SIZES
def test_requests_before_a_bad_one_are_answered_first(size: int) -> None:
    parser = parsed(HEAD_ONLY + HEAD_ONLY + b"nonsense\r\n\r\n", size)
    assert len(parser.ready) == 2
    assert parser.problem is not None


def test_what_came_before_does_not_count_as_headers() -> None:
    parser = parsed(HEAD_ONLY * 100 + HEAD_ONLY[:-1], 1_000_000)
    assert len(parser.ready) == 100
    parser.feed(HEAD_ONLY[-1:])
    assert len(parser.ready) == 101
    assert parser.problem is None


@pytest.mark.parametrize("size", [900, 1100])
@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_headers_in_several_reads_are_counted_together(size: int, end: bytes) -> None:
    data = b"GET / HTTP/1.1\r\nX: " + b"x" * size
    parser = RequestParser(LIMITS, "192.0.2.1")
    parser.feed(HEAD_ONLY + data)
    assert len(parser.ready) == 1
    parser.feed(b"\r\nY: " + b"y" * size + end)
    parser.feed(b"y" * size)
    assert len(parser.ready) == 1
    assert parser.problem is not None
    assert parser.problem.status == 431


def test_a_refused_coding_is_told_what_would_do() -> None:
    parser = parsed(POST + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\n", 100)
    assert parser.problem is not None
    assert parser.problem.headers == ((b"Accept-Encoding", b"gzip, deflate"),)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_wrong_configurations_are_worth_a_log_line(data: bytes) -> None:
    parser = parsed(data, 100)
    assert parser.problem is not None
    assert parser.problem.notable


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b"hello")),
        (b"X-GZIP", gzip.compress(b"hel") + gzip.compress(b"lo")),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello")[2:-4]),
        (b"identity", b"hello"),
    ],
)
@SIZES
def test_compressed_bodies(coding: bytes, body: bytes, size: int) -> None:
    head = POST + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body))
    parser = parsed(head + body, size)
    (incoming,) = parser.ready
    assert incoming.request.body == b"hello"


def test_where_in_a_request_the_bytes_end() -> None:
    parser = RequestParser(LIMITS, "192.0.2.1")
    seen = []
    for part in (b"\r\n", b"POST /x HT", b"TP/1.1\r\nContent-Length: 4\r\n\r\n", b"abc", b"d"):
        parser.feed(part)
        seen.append((parser.stage, parser.held))
    assert seen == [(IDLE, 0), (HEAD, 0), (BODY, 0), (BODY, 3), (IDLE, 0)]


def test_a_client_that_waits_for_a_continue() -> None:
    head = POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"
    assert parsed(head, 1).wants_continue
    parser = parsed(head + b"hello", 1)
    assert not parser.wants_continue
    assert parser.ready[0].request.body == b"hello"


def test_http_10_knows_no_continue() -> None:
    parser = parsed(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 100)
    assert parser.problem is None
    assert not parser.wants_continue


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (b"/a/b", ("/a/b", "/a/b", "")),
        (b"/a%2Fb?c=%20", ("/a%2Fb?c=%20", "/a/b", "c=%20")),
        (b"http://host:9220/Ocpp/X?wsdl", ("http://host:9220/Ocpp/X?wsdl", "/Ocpp/X", "wsdl")),
        (b"http://host", ("http://host", "/", "")),
        (b"*", ("*", "*", "")),
        (b"/%ff", ("/%ff", "/\ufffd", "")),
    ],
)
def test_targets(url: bytes, expected: tuple[str, str, str]) -> None:
    assert split_target(url) == expected


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 400), st.booleans())
def test_any_bodies_arrive_as_they_were_sent(
    bodies: list[bytes], size: int, in_chunks: bool
) -> None:
    data = b""
    for body in bodies:
        if in_chunks:
            pieces = [body[start : start + 50] for start in range(0, len(body), 50)]
            data += POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*pieces)
        else:
            data += POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    parser = parsed(data, size)
    assert parser.problem is None
    assert [each.request.body for each in parser.ready] == bodies


@given(st.binary(max_size=400))
def test_no_input_raises(data: bytes) -> None:
    whole, slowly = parsed(data, 1000), parsed(data, 3)
    assert len(whole.ready) == len(slowly.ready)
    assert (whole.problem is None) == (slowly.problem is None)
