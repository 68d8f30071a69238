"""Typed values from trees, and the sentences about what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from ocppgw.describe import described
from ocppgw.tree import ProblemsError, from_plain
from ocppgw.typed import read
from ocppgw.yaml_lines import parse


class Colour(Enum):
    RED = "Red"
    DARK_BLUE = "DarkBlue"


class Unknown(msgspec.Struct, frozen=True):
    raw: str


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: Annotated[int, Meta(ge=1, le=9, description="How big.")] = 3


class Tcp(msgspec.Struct, frozen=True, tag_field="kind", tag="tcp"):
    host: str


class Rtu(msgspec.Struct, frozen=True, tag_field="kind", tag="rtu"):
    device: str


class Open(msgspec.Struct, frozen=True):
    backend: str = "file"


class Whole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    part: Part | None = None
    parts: Annotated[tuple[Part, ...], Meta(max_length=2)] = ()
    by_name: dict[str, Part] = {}
    numbers: Mapping[str, int] = {}
    words: Sequence[str] = ()
    tags: frozenset[str] = frozenset()
    path: Path | None = None
    colour: Colour | Unknown | None = None
    mode: Literal["fast", "slow"] = "fast"
    at: datetime | None = None
    ratio: Annotated[float, Meta(gt=0)] = 1.0
    limit: Annotated[int | None, Meta(ge=5)] = None
    link: Tcp | Rtu | None = None
    either: str | list[str] | None = None
    store: Open = Open()
    anything: Any = None


def whole(text: str, base: Path = Path("/base")) -> Whole:
    root, problems = parse(text, Path("f.yaml"), {})
    assert problems == []
    return read(root, Whole, source="f.yaml", base=base)


def wrong(text: str) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        whole(text)
    return str(caught.value).splitlines()


def test_everything_comes_out_typed() -> None:
    assert whole(
        """
        part: {name: a}
        parts: [{name: b, size: 2}]
        by_name: {x: {name: c}}
        numbers: {one: 1}
        words: [a, 2]
        tags: [t, t]
        path: var/x.db
        colour: DarkBlue
        mode: slow
        at: 2026-01-31T12:00:00Z
        ratio: 2
        limit: 7
        link: {kind: rtu, device: /dev/ttyS0}
        either: [x]
        store: {backend: mine, further: keys}
        anything: {a: [1, null]}
        """
    ) == Whole(
        part=Part(name="a"),
        parts=(Part(name="b", size=2),),
        by_name={"x": Part(name="c")},
        numbers={"one": 1},
        words=("a", "2"),
        tags=frozenset({"t"}),
        path=Path("/base/var/x.db"),
        colour=Colour.DARK_BLUE,
        mode="slow",
        at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        ratio=2.0,
        limit=7,
        link=Rtu("/dev/ttyS0"),
        either=["x"],
        store=Open("mine"),
        anything={"a": [1, None]},
    )


def test_text_is_taken_as_it_was_written() -> None:
    assert whole("part: {name: 007}").part == Part(name="007")
    assert whole("either: on").either == "on"


def test_absolute_paths_and_nulls_stay() -> None:
    assert whole("path: /x/y").path == Path("/x/y")
    assert whole("path: ~\npart:\nstore:\n") == Whole()


WITHOUT_ZONE = (
    "f.yaml:1: at: expected a time with its zone (2026-01-31T12:00:00Z), got 2026-01-31 12:00:00"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colur: 1", "f.yaml:1: colur: unknown key; did you mean `colour`?"),
        (
            "part: {name: a, colour: 1}",
            "f.yaml:1: part.colour: unknown key; the keys here are name, size",
        ),
        ("part: {size: 1}", "f.yaml:1: part: the key `name` is missing"),
        ("part: [1]", "f.yaml:1: part: expected a mapping, got a list"),
        (
            "part: {name: a, size: 10}",
            "f.yaml:1: part.size: expected a whole number from 1 to 9, got 10",
        ),
        (
            "part: {name: a, size: two}",
            'f.yaml:1: part.size: expected a whole number from 1 to 9, got "two"',
        ),
        ("by_name: {x: {}}", "f.yaml:1: by_name.x: the key `name` is missing"),
        ("by_name: 3", "f.yaml:1: by_name: expected a mapping, got 3"),
        ("numbers: {a: b}", 'f.yaml:1: numbers.a: expected a whole number, got "b"'),
        ("words: a", 'f.yaml:1: words: expected a list of texts, got "a"'),
        (
            "parts: [{name: a}, {name: b}, {name: c}]",
            "f.yaml:1: parts: expected a list of mappings of at most 2 entries, got 3 of them",
        ),
        (
            "mode: slwo",
            'f.yaml:1: mode: expected one of fast, slow, got "slwo"; did you mean `slow`?',
        ),
        (
            "colour: red",
            'f.yaml:1: colour: expected one of Red, DarkBlue, got "red"; did you mean `Red`?',
        ),
        (
            "at: 2026-01-31 12:00:00",
            WITHOUT_ZONE,
        ),
        ("ratio: 0", "f.yaml:1: ratio: expected a number above 0, got 0"),
        ("limit: 1", "f.yaml:1: limit: expected a whole number of at least 5, got 1"),
        ("link: {kind: udp}", 'f.yaml:1: link.kind: expected one of tcp, rtu, got "udp"'),
        ("link: {host: h}", "f.yaml:1: link.kind: expected one of tcp, rtu, got nothing"),
        ("link: {kind: tcp}", "f.yaml:1: link: the key `host` is missing"),
        ("either: {a: b}", "f.yaml:1: either: expected text or a list of texts, got a mapping"),
        ("path: [a]", "f.yaml:1: path: expected a path, got a list"),
    ],
)
def test_each_mistake_is_one_sentence(text: str, problem: str) -> None:
    assert wrong(text) == [problem]


def test_all_mistakes_come_at_once_in_order() -> None:
    assert wrong("parts:\n  - {nmae: a}\n  - name: b\n    size: 0\nratio: x\n") == [
        "f.yaml:2: parts[0].nmae: unknown key; did you mean `name`?",
        "f.yaml:2: parts[0]: the key `name` is missing",
        "f.yaml:4: parts[1].size: expected a whole number from 1 to 9, got 0",
        'f.yaml:5: ratio: expected a number above 0, got "x"',
    ]


def test_a_check_of_the_struct_itself_is_told_where_it_stands() -> None:
    class Pair(msgspec.Struct):
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("`low` must not be above `high`")

    with pytest.raises(ProblemsError, match=r"x: pair.low: `low` must not be above `high`"):
        read(from_plain({"low": 2, "high": 1}), Pair, source="x", path="pair")


def test_lax_reading_takes_text_for_numbers_and_any_case() -> None:
    value = read(
        from_plain({"PART": {"name": "a", "size": "4"}, "byName": {}, "colour": "darkblue"}),
        Whole,
        source="x",
        lax=True,
    )

    assert value == Whole(part=Part(name="a", size=4), colour=Colour.DARK_BLUE)


def test_a_long_value_is_cut_and_a_secret_not_shown() -> None:
    assert wrong("mode: " + "x" * 200)[0].endswith('got "' + "x" * 57 + '..."')
    root, _ = parse("mode: ${S}", Path("f.yaml"), {"S": "hunter2"})
    with pytest.raises(ProblemsError) as caught:
        read(root, Whole, source="f.yaml")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (
            Annotated[str, Meta(min_length=1, max_length=20)],
            "text of at least 1 character of at most 20 characters",
        ),
        (Annotated[str, Meta(pattern="^/")], "text like ^/"),
        (Annotated[int, Meta(lt=5)], "a whole number below 5"),
        (Annotated[int, Meta(le=5)], "a whole number of at most 5"),
        (Literal["x"], "x"),
        (dict[str, int], "a mapping"),
        (bytes, "bytes"),
        (bool, "true or false"),
        (list[Colour], "a list of one of Red, DarkBlue"),
    ],
)
def test_types_are_described_in_words(type_: Any, words: str) -> None:
    assert described(type_) == words


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: Annotated[dict[str | int, str], Meta(min_length=1)]


def test_keys_may_be_numbers_as_well() -> None:
    root, problems = parse("values: {0: idle, 0x10: busy, A1: other}", Path("map.yaml"))

    assert problems == []
    assert read(root, Names, source="map.yaml").values == {0: "idle", 16: "busy", "A1": "other"}


def test_a_mapping_may_need_entries() -> None:
    root, _ = parse("values: {}", Path("map.yaml"))

    with pytest.raises(ProblemsError, match="at least 1 entry, got 0 of them"):
        read(root, Names, source="map.yaml")
