"""A serial line without hardware: pseudo-terminals, joined as an RS-485 bus joins devices."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from pathlib import Path

import msgspec


class End(msgspec.Struct, frozen=True):
    """One pseudo-terminal: our side of it, the other side (kept open, so that the line
    stands while nobody uses it), and the path that others open."""

    ours: int
    theirs: int
    path: str


class PtyBus:
    """One end for the gateway, and one for each device that is plugged in.

    What the gateway sends reaches every device, what a device sends reaches the gateway.
    ``spoil`` may change what devices send on its way. With ``echo`` the gateway's adapter
    gives back what it sends, too. ``link`` is a symbolic link to the
    gateway's end, the name of the port however often it is plugged in.
    """

    def __init__(
        self, link: Path | None = None, *, spoil: Callable[[bytes], bytes] = lambda data: data
    ) -> None:
        self._link = link
        self.spoil = spoil
        self.echo = False
        self._devices: list[End] = []
        self._gateway: End | None = None
        self.plug_in()

    @property
    def path(self) -> str:
        """The port for the gateway."""
        if self._link is not None:
            return str(self._link)
        assert self._gateway is not None, "the port is not plugged in"
        return self._gateway.path

    def add_device(self) -> str:
        """A port for one more device."""
        end = self._open(self._from_device)
        self._devices.append(end)
        return end.path

    def plug_in(self) -> None:
        """The gateway's port is there."""
        self._gateway = self._open(self._from_gateway)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._gateway.path)

    def unplug(self) -> None:
        """The gateway's port goes, as a USB adapter does that is pulled out."""
        if self._gateway is not None:
            _close(self._gateway)
            self._gateway = None
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def close(self) -> None:
        """Every port goes."""
        self.unplug()
        while self._devices:
            _close(self._devices.pop())

    def _open(self, received: Callable[[bytes], None]) -> End:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)

        def ready() -> None:
            try:
                received(os.read(ours, 4096))
            except BlockingIOError:
                return

        asyncio.get_running_loop().add_reader(ours, ready)
        return End(ours, theirs, os.ttyname(theirs))

    def _from_gateway(self, data: bytes) -> None:
        if self.echo and self._gateway is not None:
            _write(self._gateway, data)
        for device in self._devices:
            _write(device, data)

    def _from_device(self, data: bytes) -> None:
        if self._gateway is not None:
            _write(self._gateway, self.spoil(data))


def _write(end: End, data: bytes) -> None:
    try:
        os.write(end.ours, data)
    except BlockingIOError:
        return  # nobody reads there: on a line, too, that is lost


def _close(end: End) -> None:
    asyncio.get_running_loop().remove_reader(end.ours)
    os.close(end.ours)
    os.close(end.theirs)
