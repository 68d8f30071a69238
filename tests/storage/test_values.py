"""Values as the file keeps them: every storable document survives, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocppgw.storage import values
from ocppgw.storage.values import Unstorable, checked, document_of, encoded, packed, packed_value

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
names = texts.filter(lambda name: name != "" and "." not in name and name[0] != "$")
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(1, -1))]
)
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)  # noqa: DTZ001
scalars = (
    texts
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | moments
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(names, anything, max_size=4)


@given(documents)
def test_what_can_be_stored_comes_back_as_checked(document: dict[str, Any]) -> None:
    once = checked(document)
    text = encoded(packed(document))
    assert document_of(text) == once
    assert document_of(text.decode()) == once
    assert checked(once) == once


@given(texts, texts)
def test_packed_strings_keep_their_order(one: str, other: str) -> None:
    assert (one < other) == (packed_value(one) < packed_value(other))


@given(moments, moments)
def test_packed_datetimes_keep_their_order(one: datetime, other: datetime) -> None:
    first, second = checked({"a": one, "b": other}).values()
    assert (first < second) == (packed_value(one) < packed_value(other))
    assert (first == second) == (packed_value(one) == packed_value(other))


def test_a_packed_datetime_can_be_read() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert packed_value(noon) == "@2026-05-01T12:00:00.000Z"
    assert packed_value(noon + timedelta(microseconds=7999)) == "@2026-05-01T12:00:00.007Z"
    assert packed_value(noon.replace(year=1)) == "@0001-05-01T12:00:00.000Z"


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(Unstorable, match=r"^a\.1\.b: NoneType cannot be stored$"):
        checked({"a": [{"b": 1}, {"b": None}]})
    with pytest.raises(Unstorable, match="value: NoneType cannot be stored"):
        values.checked_value(None)


def test_made_up_names_do_not_fill_the_memory() -> None:
    for n in range(values._GOOD_NAMES_AT_MOST + 10):
        checked({f"made up {n}": 1})
    assert len(values._good_names) <= values._GOOD_NAMES_AT_MOST
