"""Single values: text of the wire to values of the model, and back.

Reading is forgiving as the quirks Q16 to Q18 ask: white space, ``12.0``, ``TRUE``, times
without a zone. Writing is strict. Times have the resolution of a millisecond both ways
(finer digits are cut) and are written ``YYYY-MM-DDTHH:MM:SSZ``, with ``.mmm`` only where
there are milliseconds, since many chargers choke on fractions.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
MAX_WARNINGS = 50

UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands in for the time of an event that must be taken in although its stamp cannot be read.

Always the same, so that a repeated message is seen to be the same; and as implausible as
the stamp of a clock that was never set, so that the time of receipt is used instead (Q17).
"""


class Unreadable(ValueError):
    """What came is not a valid message; the text names the field and what stood there."""


def warn(warnings: list[str], text: str) -> None:
    """Adds a warning, up to a cap that keeps a hostile message from filling the memory."""
    if len(warnings) < MAX_WARNINGS:
        warnings.append(text)


def quote(raw: str) -> str:
    """A received value as it may stand in a sentence: escaped, and not longer than a line."""
    return repr(raw if len(raw) <= 40 else raw[:40] + "…")


_NUMBER = re.compile(r"([+-]?[0-9]{1,15})(?:\.([0-9]*))?", re.ASCII)


def read_int(text: str, *, rounded: bool = False) -> int:
    """An xs:int, also as ``12.0``; ``rounded``: any decimal fraction, to the nearest.

    Raises :class:`Unreadable`.
    """
    if len(text) < 10 and text.isascii() and text.isdigit():
        return int(text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Unreadable(f"expected a whole number, got {quote(text)}")
    fraction = (match[2] or "").rstrip("0")
    if fraction and not rounded:
        raise Unreadable(f"expected a whole number, got {quote(text)}")
    value = int(match[1])
    if fraction[:1] >= "5":
        value += -1 if text.startswith("-") else 1
    if not INT_MIN <= value <= INT_MAX:
        raise Unreadable(f"expected a 32-bit number, got {quote(text)}")
    return value


def write_int(value: int) -> str:
    """Raises ValueError beyond 32 bits."""
    if not INT_MIN <= value <= INT_MAX:
        raise ValueError(f"expected a number from {INT_MIN} to {INT_MAX}, got {value}")
    return str(value)


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_boolean(text: str) -> bool:
    """``true``, ``1``, ``FALSE`` …; raises :class:`Unreadable`."""
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise Unreadable(f"expected true or false, got {quote(text)}")
    return value


def write_boolean(value: bool) -> str:
    return "true" if value else "false"


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[Tt ]"
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]*))?)?\s*"
    r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2})?)?",
    re.ASCII,
)


def read_time(text: str, warnings: list[str], where: str) -> datetime:
    """An xs:dateTime as UTC; without a zone it is taken to be UTC (Q17).

    Raises :class:`Unreadable` only if no date and time can be made out at all.
    """
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is None:
            warn(warnings, f"{where}: time without a zone, taken as UTC: {quote(text)}")
            value = value.replace(tzinfo=UTC)
        elif value.tzinfo is not UTC:
            value = value.astimezone(UTC)
    except (ValueError, OverflowError):
        value = _read_odd_time(text)
        warn(warnings, f"{where}: odd time {quote(text)}, read as {value:%Y-%m-%dT%H:%M:%SZ}")
    if rest := value.microsecond % 1000:
        return value.replace(microsecond=value.microsecond - rest)
    return value


def _read_odd_time(text: str) -> datetime:
    """What the standard library refuses: 24:00:00, leap seconds, short digits, trailing junk."""
    match = _TIME.match(text)
    if match is None:
        raise Unreadable(f"expected a time like 2024-05-31T12:00:00Z, got {quote(text)}")
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        value = datetime(int(year), int(month), int(day), 0, int(minute), tzinfo=UTC) + timedelta(
            hours=int(hour),
            seconds=min(int(second or 0), 59),
            milliseconds=int(((fraction or "") + "000")[:3]),
        )
        return value + offset if sign == "-" else value - offset
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"expected a time, got {quote(text)}") from error


_iso = msgspec.json.Encoder().encode


def write_time(value: datetime) -> str:
    """Raises ValueError for a time without a zone."""
    if value.tzinfo is not UTC:
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        value = value.astimezone(UTC)
    text = _iso(value).decode()  # in quotes; isoformat() takes thrice as long
    return f"{text[1:24]}Z" if value.microsecond >= 1000 else f"{text[1:20]}Z"


_ILLEGAL = [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
_ESCAPES: dict[int, str] = dict.fromkeys(_ILLEGAL, "\ufffd") | {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("\r"): "&#13;",  # a parser would make a line feed of it
}
_NEEDS_ESCAPE = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]').search


def escape(text: str) -> str:
    """Text for an element or attribute; characters that XML cannot hold become U+FFFD."""
    return text.translate(_ESCAPES) if _NEEDS_ESCAPE(text) else text
