"""The values of documents: which may be stored, and how they compare."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ocppgw.storage import ABSENT, Document, Range

MAX_INTEGER = 2**53


def cleaned(value: Any) -> Any:
    """A copy of a value as it will come back; ValueError for what cannot be stored."""
    match value:
        case bool() | str() | float():
            return value
        case int() if abs(value) <= MAX_INTEGER:
            return value
        case datetime() if value.tzinfo is not None:
            value = value.astimezone(UTC)
            return value.replace(microsecond=value.microsecond // 1000 * 1000)
        case Mapping() if all(isinstance(name, str) for name in value):
            return {name: cleaned(item) for name, item in value.items()}
        case Sequence() if not isinstance(value, bytes):
            return [cleaned(item) for item in value]
    raise ValueError(f"a document cannot hold {value!r}")


def at(document: Document, path: str) -> Any:
    """The value at a dotted path, or ABSENT."""
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value


def rank(value: Any) -> tuple[int, Any]:
    """Something that sorts: absent first, and only like compared with like."""
    match value:
        case bool():
            return 1, value
        case int() | float():
            return 2, value
        case str():
            return 3, value
        case datetime():
            return 4, value
        case _:
            return 0, 0


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is as a condition of ``find`` or ``expect`` wants it."""
    if isinstance(wanted, Range):
        return all(
            rank(bound)[0] == rank(value)[0] and holds(rank(value), rank(bound))
            for bound, holds in (
                (wanted.above, tuple.__gt__),
                (wanted.at_least, tuple.__ge__),
                (wanted.below, tuple.__lt__),
                (wanted.at_most, tuple.__le__),
            )
            if bound is not None
        )
    if value is ABSENT or wanted is ABSENT:
        return value is wanted
    return bool(value == cleaned(wanted))
