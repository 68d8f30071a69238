"""Why a request was not answered, or with a no."""

from __future__ import annotations

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not answer",
}
ILLEGAL_ADDRESS = 2


class Lost(Exception):
    """The connection is gone (and closed); the message is the reason."""


class NoAnswer(Exception):
    """The device did not answer, or not so that it can be understood; the line stands.

    ``garbled``: something came, but no answer.
    """

    def __init__(self, text: str, *, garbled: bool = False) -> None:
        super().__init__(text)
        self.garbled = garbled


class DeviceSaysNo(Exception):
    """The device answered with a Modbus exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})")
        self.code = code
