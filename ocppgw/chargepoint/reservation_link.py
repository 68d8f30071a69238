"""The PLC's part in reservations: it is told of them, and told to forget them (O-25)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.reservation_book import Reservation, ReservationBook, Slot
from ocppgw.plc.base import (
    CancelReserve,
    Driver,
    PlcError,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    Reserve,
)

log = logging.getLogger(__name__)

# A PLC that will not forget a reservation may have been busy; it is not asked for ever,
# since what comes behind waits.
REFUSALS = 5


class ReservationLink:
    """Has the PLC know what the book holds, one connector beside the other.

    What the PLC is about to learn stands in the book as something to be forgotten until
    it is held there: so a reservation that never got that far is taken back. Old ones are
    forgotten before the PLC learns of a new one, as many a PLC has one place for both.
    """

    def __init__(
        self,
        book: ReservationBook,
        ledger: Ledger,
        driver: Driver,
        narrator: Narrator,
        *,
        connectors: int,
        deadline: float,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._driver = driver
        self._narrator = narrator
        self._connectors = range(1, connectors + 1)
        self._deadline = deadline
        self._untold = set(self._connectors)
        self._refusals: Counter[int] = Counter()
        self._locks = {number: asyncio.Lock() for number in range(connectors + 1)}

    def lock(self, connector_id: int) -> asyncio.Lock:
        """Held by whoever tells the PLC of a connector's reservations."""
        return self._locks[connector_id]

    def serves(self, connector_id: int) -> bool:
        """Whether the PLC can be told; the station's own reservation is ours alone."""
        return connector_id in self._connectors and self._driver.supports(Reserve)

    def plc_is_back(self) -> None:
        """The PLC may have forgotten what it knew."""
        self._untold.update(self._connectors)

    def told(self, connector_id: int) -> None:
        """The PLC knows what the connector's slot holds."""
        self._untold.discard(connector_id)

    async def tell(self, reservation: Reservation) -> None:
        """Has the PLC make a reservation that the book is about to hold.

        Raises :class:`PlcError` if it does not; what may still happen is forgotten later.
        The connector's lock is held.
        """
        number, wanted = reservation.connector_id, reservation.reservation_id
        if not self.serves(number):
            return
        await self._have_forgotten(number)
        held = self._book.slot(number).held
        replaces = held is not None and held.reservation_id == wanted
        if not replaces:
            await self._change(number, Slot.forgetting, wanted)
        self._untold.add(number)
        try:
            await self._execute(reservation)
        except PlcError as error:
            may_still_happen = isinstance(error, PlcTimeout) and not error.withdrawn
            if not replaces and not may_still_happen:
                await self._change(number, Slot.forgot, wanted)
            raise

    async def settle(self, connector_id: int) -> bool:
        """Tells the PLC what it has to know of a connector; whether it has to be tried
        again. Raises ``StorageError``."""
        async with self.lock(connector_id):
            try:
                await self._have_forgotten(connector_id)
                await self._tell_again(connector_id)
            except PlcError as error:
                log.info("%s: connector %s: %s", self._ledger.box, connector_id, error)
                return True
        return False

    async def _tell_again(self, connector_id: int) -> None:
        held = self._book.on(connector_id)
        if held is None or connector_id not in self._untold or not self.serves(connector_id):
            return
        try:
            await self._execute(held)
        except PlcRefused as error:
            what = f"the PLC does not take reservation {held.reservation_id} again: {error}"
            self._warn(connector_id, what)
        self.told(connector_id)

    async def _execute(self, reservation: Reservation) -> None:
        command = Reserve(
            connector_id=reservation.connector_id,
            reservation_id=reservation.reservation_id,
            id_tag=reservation.id_tag,
            expires_at=reservation.expires_at,
        )
        with suppress(PlcUnsupported):  # at this connector; we keep it, all the same
            await self._driver.execute(command, self._deadline)

    async def _have_forgotten(self, connector_id: int) -> None:
        for reservation_id in self._book.slot(connector_id).forget:
            await self._have_forget(connector_id, reservation_id)
            await self._change(connector_id, Slot.forgot, reservation_id)

    async def _have_forget(self, connector_id: int, reservation_id: int) -> None:
        command = CancelReserve(connector_id=connector_id, reservation_id=reservation_id)
        try:
            with suppress(PlcUnsupported):  # it forgets by itself, when they expire
                await self._driver.execute(command, self._deadline)
        except PlcRefused as error:
            self._refusals[connector_id] += 1
            if self._refusals[connector_id] < REFUSALS:
                raise
            what = f"the PLC will not forget reservation {reservation_id}: {error}"
            self._warn(connector_id, what)
        del self._refusals[connector_id]

    async def _change(
        self, connector_id: int, change: Callable[[Slot, int], Slot], reservation_id: int
    ) -> None:
        """Makes durable what the PLC has to forget, or has forgotten."""

        async def prepare() -> Plan:
            plan = Plan()
            self._book.plan(
                plan, connector_id, change(self._book.slot(connector_id), reservation_id)
            )
            return plan

        await self._ledger.write(prepare)

    def _warn(self, connector_id: int, what: str) -> None:
        log.warning("%s: connector %s: %s", self._ledger.box, connector_id, what)
        self._narrator.say(connector(connector_id), what)
