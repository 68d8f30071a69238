"""The charge box: a PLC on one side, a central system on the other."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import ClassVar

from ocppgw.chargepoint import records
from ocppgw.chargepoint.calls import BoxContext, OptionsOf
from ocppgw.chargepoint.context import ChargePointCall
from ocppgw.chargepoint.dispatch import Dispatch, Handlers
from ocppgw.chargepoint.ledger import Plan
from ocppgw.chargepoint.narrator import ROLE, Narrator
from ocppgw.chargepoint.rooms import Rooms
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.workers import Workers
from ocppgw.clock import Clock
from ocppgw.delivery import LatestLane, TransactionLane
from ocppgw.delivery.policy import spread
from ocppgw.link.base import Peer
from ocppgw.link.soap import Poster, SoapPeer
from ocppgw.observe import Observed
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, Operation, Version
from ocppgw.plc.base import Driver
from ocppgw.storage.base import Collection, Storage, StorageError

log = logging.getLogger(__name__)

VERSION = Version.V15
A_DAY = 24 * 3600.0


class ChargeBox:
    """One charge point of one central system.

    ``storage`` is the box's own local store, opened with :meth:`collections`; whoever
    opened it closes it after :meth:`stop`. Life: :meth:`use`, :meth:`start`, :meth:`stop`.
    """

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = (
        *records.COLLECTIONS,
        *TransactionLane.COLLECTIONS,
        *LatestLane.COLLECTIONS,
    )

    @classmethod
    def collections(cls, settings: ChargeBoxSettings) -> tuple[Collection, ...]:
        """What its store is opened with: :attr:`COLLECTIONS`, kept as the settings say."""
        kept = {each.name: each for each in records.collections(settings.keep_sessions_days)}
        return tuple(kept.get(each.name, each) for each in cls.COLLECTIONS)

    def __init__(
        self,
        settings: ChargeBoxSettings,
        *,
        storage: Storage,
        clock: Clock,
        http: Poster,
        driver: Driver,
        own_address: Callable[[], str],
        observe: Callable[[Observed], None],
        options: OptionsOf,
        peer: Peer | None = None,
        jitter: Callable[[], float] = spread,
    ) -> None:
        """``own_address`` is the URL of the charge point service, told to the central
        system unless the settings name another; ``options`` gives plugins theirs.
        ``peer`` takes the place of the central system reached over ``http`` (tests,
        other wires); ``jitter`` spreads retries."""
        self.identity = settings.identity
        self._settings = settings
        self._driver = driver
        self._clock = clock
        narrator = Narrator(settings.identity, clock, observe)
        self._rooms = rooms = Rooms(
            settings,
            storage=storage,
            clock=clock,
            driver=driver,
            peer=peer or _soap_peer(settings, http, own_address, observe, clock),
            narrator=narrator,
            jitter=jitter,
        )
        self.context = BoxContext(
            settings,
            version=VERSION,
            storage=storage,
            clock=clock,
            driver=driver,
            central=rooms.central.line,
            boot=rooms.central.boot,
            options=options,
            operations=rooms.operations,
            configuration=rooms.configuration,
            tags=rooms.tags,
            announce=self._announce,
        )
        self._dispatch = Dispatch(clock, observe, settings.handler_deadline)
        self._workers = Workers(settings.identity, clock)

    @property
    def transactions(self) -> TransactionLane:
        """The queue of starts, stops and meter values."""
        return self._rooms.transactions

    def use(self, handlers: Handlers) -> None:
        """Who answers the central system, by request type; first come first asked."""
        self._dispatch.use(handlers)

    def obeys(self, remote_address: str) -> bool:
        """Whether a call from that address may command this box."""
        return self._settings.central_system.allows(remote_address)

    async def answer(
        self, operation: Operation, request: Request, call: ChargePointCall
    ) -> Response:
        """Answers a call of the central system; raises ``ocppgw.ocpp.Fault``."""
        return await self._dispatch.answer(operation, request, call)

    async def start(self) -> None:
        """Takes up where the last life ended; raises ``StorageError`` if it cannot."""
        rooms = self._rooms
        await rooms.load()
        self._workers.start("the watch over the PLC", rooms.presence.run)
        self._workers.start("the PLC driver", lambda: self._driver.run(rooms.station))
        for name, room in (
            ("the boot", rooms.central.boot),
            ("authorization", rooms.authorization),
            ("what is known of tags", rooms.tags),
            ("heartbeats", rooms.central.heartbeat),
            ("metering", rooms.meters.metering),
            ("metering by the clock", rooms.meters.clocked),
            ("configuration of the PLC", rooms.plc_keys),
            ("sessions", rooms.sessions),
            ("availability", rooms.availability),
            ("reservations", rooms.reservations),
            ("status", rooms.status),
            ("answers to the PLC", rooms.answers),
            ("the transaction lane", rooms.transactions),
            ("the latest-only lane", rooms.latest),
        ):
            self._workers.start(name, room.run)
        self._workers.start("housekeeping", self._keep_house)

    async def stop(self) -> None:
        """Ends everything, the driver first; what was begun in the store is finished."""
        await self._workers.stop()
        await self._rooms.ledger.settle()
        await self._rooms.transactions.finish()

    async def _keep_house(self) -> None:
        """Forgets, at the start and once a day, what need not be kept any longer."""
        while True:
            try:
                await self._rooms.ledger.storage.prune(self._clock.now())
            except StorageError as error:
                log.warning("%s: old sessions are kept for now: %s", self.identity, error)
            await self._clock.sleep(A_DAY)

    async def _announce(self, key: str, request: Request) -> None:
        """Puts a message into the latest-only lane."""

        async def prepare() -> Plan:
            plan = Plan(self._rooms.latest.put(key, request))
            plan.done.append(self._rooms.latest.wake)
            return plan

        await self._rooms.ledger.write(prepare)


def _soap_peer(
    settings: ChargeBoxSettings,
    http: Poster,
    own_address: Callable[[], str],
    observe: Callable[[Observed], None],
    clock: Clock,
) -> Peer:
    """The central system at the other end of its SOAP service."""
    return SoapPeer(
        http,
        identity=settings.identity,
        version=VERSION,
        direction=Direction.TO_CENTRAL_SYSTEM,
        endpoint=lambda: settings.central_system.url,
        own_address=lambda: settings.public_url or own_address(),
        new_message_id=lambda: f"urn:uuid:{uuid.uuid4()}",
        observe=observe,
        clock=clock,
        role=ROLE,
    )
