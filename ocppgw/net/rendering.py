"""Responses into bytes."""

from __future__ import annotations

import functools
import http
from email.utils import formatdate

from ocppgw.net import coding
from ocppgw.net.base import HttpResponse
from ocppgw.net.headers import line
from ocppgw.net.parsing import Incoming, Problem

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TEXT = b"text/plain; charset=utf-8"


def plain(status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> HttpResponse:
    """A short text for people."""
    body = text.encode() + b"\n"
    return HttpResponse(status=status, content_type=TEXT, headers=headers, body=body)


def answer(
    response: HttpResponse, incoming: Incoming, *, date: bytes, last: bool, compress_from: int
) -> bytes:
    """The bytes of a response to that request. ValueError for line breaks in a header."""
    body = response.body
    headers = response.headers
    if len(body) >= compress_from:
        asked = incoming.request.headers.get(b"accept-encoding")
        name = coding.reply_coding(asked, incoming.coding)
        if name is not None and not _has(headers, b"content-encoding"):
            body = coding.compress(body, name)
            headers = (*headers, (b"Content-Encoding", name), (b"Vary", b"Accept-Encoding"))
    if last:
        connection = b"Connection: close\r\n"
    else:
        connection = b"Connection: keep-alive\r\n" if incoming.http_10 else b""
    return _whole(
        response.status, response.content_type, headers, body, date, connection,
        head_only=incoming.request.method == "HEAD",
    )  # fmt: skip


def refusal(problem: Problem, *, date: bytes) -> bytes:
    """The bytes that turn a request away; they announce the end of the connection."""
    response = plain(problem.status, problem.text, problem.headers)
    return _whole(
        response.status, TEXT, response.headers, response.body, date, b"Connection: close\r\n",
        head_only=False,
    )  # fmt: skip


def _whole(
    status: int,
    content_type: bytes,
    headers: tuple[tuple[bytes, bytes], ...],
    body: bytes,
    date: bytes,
    connection: bytes,
    *,
    head_only: bool,
) -> bytes:
    head = _start(status, content_type if body else b"")
    extra = b"".join([line(name, value) for name, value in headers]) if headers else b""
    if status == http.HTTPStatus.NO_CONTENT or status == http.HTTPStatus.NOT_MODIFIED:
        return b"%bDate: %b\r\n%b%b\r\n" % (head, date, extra, connection)
    length = len(body)
    shown = b"" if head_only else body
    return b"%bDate: %b\r\n%bContent-Length: %d\r\n%b\r\n%b" % (
        head, date, extra, length, connection, shown,
    )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _start(status: int, content_type: bytes) -> bytes:
    try:
        reason = http.HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        reason = b"Status"
    first = b"HTTP/1.1 %d %b\r\n" % (status, reason)
    return first + line(b"Content-Type", content_type) if content_type else first


def _has(headers: tuple[tuple[bytes, bytes], ...], wanted: bytes) -> bool:
    return any(name.lower() == wanted for name, _ in headers)


@functools.lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """The Date header's value for a Unix time in whole seconds."""
    return formatdate(second, usegmt=True).encode("ascii")
