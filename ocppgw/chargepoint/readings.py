"""What the meters showed last, how fresh that is, and what they can measure at all."""

from __future__ import annotations

import collections
from datetime import datetime

from ocppgw.chargepoint.records import Session, whole_second
from ocppgw.clock import Clock
from ocppgw.ocpp.enums import Measurand
from ocppgw.plc.base import Reading

# A reading older than this says nothing about now, unless the driver reads less often:
# then so many of its own intervals, within bounds.
STALE_AFTER = 60.0
STALE_AFTER_AT_MOST = 1800.0
STALE_INTERVALS = 3
# So many intervals are looked at, and the longest taken: a meter whose values come in
# several blocks is read several times at once, and then not for long.
INTERVALS = 8


class _Newest:
    """The last reading of one connector, and how often there is one."""

    def __init__(self, reading: Reading, now: float) -> None:
        self.reading = reading
        self.seen = now
        self.outdated = False
        self.interrupted = False
        self._intervals: collections.deque[float] = collections.deque(maxlen=INTERVALS)

    def replace(self, reading: Reading, now: float) -> None:
        if not self.interrupted:
            self._intervals.append(now - self.seen)
        self.interrupted = False
        self.reading = reading
        self.seen = now
        self.outdated = False

    @property
    def stale_after(self) -> float:
        pace = STALE_INTERVALS * max(self._intervals, default=0.0)
        return min(max(STALE_AFTER, pace), STALE_AFTER_AT_MOST)


class Readings:
    """The newest reading of each connector (0: the main meter), in memory only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: dict[int, _Newest] = {}
        self._sessions: dict[int, str] = {}
        self._offered: set[Measurand] = set()

    def saw(self, reading: Reading) -> None:
        now = self._clock.monotonic()
        known = self._newest.get(reading.connector_id)
        if known is None:
            self._newest[reading.connector_id] = _Newest(reading, now)
        else:
            known.replace(reading, now)
        self._offered.update(measured.measurand for measured in reading.values)

    def plc_is_away(self) -> None:
        """An outage is no interval of reading."""
        for known in self._newest.values():
            known.interrupted = True

    def session_changed(self, session: Session) -> None:
        """What was read before a session began says nothing about it. The order in which
        both came is what counts: clocks differ, and are set."""
        connector_id = session.connector_id
        known = self._newest.get(connector_id)
        if self._sessions.get(connector_id) != session.session and known is not None:
            known.outdated = True
        self._sessions[connector_id] = session.session

    @property
    def offered(self) -> frozenset[Measurand]:
        """Every measurand that some connector showed in this life of the process; empty
        while nothing was read."""
        return frozenset(self._offered)

    def fresh(self, connector_id: int) -> Reading | None:
        """The newest reading, if it still says something about now."""
        known = self._newest.get(connector_id)
        if known is None or known.outdated:
            return None
        if self._clock.monotonic() - known.seen > known.stale_after:
            return None
        return known.reading

    def last_energy(self, session: Session) -> tuple[int, datetime]:
        """The last energy (Wh) that is known of a running session, and since when."""
        known = self._newest.get(session.connector_id)
        energy = None if known is None or known.outdated else known.reading.energy_wh
        if known is None or energy is None or energy <= session.checkpoint_wh:
            return session.checkpoint_wh, session.checkpoint_at
        return energy, max(session.checkpoint_at, whole_second(known.reading.at))
