"""Golden register images, written by hand: raw words and the values they mean."""

from __future__ import annotations

from typing import Any

import pytest

from ocppgw_modbus.codec import Nonsense, Unfit, decode, decode_each, encode
from ocppgw_modbus.mapfile import parse_map
from ocppgw_modbus.simulate.registers import Registers, places


def point(spec: str) -> Any:
    """The point of a one-register map."""
    bound = parse_map(f"device: one\nregisters:\n  x: {{addr: 7, {spec}}}\n", "one.yaml")
    return bound.point("x")


GOLDEN: list[tuple[str, list[int], Any]] = [
    ("type: u16", [0x1234], 4660),
    ("type: u16, bytes: little", [0x3412], 4660),
    ("type: u16, scale: 0.1", [2301], 230.1),
    ("type: u16, scale: 0.1, offset: -40", [652], 25.2),
    ("type: i16", [0xFFFE], -2),
    ("type: i16, scale: 0.01", [0xFF9C], -1),
    ("type: u32", [0x0001, 0x86A0], 100000),
    ("type: u32, order: lo", [0x86A0, 0x0001], 100000),
    ("type: u32, order: lo, bytes: little", [0xA086, 0x0100], 100000),
    ("type: i32", [0xFFFF, 0xFFFF], -1),
    ("type: i32, scale: 0.001", [0x0003, 0x8270], 230),
    ("type: u64", [0x0000, 0x0001, 0x0000, 0x0002], 4294967298),
    ("type: u64, order: lo", [0x0002, 0x0000, 0x0001, 0x0000], 4294967298),
    ("type: u64", [0x0020, 0x0000, 0x0000, 0x0001], 2**53 + 1),
    ("type: i64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFF6], -10),
    ("type: f32", [0x4148, 0x0000], 12.5),
    ("type: f32, order: lo", [0x0000, 0x4148], 12.5),
    ("type: f32, bytes: little", [0x4841, 0x0000], 12.5),
    ("type: f64", [0x4029, 0x0000, 0x0000, 0x0000], 12.5),
    ("type: f64, order: lo", [0x0000, 0x0000, 0x0000, 0x4029], 12.5),
    ("type: ascii, count: 4", [0x5048, 0x4F45, 0x0000, 0x0000], "PHOE"),
    ("type: ascii, count: 2, bytes: little", [0x4850, 0x454F], "PHOE"),
    ("type: ascii, count: 1", [0x4132], "A2"),
    ("type: ascii, count: 3, order: lo", [0x4142, 0x4344, 0x0000], "ABCD"),
    ("type: bytes, count: 2", [0x04A1, 0xB2C3], "04A1B2C3"),
    ("type: bits", [0b1010], 10),
    ("type: bits, count: 2", [0x0001, 0x0000], 65536),
    ("type: bool", [2], 1),
    ("type: bool, bit: 3", [0b1000], 1),
    ("type: bool, bit: 3", [0b0111], 0),
    ("type: bool, fc: 1", [1], 1),
    ("type: bool, fc: 2", [0], 0),
    ("type: u16, bit: 15", [0x8000], 1),
    ("type: u32, mask: 0x7F00, shift: 8", [0x0000, 0x84FF], 4),
    ("type: u16, values: {3: charging}", [3], 3),
    ("type: u16, no_value: [0xFFFF]", [0xFFFE], 65534),
]


@pytest.mark.parametrize(("spec", "words", "value"), GOLDEN)
def test_words_mean_this_value(spec: str, words: list[int], value: Any) -> None:
    decoded = decode(point(spec), words)
    assert decoded == value
    assert type(decoded) is type(value)


# Many words mean the value of these.
AMBIGUOUS = ("type: bool", "type: u32, mask: 0x7F00, shift: 8")
WRITABLE = [case for case in GOLDEN if case[0] not in AMBIGUOUS]


@pytest.mark.parametrize(("spec", "words", "value"), WRITABLE)
def test_a_value_becomes_these_words(spec: str, words: list[int], value: Any) -> None:
    if "bit: 3" in spec:
        assert encode(point(spec), value) == [value << 3]
    else:
        assert encode(point(spec), value) == words


@pytest.mark.parametrize(("spec", "words", "value"), GOLDEN)
def test_the_simulated_plc_agrees_with_the_golden_image(
    spec: str, words: list[int], value: Any
) -> None:
    place = point(spec)
    registers = Registers([place])
    registers.put(place, value)
    written = [registers.word(one) for one in places(place)]
    if "mask" in spec or "bit: 3" in spec or spec == "type: bool":
        assert decode(place, written) == value
    else:
        assert written == words
    for one, word in zip(places(place), words, strict=True):
        registers.write(one, word)
    expected = 2 if spec == "type: bool" else value
    assert registers.get(place) == pytest.approx(expected)


def test_phases_are_values_in_a_row() -> None:
    three = point("type: u16, phases: 3, scale: 0.1")
    assert decode_each(three, [2300, 2310, 2290]) == [230, 231, 229]


NONSENSE: list[tuple[str, list[int], str]] = [
    ("type: f32", [0x7FC0, 0x0000], "nan is no number"),
    ("type: f32", [0x7F80, 0x0000], "inf is no number"),
    ("type: f64", [0xFFF0, 0, 0, 0], "-inf is no number"),
    ("type: u16, no_value: [0xFFFF]", [0xFFFF], "65535 means no value"),
    ("type: i32, no_value: [-1]", [0xFFFF, 0xFFFF], "-1 means no value"),
    ("type: i16, no_value: [0x8000]", [0x8000], "-32768 means no value"),
    ("type: bytes, count: 2, no_value: ['00000000']", [0, 0], "means no value"),
    ("type: ascii, count: 1, no_value: ['--']", [0x2D2D], "means no value"),
    ("type: u16, max: 63", [64], "64 is above the most that makes sense, 63"),
    ("type: i16, min: -5", [0xFFFA], "-6 is below the least that makes sense, -5"),
    ("type: u16, values: {0: idle, 1: busy}", [2], "2 is none of its values: 0 (idle), 1 (busy)"),
    ("type: u16", [1, 2], "2 words came, 1 belong to it"),
]


@pytest.mark.parametrize(("spec", "words", "why"), NONSENSE)
def test_nonsense_is_named(spec: str, words: list[int], why: str) -> None:
    with pytest.raises(Nonsense) as caught:
        decode(point(spec), words)
    assert why in str(caught.value)


def test_all_ones_are_no_quantity_unless_the_map_says_so() -> None:
    plain, declared = point("type: u32"), point("type: u32, no_value: []")
    ones = [0xFFFF, 0xFFFF]
    assert decode(plain, ones) == 2**32 - 1
    with pytest.raises(Nonsense, match="all ones"):
        decode_each(plain, ones, measured=True)
    assert decode_each(declared, ones, measured=True) == [2**32 - 1]
    assert decode_each(point("type: i32"), ones, measured=True) == [-1]


UNFIT: list[tuple[str, Any, str]] = [
    ("type: u16", 65536, "65536 does not fit into u16"),
    ("type: u16", -1, "-1 does not fit into u16"),
    ("type: i16", 40000, "40000 does not fit into i16"),
    ("type: u16, max: 63", 64, "above its greatest value 63"),
    ("type: u16, min: 6", 5, "below its least value 6"),
    ("type: ascii, count: 2", "ABCDE", "longer than the 4 bytes"),
    ("type: ascii, count: 2", "Ä", "is not plain ASCII"),
    ("type: bytes, count: 2", "XY", "is not hexadecimal"),
    ("type: u16", "12", "is a text, the register is u16"),
    ("type: u32, mask: 0x7F00, shift: 8", 200, "does not fit into the bits 0x7f00"),
]


@pytest.mark.parametrize(("spec", "value", "why"), UNFIT)
def test_what_does_not_fit_is_named(spec: str, value: Any, why: str) -> None:
    with pytest.raises(Unfit) as caught:
        encode(point(spec), value)
    assert why in str(caught.value)


def test_a_number_can_be_written_as_text() -> None:
    assert encode(point("type: ascii, count: 2"), 17) == [0x3137, 0]


def test_scaled_values_do_not_show_binary_fractions() -> None:
    assert decode(point("type: u16, scale: 0.1"), [3]) == 0.3
    assert decode(point("type: u32, scale: 0.01"), [0, 12345]) == 123.45
