"""What is kept out because it makes no sense, with one warning for each change."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from ocppgw.clock import Clock
from ocppgw_modbus.bound import BoundMeter, Point
from ocppgw_modbus.codec import Nonsense, Value, decode, decode_each, raw_text

log = logging.getLogger(__name__)

LONGEST_TAG = 20  # OCPP's IdToken

# More than any charging station delivers, and more than a coarse counter's step: an energy
# counter that grows faster has lost its upper word, or shows another one's.
FASTEST = 10e6  # W
LEAP = 2e6  # Wh


class Sense:
    """Decodes, and remembers what was complained about.

    A point that reads nonsense is named once, and once more when it makes sense again or
    fails in another way; never once a poll.
    """

    def __init__(self, station: str, clock: Clock) -> None:
        self._station = station
        self._clock = clock
        self._complaints: dict[Point, str] = {}
        self._energy: dict[Point, tuple[float, float]] = {}

    def value(
        self,
        point: Point,
        words: Sequence[int],
        objection: Callable[[Value], str | None] = lambda _: None,
    ) -> Value | None:
        """The decoded value, or ``None`` after a complaint.

        ``objection`` says what is wrong with a value beyond its register's own limits.
        """
        try:
            value = decode(point, words)
            why = objection(value)
            if why is not None:
                raise Nonsense(why)
        except Nonsense as nonsense:
            self.complain(point, words, str(nonsense))
            return None
        self._fine(point)
        return value

    def measured(self, meter: BoundMeter, words: Sequence[int]) -> list[float] | None:
        """The quantities of a meter entry in the unit it is reported in, by phase."""
        point = meter.register
        try:
            values = [
                float(meter.factor * Decimal(str(value)))
                for value in decode_each(point, words, measured=True)
            ]
            if meter.measurand.value.endswith(".Register"):
                self._check_energy(point, sum(values))
        except Nonsense as nonsense:
            self.complain(point, words, str(nonsense))
            return None
        self._fine(point)
        return values

    def _check_energy(self, point: Point, value: float) -> None:
        """A counter only ever grows, and not by leaps; what does otherwise stays out until
        it is back where it can be (or we restart)."""
        now = self._clock.monotonic()
        if value < 0:
            raise Nonsense(f"an energy counter cannot be {value:g}")
        if point in self._energy:
            last, then = self._energy[point]
            if value < last:
                raise Nonsense(f"the energy counter fell from {last:g} to {value:g}")
            if value - last > LEAP + FASTEST * (now - then) / 3600:
                within = f"within {now - then:.0f} s"
                raise Nonsense(f"the energy counter leapt from {last:g} to {value:g} {within}")
        self._energy[point] = value, now

    def tag(self, point: Point, words: Sequence[int]) -> str | None:
        """A tag's text: 1 to 20 printable ASCII characters, or ``None`` after a complaint."""
        value = self.value(point, words, _tag_objection)
        return None if value is None else str(value).strip()

    def energy(self, point: Point, factor: Decimal, words: Sequence[int]) -> int | None:
        """The meter of an event in whole Wh, or ``None`` after a complaint."""
        try:
            value = decode_each(point, words, measured=True)[0]
            energy = round(factor * Decimal(str(value)))
            if energy < 0:
                raise Nonsense(f"an energy counter cannot be {energy}")
        except Nonsense as nonsense:
            self.complain(point, words, str(nonsense))
            return None
        self._fine(point)
        return energy

    def complain(self, point: Point, words: Sequence[int], why: str) -> None:
        """Warns that a point reads nonsense, unless that is known already."""
        kind = re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "#", why)
        if self._complaints.get(point) != kind:
            self._complaints[point] = kind
            shown = raw_text(words[:16])
            log.warning("%s: %s reads %s, left out: %s", self._station, point, shown, why)

    def _fine(self, point: Point) -> None:
        if self._complaints.pop(point, None) is not None:
            log.info("%s: %s makes sense again", self._station, point)


def _tag_objection(value: Value) -> str | None:
    text = str(value).strip()
    if not text:
        return "there is no tag in it"
    if any(not " " <= character <= "~" for character in text):
        return f"{text[:40]!r} has characters that no tag has"
    if len(text) > LONGEST_TAG:
        return f"a tag of {len(text)} characters, OCPP allows {LONGEST_TAG}"
    return None
