"""What a back end checks before it works: the same rules, and sentences, for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ocppgw.storage.base import (
    ABSENT,
    Change,
    Collection,
    Document,
    Insert,
    Key,
    Put,
    Range,
    Update,
)
from ocppgw.storage.values import key_checked

_GUARDS = frozenset({Insert, Update})


def guard_first(changes: Sequence[Change]) -> Sequence[Change]:
    """The changes in the order in which they are applied; ValueError for two guards."""
    guards = [change for change in changes if type(change) in _GUARDS]
    if not guards or (len(guards) == 1 and changes[0] is guards[0]):
        return changes
    if len(guards) > 1:
        raise ValueError("a commit holds at most one guard (Insert or Update)")
    return [guards[0], *(change for change in changes if change is not guards[0])]


def key_of(collection: Collection, document: Mapping[str, Any]) -> Key:
    """The checked key of a new document; ValueError if it lacks a key field."""
    try:
        return key_checked(collection.key(document))
    except KeyError as error:
        raise ValueError(f"{collection.name}: the key field {error} is missing") from None


def whole_key(collection: Collection, key: Key) -> Key:
    """The checked key; ValueError if it has more or fewer parts than declared."""
    if len(key) != len(collection.key_fields):
        raise ValueError(f"{collection.name}: a key is {collection.key_fields}, not {key!r}")
    return key_checked(key)


def merged_fields(change: Update | Put) -> Mapping[str, Any]:
    """The fields a change sets; ValueError if they would move the document to another key,
    or if one of them is to be removed as well."""
    collection, key, fields = change.collection, change.key, change.fields
    whole_key(collection, key)
    removed = change.remove if isinstance(change, Update) else ()
    for name, part in zip(collection.key_fields, key, strict=True):
        if (name in fields and fields[name] != part) or name in removed:
            raise ValueError(f"{collection.name}: a change must not touch the key field {name!r}")
    for name in removed:
        if name in fields:
            raise ValueError(f"{collection.name}: {name!r} cannot be both set and removed")
    return fields


def key_document(collection: Collection, key: Key) -> Document:
    """The document that holds nothing but its key."""
    return dict(zip(collection.key_fields, key, strict=True))


def declared(collection: Collection, path: str) -> str:
    """The path, if ``find`` may use it; else a ValueError that names those it may."""
    allowed = (*collection.key_fields, *collection.indexes)
    if path not in allowed:
        raise ValueError(f"{collection.name}: {path!r} is not indexed; declared are {allowed}")
    return path


def bounds(wanted: Any) -> list[tuple[str, Any]]:
    """A condition of ``where`` as comparisons (``=``, ``>``, ``>=``, ``<``, ``<=``), all of
    which hold; ValueError for a list or mapping, which cannot be compared with."""
    if isinstance(wanted, Range):
        given = [
            (">", wanted.above),
            (">=", wanted.at_least),
            ("<", wanted.below),
            ("<=", wanted.at_most),
        ]
        comparisons = [(sign, bound) for sign, bound in given if bound is not None]
    else:
        comparisons = [("=", wanted)]
    for _, bound in comparisons:
        if not isinstance(bound, (str, bool, int, float, datetime)):
            raise ValueError(f"find compares with single values, not with {bound!r}")
    return comparisons


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """What stands under a path such as ``"a.b"``, or :data:`ABSENT`."""
    found: Any = document
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return ABSENT
        found = found[name]
    return found
