"""The newest energy of each connector, for starts and stops that do not tell their own."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.clock import Clock


class Energies:
    """What the meters of a station's devices showed last.

    ``numbered`` makes the view of a device that counts connectors in another way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: dict[int, tuple[int, float]] = {}
        self._number: Callable[[int], int] = lambda connector: connector

    def numbered(self, number: Callable[[int], int]) -> Energies:
        """The same energies; ``number`` gives the station's number of a connector."""
        view = Energies(self._clock)
        view._newest = self._newest
        view._number = number
        return view

    def saw(self, connector: int, wh: int) -> None:
        """A meter was read just now."""
        self._newest[self._number(connector)] = wh, self._clock.monotonic()

    def newest(self, connector: int, since: float) -> int | None:
        """The energy in Wh, if it was read at that monotonic time or later."""
        newest = self._newest.get(self._number(connector))
        return newest[0] if newest is not None and newest[1] >= since else None
