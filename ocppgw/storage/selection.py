"""What ``Storage.find`` means, over documents in memory.

For back ends that keep them there, or whose server cannot select as it is asked to.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ocppgw.storage.base import ABSENT, Collection, Document
from ocppgw.storage.checks import bounds, declared, key_of, value_at
from ocppgw.storage.values import checked_value

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def selected(
    collection: Collection,
    documents: Iterable[Document],
    where: Mapping[str, Any] | None = None,
    *,
    order_by: str | None = None,
    descending: bool = False,
    limit: int | None = None,
    after: Document | None = None,
) -> list[Document]:
    """Those of a collection's documents, themselves and no copies, that ``find`` would give;
    ValueError for what it may not be asked."""
    tests = [_test(declared(collection, path), wanted) for path, wanted in (where or {}).items()]
    path = None if order_by is None else declared(collection, order_by)

    def place(document: Document) -> tuple[Any, ...]:
        key = tuple((isinstance(part, str), part) for part in collection.key(document))
        value = ABSENT if path is None else value_at(document, path)
        return ((0,) if value is ABSENT else (1, value)), key

    found = [document for document in documents if all(test(document) for test in tests)]
    if after is not None:
        key_of(collection, after)
        last, beyond = place(after), operator.lt if descending else operator.gt
        found = [document for document in found if beyond(place(document), last)]
    found.sort(key=place, reverse=descending)
    return found[:limit]


def _test(path: str, wanted: Any) -> Callable[[Document], bool]:
    """Whether a document is as one condition wants it."""
    if wanted is ABSENT:
        return lambda document: value_at(document, path) is ABSENT
    comparisons = [(_COMPARE[sign], checked_value(bound)) for sign, bound in bounds(wanted)]

    def test(document: Document) -> bool:
        value = value_at(document, path)
        return all(_kind(value) is _kind(b) and compare(value, b) for compare, b in comparisons)

    return test


def _kind(value: Any) -> type:
    """What kinds of value can be compared: numbers with each other, else like with like."""
    return float if isinstance(value, (bool, int, float)) else type(value)
