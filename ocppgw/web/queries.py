"""What follows the question mark of a request to the control API."""

from __future__ import annotations

import re
from datetime import timedelta

from twisted.web.http import Request as WebRequest

from ocppgw.web.answering import ApiError

MOST = 1000  # entries of a list
LONGEST_NAME = 100  # characters of who wants something

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?")


def text_of(request: WebRequest, name: str) -> str | None:
    """The last value of that name, ``None`` if there is none."""
    values = request.args.get(name.encode())
    return values[-1].decode("utf-8", "replace") if values else None


def by_of(request: WebRequest) -> str | None:
    """Who wants it, as far as that is said."""
    by = text_of(request, "by")
    return by and by[:LONGEST_NAME]


def flag_of(request: WebRequest, name: str) -> bool:
    """Whether it is set."""
    return text_of(request, name) in ("1", "true", "yes")


def limit_of(request: WebRequest) -> int:
    """How many entries are wanted, 100 if nothing is said."""
    text = text_of(request, "limit") or "100"
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ApiError(400, f"limit: expected a whole number from 1 to {MOST}, got {text}")
    return int(text)


def duration_of(request: WebRequest, name: str) -> timedelta | None:
    """A time such as ``90s``, ``1h30m`` or ``2d``, ``None`` if nothing is said."""
    text = text_of(request, name)
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise ApiError(400, f"{name}: expected a time such as 90s, 30m, 2h or 1d, got `{text}`")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
