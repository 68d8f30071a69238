"""Configuration keys as the simulated PLC reads them from its registers."""

from __future__ import annotations

from collections.abc import Mapping

from ocppgw_modbus.bound import Point
from ocppgw_modbus.simulate.handshakes import Tell
from ocppgw_modbus.simulate.registers import Registers, places

CONNECTION_TIMEOUT = "ConnectionTimeOut"
SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
OWN_TIMEOUT = 60.0  # simulated seconds


class KeysIn:
    """What the gateway has written of the map's keys."""

    def __init__(self, points: Mapping[str, Point], registers: Registers, tell: Tell) -> None:
        self._points = points
        self._registers = registers
        self._tell = tell

    def scan(self) -> None:
        """Tells what came in."""
        for key, point in self._points.items():
            if any(place in self._registers.written for place in places(point)):
                value = self._registers.get(point)
                text = f"the key {key} is {value} {point.unit or ''}".rstrip()
                self._tell("configured", 0, key, text, {"value": value})

    @property
    def connection_timeout(self) -> float:
        """Seconds that an accepted tag waits for a car; without the gateway's word, or with
        a 0 as after a power cut, it is the program's own."""
        point = self._points.get(CONNECTION_TIMEOUT)
        if point is None:
            return OWN_TIMEOUT
        return float(self._registers.get(point)) * SECONDS[point.unit or "s"] or OWN_TIMEOUT
