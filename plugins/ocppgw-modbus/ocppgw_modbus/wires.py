"""What a connection is made of: a TCP port or a serial port, and how it is framed."""

from __future__ import annotations

import errno
import os
from enum import Enum
from pathlib import Path

import msgspec

from ocppgw_modbus.framing import Framing

PSEUDO_TERMINALS = range(136, 144)  # major device numbers of /dev/pts/* on Linux
BAUD_RATE = 19200  # the default of Modbus over serial lines, with even parity


class Parity(Enum):
    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class TcpWire(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP port: of a device, of a gateway, or (RTU) of a serial-to-Ethernet converter."""

    host: str
    port: int = 502
    framing: Framing = Framing.TCP

    @property
    def place(self) -> str:
        """What there is only one connection to."""
        return f"{self.host}:{self.port}"

    @property
    def silence(self) -> float:
        """Seconds without a byte that part two frames; here the converter sees to them."""
        return 0.0

    @property
    def settings(self) -> str:
        """What devices on one connection must agree on, for people."""
        return f"Modbus {self.framing.value.upper()}"

    def trouble(self, error: OSError) -> str:
        """Why it could not be connected, for people."""
        return os.strerror(error.errno).lower() if error.errno else str(error)

    def __str__(self) -> str:
        return self.place


class SerialWire(msgspec.Struct, frozen=True, kw_only=True):
    """A serial port with RTU on it."""

    path: str
    baud_rate: int = BAUD_RATE
    parity: Parity = Parity.EVEN
    stop_bits: int = 1
    data_bits: int = 8

    @property
    def framing(self) -> Framing:
        return Framing.RTU

    @property
    def parity_letter(self) -> str:
        """The parity as pyserial has it. A pseudo-terminal has no parity bits, and Linux
        refuses to set any."""
        try:
            pseudo = os.major(Path(self.path).stat().st_rdev) in PSEUDO_TERMINALS
        except OSError:
            pseudo = False
        return "N" if pseudo else self.parity.value[0].upper()

    @property
    def place(self) -> str:
        """What there is only one connection to."""
        return self.path

    @property
    def silence(self) -> float:
        """Seconds without a byte that part two frames: 3.5 characters of 11 bits, and a
        fixed time above 19200 baud (Modbus over Serial Line V1.02, 2.5.1.1)."""
        return 0.00175 if self.baud_rate > 19200 else 3.5 * 11 / self.baud_rate

    @property
    def settings(self) -> str:
        """What devices on one connection must agree on, for people: ``19200 8E1``."""
        letter = self.parity.value[0].upper()
        return f"{self.baud_rate} {self.data_bits}{letter}{self.stop_bits}"

    def trouble(self, error: OSError) -> str:
        """Why it could not be opened, for people."""
        if error.errno == errno.ENOENT:
            return "there is no such port; is the adapter plugged in?"
        if error.errno in (errno.EACCES, errno.EPERM):
            return "no permission; the user who runs ocppgw must be in the port's group (dialout)"
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            return "another program has it open"
        return str(error)

    def __str__(self) -> str:
        return f"{self.path} ({self.settings})"


Wire = TcpWire | SerialWire
