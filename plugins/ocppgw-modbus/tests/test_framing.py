"""Finding the answer in a stream: golden frames by hand, noise, late replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocppgw_modbus.framing import Echo, Expected, Garbled, crc16, rtu_answer, tcp_answer

ASKED = Expected(unit=1, function=3, size=6)
# Two holding registers of unit 1, 0x1234 and 0x5678.
ANSWER = bytes.fromhex("01 03 04 1234 5678 81 07")


def sealed(frame: str) -> bytes:
    data = bytes.fromhex(frame)
    return data + crc16(data)


def test_the_checksum_of_the_specification() -> None:
    # Modbus over Serial Line V1.02, 6.2.2: 02 07 gives 0x1241, low byte first.
    assert crc16(b"\x02\x07") == b"\x41\x12"


def test_a_golden_answer() -> None:
    assert rtu_answer(ANSWER, ASKED) == ANSWER


def test_an_exception_is_an_answer() -> None:
    assert rtu_answer(sealed("01 83 02"), ASKED) == sealed("01 83 02")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("not whole yet", ANSWER[:-1]),
        ("a wrong byte", ANSWER[:3] + b"\xff" + ANSWER[4:]),
        ("another unit's", sealed("02 03 04 1234 5678")),
        ("another function's", sealed("01 04 04 1234 5678")),
        ("another count", sealed("01 03 02 1234")),
        ("the exception of another function", sealed("01 84 02")),
        ("nothing", b""),
    ],
)
def test_what_is_no_answer(name: str, data: bytes) -> None:
    assert rtu_answer(data, ASKED) is None


@pytest.mark.parametrize(
    "before",
    [
        b"\0",
        b"\xff\x01\x03",
        b"\x01\x03\x04\x12",  # the beginning of one that was cut off
        sealed("02 03 04 0000 0000"),  # late, and of another unit
        sealed("01 03 02 1234"),  # late, to a shorter request
    ],
    ids=bytes.hex,
)
def test_an_answer_after_noise(before: bytes) -> None:
    assert rtu_answer(before + ANSWER + b"\0", ASKED) == ANSWER


@given(before=st.binary(max_size=40), flips=st.integers(0, 8 * len(ANSWER) - 1))
def test_one_flipped_bit_is_never_an_answer(before: bytes, flips: int) -> None:
    number = int.from_bytes(ANSWER, "big") ^ (1 << flips)
    found = rtu_answer(before + number.to_bytes(len(ANSWER), "big"), ASKED)
    assert found is None or crc16(found[:-2]) == found[-2:]
    assert found != number.to_bytes(len(ANSWER), "big")


WRITTEN = Expected(unit=1, function=16, size=5, address=1)


def test_the_echo_of_a_write() -> None:
    echo = sealed("01 10 0001 0002")
    assert rtu_answer(echo, WRITTEN) == echo
    assert rtu_answer(sealed("01 06 0001 0002"), WRITTEN) is None
    assert rtu_answer(sealed("01 10 0009 0002"), WRITTEN) is None  # of another write, late
    assert rtu_answer(sealed("01 90 03"), WRITTEN) == sealed("01 90 03")


TCP_ASKED = Expected(unit=1, function=3, size=6, transaction=7)
TCP_ANSWER = bytes.fromhex("0007 0000 0007 01 03 04 1234 5678")
LATE = bytes.fromhex("0006 0000 0007 01 03 04 0000 0000")


def test_a_late_answer_is_passed_over_where_others_share_the_connection() -> None:
    assert tcp_answer(LATE + TCP_ANSWER, TCP_ASKED, skip_late=True) == TCP_ANSWER
    assert tcp_answer(LATE, TCP_ASKED, skip_late=True) is None
    with pytest.raises(Garbled, match="a wrong transaction number"):
        tcp_answer(LATE + TCP_ANSWER, TCP_ASKED, skip_late=False)


@given(st.integers(0, len(TCP_ANSWER) - 1))
def test_a_tcp_frame_in_parts_is_waited_for(size: int) -> None:
    assert tcp_answer(TCP_ANSWER[:size], TCP_ASKED, skip_late=False) is None


READ = sealed("01 03 0000 0002")
WRITE_ONE = sealed("01 06 0001 0002")


def test_an_echo_is_heard_and_cut_off() -> None:
    echo = Echo()
    echo.sent(READ)
    assert echo.cut(READ[:5]) == READ[:5]  # not whole yet
    assert not echo.heard
    assert echo.cut(b"\xff" + READ + ANSWER) == ANSWER
    assert echo.heard
    # From now on a write's echo is not its answer, and the answer is.
    echo.sent(WRITE_ONE)
    assert echo.cut(WRITE_ONE) == b""
    assert echo.cut(WRITE_ONE + WRITE_ONE) == WRITE_ONE


def test_an_answer_in_the_words_of_the_request_is_no_echo() -> None:
    echo = Echo()
    echo.sent(WRITE_ONE)
    assert echo.cut(WRITE_ONE) == WRITE_ONE
    assert (echo.heard, echo.fooled) == (False, True)
    echo.sent(READ)
    echo.cut(ANSWER)
    echo.answered()
    assert not echo.fooled  # a read shows that there is none


def test_nothing_was_sent_yet() -> None:
    echo = Echo()
    echo.unanswered()
    assert not echo.heard


def test_an_echo_that_is_switched_off_is_forgotten() -> None:
    echo = Echo()
    echo.sent(READ)
    assert echo.cut(READ + ANSWER) == ANSWER
    echo.answered()
    assert echo.heard
    echo.sent(READ)
    assert echo.cut(ANSWER) == ANSWER
    echo.answered()
    assert not echo.heard


def test_a_write_that_only_its_echo_answered_leaves_it_open() -> None:
    echo = Echo()
    echo.sent(READ)
    echo.cut(READ)
    echo.sent(WRITE_ONE)
    echo.unanswered()  # nothing came at all
    assert echo.heard
    assert echo.cut(WRITE_ONE) == b""
    echo.unanswered()
    assert not echo.heard
