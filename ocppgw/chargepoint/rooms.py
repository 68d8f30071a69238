"""The rooms of a charge box, made and wired to each other."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.authorization import Authorization
from ocppgw.chargepoint.availability import Availability
from ocppgw.chargepoint.central_rooms import CentralRooms
from ocppgw.chargepoint.configuration import Configuration, fixed_keys
from ocppgw.chargepoint.lanes import Lanes
from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.meter_rooms import MeterRooms
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.operations import Operations
from ocppgw.chargepoint.plc_keys import PlcKeys
from ocppgw.chargepoint.presence import Presence
from ocppgw.chargepoint.records import Session
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservation_rooms import reservations_of
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.session_rooms import sessions_of
from ocppgw.chargepoint.sessions import Sessions
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.station import BoxStation, EventLog
from ocppgw.chargepoint.status import StatusBoard
from ocppgw.chargepoint.tag_rooms import TagRooms
from ocppgw.clock import Clock
from ocppgw.delivery.policy import spread
from ocppgw.link.base import Peer
from ocppgw.plc.base import Driver
from ocppgw.storage.base import Storage


class Rooms:
    """Everything a charge box consists of; nothing runs yet."""

    def __init__(
        self,
        settings: ChargeBoxSettings,
        *,
        storage: Storage,
        clock: Clock,
        driver: Driver,
        peer: Peer,
        narrator: Narrator,
        jitter: Callable[[], float] = spread,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._driver = driver
        self._narrator = narrator
        self._jitter = jitter
        self.ledger = Ledger(settings.identity, storage)
        self.central = self._make_central(peer)
        self.configuration = Configuration(
            settings.configuration,
            self.ledger,
            fixed=fixed_keys(settings),
            offered=lambda: self.meters.readings.offered,
            hand_over=lambda name, text, keep: self.plc_keys.change(name, text, keep),
        )
        self.events = EventLog(self.ledger)
        self.answers = self._make_answers()
        self._tag_rooms = self._make_tag_rooms()
        self.tags = self._tag_rooms.tags
        self.register = SessionRegister(self.ledger, self.answers, narrator, said=self.tags.said)
        self.lanes = self._make_lanes()
        self.transactions = self.lanes.transactions
        self.latest = self.lanes.latest
        self.meters = self._make_meters()
        self.plc_keys = self._make_plc_keys()
        self.availability = self._make_availability()
        self.reservations = self._make_reservations()
        self.status = self._make_status()
        self.sessions = self._make_sessions()
        self.authorization = self._make_authorization()
        self.operations = self._make_operations()
        self.presence = self._make_presence()
        self.station = self._make_station()
        self._wire()

    async def load(self) -> None:
        """Learns what the life before left in the store."""
        await self.ledger.load()
        await self.events.load()
        await self.configuration.load()
        await self.lanes.load()
        await self.register.load()
        await self.meters.load()
        await self.availability.load()
        await self.tags.load()
        await self.reservations.load()
        await self.sessions.load()
        await self.authorization.load()

    # Wiring

    def _wire(self) -> None:
        for nudge in (
            self.central.heartbeat.nudge,
            self.meters.keys_changed,
            self.plc_keys.nudge,
            self.lanes.keys_changed,
        ):
            self.configuration.when_changed(nudge)
        self.register.when_changed(self._session_changed)

    def _session_changed(self, session: Session) -> None:
        self.meters.session_changed(session)
        self.availability.session_changed(session)
        self.operations.session_changed(session)
        self.status.refresh(session.connector_id)

    def _opened(self, interval: int | None) -> None:
        """The central system accepted the box."""
        self.configuration.boot_said(interval)
        self.transactions.open()
        self.status.open()

    def _shut(self) -> None:
        """A boot begins: nothing else is sent."""
        self.transactions.shut()
        self.status.shut()

    # Making

    def _make_answers(self) -> Answers:
        return Answers(
            self.ledger,
            self._driver,
            self._clock,
            self._narrator,
            connectors=self._settings.connectors,
            deadline=self._settings.deadlines.answer,
            delivered=lambda answer: self.sessions.delivered(answer),
            running=self._start_on,
        )

    def _start_on(self, connector_id: int) -> str | None:
        session = self.register.on(connector_id)
        return None if session is None else session.event_id

    def _make_lanes(self) -> Lanes:
        return Lanes(
            self.ledger,
            self.register,
            self.central.line,
            self._clock,
            self._narrator,
            keys=lambda: self.configuration.keys,
            deadline=self._settings.central_system.deadline,
            jitter=self._jitter,
        )

    def _make_availability(self) -> Availability:
        return Availability(
            self.ledger,
            self.register,
            self._driver,
            self._clock,
            self._narrator,
            connectors=self._settings.connectors,
            deadline=self._settings.deadlines.command,
            changed=lambda connector_id: self.status.refresh(connector_id),
        )

    def _make_tag_rooms(self) -> TagRooms:
        return TagRooms(
            self._settings,
            self.ledger,
            self._clock,
            self._narrator,
            keys=lambda: self.configuration.keys,
        )

    def _make_reservations(self) -> Reservations:
        return reservations_of(
            self._settings,
            self.ledger,
            self.register,
            self._driver,
            self._clock,
            self._narrator,
            parent_of=self.tags.parent_of,
            status=lambda: self.status,
        )

    def _make_status(self) -> StatusBoard:
        return StatusBoard(
            self.ledger,
            self.register,
            self.latest,
            self._clock,
            self._narrator,
            connectors=self._settings.connectors,
            in_service=self.availability.in_service,
            is_reserved=lambda connector_id: self.reservations.on(connector_id) is not None,
            changed=self.reservations.status_changed,
        )

    def _make_sessions(self) -> Sessions:
        return sessions_of(
            self._settings,
            self.ledger,
            self.register,
            self.transactions,
            self.answers,
            self.reservations,
            self.meters,
            self._clock,
            self._narrator,
        )

    def _make_meters(self) -> MeterRooms:
        return MeterRooms(
            self._settings,
            self.ledger,
            self.register,
            self.transactions,
            self.latest,
            self._clock,
            self._narrator,
            keys=lambda: self.configuration.keys,
        )

    def _make_plc_keys(self) -> PlcKeys:
        return PlcKeys(
            self.ledger.box,
            self._driver,
            self._clock,
            self._narrator,
            text_of=self.configuration.text_of,
            deadline=self._settings.deadlines.answer,
        )

    def _make_central(self, peer: Peer) -> CentralRooms:
        return CentralRooms(
            self._settings,
            self._driver,
            peer,
            self._clock,
            self._narrator,
            keys=lambda: self.configuration.keys,
            opened=self._opened,
            shut=self._shut,
        )

    def _make_authorization(self) -> Authorization:
        return self._tag_rooms.authorization(
            self.register,
            self.reservations,
            self.central.boot,
            self.central.line,
            self.answers,
            in_service=self.availability.takes_tags,
        )

    def _make_operations(self) -> Operations:
        return Operations(
            self.register,
            self.central.boot,
            self.status,
            self.availability,
            self.reservations,
            self._driver,
            self._clock,
            self._narrator,
            connectors=self._settings.connectors,
            deadlines=self._settings.deadlines,
        )

    def _make_presence(self) -> Presence:
        return Presence(
            self._clock,
            self._narrator,
            grace=self._settings.plc_grace,
            lost=self.status.lost,
            found=self.status.found,
        )

    def _make_station(self) -> BoxStation:
        return BoxStation(
            self.ledger,
            self.events,
            presence=self.presence,
            boot=self.central.boot,
            status=self.status,
            metering=self.meters.metering,
            authorization=self.authorization,
            sessions=self.sessions,
            availability=self.availability,
            reservations=self.reservations,
            plc_keys=self.plc_keys,
            answers=self.answers,
        )
