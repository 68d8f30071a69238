"""What the central system is told of each connector, and the notes for its operator."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import whole_second
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.clock import Clock
from ocppgw.delivery import LatestLane
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import ChargePointErrorCode, ChargePointStatus
from ocppgw.ocpp.model import StatusNotificationRequest
from ocppgw.plc.base import STATION, ConnectorStatus
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)

INFO_LENGTH = 50
VENDOR_ERROR_LENGTH = 50
# A note stays with its connector's notifications for so long, since in the lane a newer
# status may take the place of the one that first bore it.
NOTE_SECONDS = 10.0
STORE_RETRY = 1.0


class StatusBoard:
    """Puts each change of a connector's state, and every note, into the latest-only lane.

    A connector's state is the PLC's word, unless the PLC is away (Faulted), the central
    system took it out of service (Unavailable), or it is free, but reserved (Reserved). The
    station is never Reserved: whoever has reserved any connector keeps one of them.
    """

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        lane: LatestLane,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        in_service: Callable[[int], bool],
        is_reserved: Callable[[int], bool],
        changed: Callable[[int], None],
    ) -> None:
        """``changed`` is told of each connector whose state differs from before."""
        self._ledger = ledger
        self._register = register
        self._lane = lane
        self._clock = clock
        self._narrator = narrator
        self._connectors = range(connectors + 1)
        self._in_service = in_service
        self._is_reserved = is_reserved
        self._changed = changed
        self._seen: dict[int, ConnectorStatus] = {}
        self._lost: str | None = None
        self._told: dict[int, ConnectorStatus] = {}
        self._notes: dict[int, tuple[float, str]] = {}
        self._due: set[int] = set()
        self._accepted = False
        self._lane_open = False
        self._bell = Bell(clock)

    def saw(self, status: ConnectorStatus) -> None:
        """The PLC's word; connectors that this box does not have are passed over."""
        if status.connector_id in self._connectors:
            self._seen[status.connector_id] = status
        self.refresh(status.connector_id)

    def lost(self, reason: str) -> None:
        """The PLC is away."""
        self._lost = reason
        self.refresh_all()

    def found(self) -> None:
        """The PLC is back."""
        self._lost = None
        self.refresh_all()

    @property
    def plc_is_lost(self) -> bool:
        """Whether the PLC is away, so that connectors are Faulted only for that."""
        return self._lost is not None

    def refresh(self, connector_id: int) -> None:
        """Reports a connector of this box if its state differs from what was reported."""
        if connector_id not in self._connectors:
            return
        current = self.current(connector_id)
        told = self._told.get(connector_id)
        if current == told:
            return
        self._told[connector_id] = current
        first_word = told is None and connector_id in self._seen
        if first_word or (told is not None and told.status is not current.status):
            self._narrator.say(connector(connector_id), f"is {current.status.value}")
        self._report(connector_id)
        self._changed(connector_id)

    def refresh_all(self) -> None:
        for connector_id in self._connectors:
            self.refresh(connector_id)

    def open(self) -> None:
        """The central system accepted the box: the station and every connector are
        reported, changed or not. What the lane holds from before is out of date, so the
        lane is opened only when that is replaced."""
        self._accepted = True
        self.refresh_all()
        for connector_id in self._connectors:
            self._report(connector_id)

    def shut(self) -> None:
        """A boot begins: nothing is reported until it is accepted."""
        self._accepted = self._lane_open = False
        self._lane.shut()

    def note(self, connector_id: int, text: str) -> None:
        """Lets the operator read ``text`` (the first 50 characters) beside the state."""
        known = connector_id if connector_id in self._connectors else 0
        self._notes[known] = self._clock.monotonic() + NOTE_SECONDS, text[:INFO_LENGTH]
        self._report(known)

    def forget_note(self, connector_id: int | None = None) -> None:
        """What was noted no longer holds: at a connector, or everywhere."""
        if connector_id is None:
            self._notes.clear()
        else:
            self._notes.pop(connector_id, None)

    def current(self, connector_id: int) -> ConnectorStatus:
        """The state of a connector as it is reported."""
        status = self.but_for_reservations(connector_id)
        free = connector_id != STATION and status.status is ChargePointStatus.AVAILABLE
        if free and self._is_reserved(connector_id):
            return msgspec.structs.replace(status, status=ChargePointStatus.RESERVED)
        return status

    def but_for_reservations(self, connector_id: int) -> ConnectorStatus:
        """The state that a connector would be in without a reservation of ours."""
        if self._lost is not None:
            return ConnectorStatus(
                connector_id=connector_id,
                status=ChargePointStatus.FAULTED,
                error_code=ChargePointErrorCode.OTHER_ERROR,
                info=f"PLC: {self._lost}",
            )
        status = self._seen.get(connector_id) or self._assumed(connector_id)
        running = self._register.on(connector_id) is not None
        if self._in_service(connector_id) or running or status.status is ChargePointStatus.FAULTED:
            return status
        return msgspec.structs.replace(status, status=ChargePointStatus.UNAVAILABLE)

    async def run(self) -> None:
        """Makes durable what is due, until cancelled."""
        while True:
            self._bell.hush()
            if not (self._due and self._accepted):
                await self._bell.wait()
                continue
            try:
                await self._ledger.write(self._plan)
            except StorageError as error:
                log.warning("%s: a status was not kept yet: %s", self._ledger.box, error)
                await self._clock.sleep(STORE_RETRY)

    async def _plan(self) -> Plan:
        due = sorted(self._due)
        self._due.clear()
        plan = Plan(*(self._lane.put(f"status.{n}", self._notification(n)) for n in due))
        plan.done.append(self._committed)
        plan.undo.append(lambda: self._due.update(due))
        return plan

    def _committed(self) -> None:
        if self._accepted and not self._lane_open:
            self._lane_open = True
            self._lane.open()
        self._lane.wake()

    def _report(self, connector_id: int) -> None:
        self._due.add(connector_id)
        self._bell.ring()

    def _notification(self, connector_id: int) -> StatusNotificationRequest:
        current = self.current(connector_id)
        until, note = self._notes.get(connector_id, (0.0, ""))
        noted = until > self._clock.monotonic()
        info = note if noted else current.info
        vendor_code = current.vendor_error_code
        return StatusNotificationRequest(
            connector_id=connector_id,
            status=current.status,
            error_code=current.error_code,
            info=None if info is None else info[:INFO_LENGTH],
            timestamp=whole_second(self._clock.now()),
            vendor_error_code=None if vendor_code is None else vendor_code[:VENDOR_ERROR_LENGTH],
        )

    def _assumed(self, connector_id: int) -> ConnectorStatus:
        """The state of a connector of which the PLC has not said anything."""
        running = self._register.on(connector_id) is not None
        status = ChargePointStatus.CHARGING if running else ChargePointStatus.AVAILABLE
        return ConnectorStatus(connector_id=connector_id, status=status)
