"""What may be stored, checked, and the text that the file back end keeps of it.

The text is JSON. A datetime becomes the string ``@2026-01-01T12:00:00.000Z``, and a
string that begins with ``@`` gets one more, so that both come back as they were and
keep their order: SQLite compares them as plain text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from ocppgw.storage.base import MAX_INTEGER, Document

# Firebase ends at 32 levels, and some are a back end's own.
DEEPEST = 24
_TAG = "@"
_WITH_FRACTION = len('"2026-01-01T12:00:00.000000Z"')

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])


class Unstorable(ValueError):
    """A value that no back end can keep; the message says where it stands and why."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'value'}: {self.why}"


def checked(document: Mapping[str, Any]) -> Document:
    """The document as it will be read back: a deep copy with lists for sequences and
    datetimes in UTC, cut to milliseconds. Unstorable (a ValueError) if it cannot be."""
    return _mapping(document, _PLAIN, DEEPEST)


def checked_value(value: Any) -> Any:
    """One value as :func:`checked` has it."""
    return _value(value, _PLAIN, DEEPEST)


def packed(document: Mapping[str, Any]) -> Document:
    """The document as JSON can hold it, with datetimes tagged; Unstorable as above."""
    return _mapping(document, _PACKING, DEEPEST)


def packed_value(value: Any) -> Any:
    """One value as :func:`packed` has it."""
    return _value(value, _PACKING, DEEPEST)


def encoded(packed_form: Any) -> bytes:
    """The JSON of a packed document or value."""
    return _encoder.encode(packed_form)


def document_of(text: str | bytes) -> Document:
    """The document that :func:`packed` and :func:`encoded` made this text of."""
    document: Document = _decoder.decode(text)
    if '"@' in text if isinstance(text, str) else b'"@' in text:
        _untag_within(document)
    return document


def in_milliseconds(moment: datetime) -> datetime:
    """The moment in UTC, finer digits cut off; Unstorable if it bears no time zone."""
    if moment.tzinfo is None:
        raise Unstorable("a datetime needs a time zone")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise Unstorable(f"{moment} is outside the years 1 to 9999 in UTC") from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def key_checked(key: tuple[Any, ...]) -> tuple[str | int, ...]:
    """The key, if strings and integers that can be stored make it; else Unstorable."""
    for part in key:
        if type(part) is str:
            _plain_text(part)
        elif type(part) is int:
            _integer(part)
        else:
            raise Unstorable(f"a key is made of strings and integers, not of {part!r}")
    return key


# The leaves

_Leaf: TypeAlias = Callable[[Any], Any]


def _plain_text(value: str) -> str:
    if "\0" in value:
        raise Unstorable("a string must not hold a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unstorable("a string must not hold half a surrogate pair") from None
    return value


def _packed_text(value: str) -> str:
    if value[:1] == _TAG:
        return _TAG + _plain_text(value)
    # The usual string is let through here, for this runs for each one of each commit.
    return value if value.isascii() and "\0" not in value else _plain_text(value)


def _packed_datetime(value: datetime) -> str:
    moment = value if value.tzinfo is UTC else in_milliseconds(value)
    # msgspec is thrice as fast as isoformat(); it leaves out a fraction of nothing.
    text = encoded(moment).decode()
    return f"{_TAG}{text[1:24]}Z" if len(text) == _WITH_FRACTION else f"{_TAG}{text[1:20]}.000Z"


def _integer(value: int) -> int:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise Unstorable(f"{value} is beyond 2^53")
    return value


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise Unstorable(f"{value} is no number that can be stored")
    return value


_PLAIN: dict[type, _Leaf] = {
    str: _plain_text,
    bool: bool,
    int: _integer,
    float: _float,
    datetime: in_milliseconds,
}
_PACKING: dict[type, _Leaf] = {**_PLAIN, str: _packed_text, datetime: _packed_datetime}


# The containers


# Names found good. There are few, but for a station that makes up its own.
_good_names: set[Any] = set()
_GOOD_NAMES_AT_MOST = 10_000


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise Unstorable(f"a field name is a string of at least one character, not {name!r}")
    if "." in name or name[0] == "$":
        raise Unstorable(f"a field name holds no dot and begins with no dollar sign: {name!r}")
    _plain_text(name)
    if len(_good_names) < _GOOD_NAMES_AT_MOST:
        _good_names.add(name)


def _mapping(value: Mapping[Any, Any], leaves: dict[type, _Leaf], depth: int) -> Document:
    result: Document = {}
    for name, item in value.items():
        if name not in _good_names:
            _check_name(name)
        leaf = leaves.get(type(item))
        try:
            result[name] = leaf(item) if leaf else _value(item, leaves, depth - 1)
        except Unstorable as error:
            error.path.insert(0, name)
            raise
    return result


def _value(value: Any, leaves: dict[type, _Leaf], depth: int) -> Any:
    leaf = leaves.get(type(value))
    if leaf is not None:
        return leaf(value)
    if not depth:
        raise Unstorable(f"it is nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        return _mapping(value, leaves, depth)
    if not isinstance(value, (list, tuple)):
        raise Unstorable(f"{type(value).__name__} cannot be stored")
    result = []
    for position, item in enumerate(value):
        try:
            result.append(_value(item, leaves, depth - 1))
        except Unstorable as error:
            error.path.insert(0, str(position))
            raise
    return result


def _untag(text: str) -> str | datetime:
    return text[1:] if text[1:2] == _TAG else datetime.fromisoformat(text[1:])


def _untag_within(container: dict[str, Any] | list[Any]) -> None:
    items = container.items() if isinstance(container, dict) else enumerate(container)
    for place, item in items:
        if type(item) is str:
            if item[:1] == _TAG:
                container[place] = _untag(item)  # type: ignore[index]  # place is of its kind
        elif type(item) is dict or type(item) is list:
            _untag_within(item)
