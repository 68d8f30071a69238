"""What the central system can have the PLC do, with the reason when it is not done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from ocppgw.chargepoint.availability import Availability
from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.choice import Choice, NotDone
from ocppgw.chargepoint.narrator import Narrator, connector
from ocppgw.chargepoint.records import Session
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservation_book import Reservation
from ocppgw.chargepoint.reservation_rules import NotReserved
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.settings import CommandDeadlines
from ocppgw.chargepoint.status import StatusBoard
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.ocpp.enums import AvailabilityStatus, ReservationStatus
from ocppgw.plc.base import (
    Driver,
    PlcError,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    RemoteStart,
    RemoteStop,
    ResetPlc,
    Unlock,
)


class Outcome(Enum):
    """What became of a command."""

    DONE = "done"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


def reason_of(error: PlcError) -> str:
    """A PLC's refusal in the few words that fit into a StatusNotification."""
    match error:
        case PlcOffline():
            return "PLC is offline"
        case PlcUnsupported():
            return "PLC has no way to do it"
        case PlcRefused():
            return "PLC refused"
        case PlcTimeout(withdrawn=False):
            return "PLC did not answer, may still happen"
        case PlcTimeout():
            return "PLC did not answer, withdrawn"
        case _:
            return str(error)


class Operations:
    """Remote commands with effect on the PLC.

    One at a time for each connector: a second one waits for the first one's deadline at
    most.
    What is not done is told the operator twice: in full to the observers, and in the
    ``info`` of a StatusNotification, which any central system can show.
    """

    def __init__(
        self,
        register: SessionRegister,
        boot: Boot,
        status: StatusBoard,
        availability: Availability,
        reservations: Reservations,
        driver: Driver,
        clock: Clock,
        narrator: Narrator,
        *,
        connectors: int,
        deadlines: CommandDeadlines,
    ) -> None:
        self._register = register
        self._boot = boot
        self._status = status
        self._availability = availability
        self._reservations = reservations
        self._driver = driver
        self._clock = clock
        self._narrator = narrator
        self._choice = Choice(register, status, reservations, connectors=connectors)
        self._deadlines = deadlines
        self._locks = {number: asyncio.Lock() for number in range(connectors + 1)}
        self._bell = Bell(clock)

    def session_changed(self, session: Session) -> None:
        """A command may be waiting for the end of a session."""
        self._bell.ring()

    async def remote_start(self, connector_id: int | None, id_tag: str) -> Outcome:
        """Asks the PLC to start; without a connector, on one that is free."""

        async def work() -> None:
            self._accepted()
            if self._status.plc_is_lost:
                raise PlcOffline("there is no connection to the PLC")
            if connector_id is not None:
                await start(connector_id)
                return
            chosen = self._choice.free(id_tag)
            async with self._locks[chosen]:
                await start(chosen)

        async def start(chosen: int) -> None:
            self._choice.usable(chosen, id_tag)
            command = RemoteStart(connector_id=chosen, id_tag=id_tag)
            await self._driver.execute(command, self._deadlines.remote_start)
            self._narrator.say(connector(chosen), f"the PLC takes the remote start of {id_tag}")

        return await self._run("remote start", connector_id or 0, work)

    async def remote_stop(self, transaction_id: int) -> Outcome:
        """Asks the PLC to end that transaction, if it runs here."""
        session = self._register.with_transaction(transaction_id)

        async def work() -> None:
            self._accepted()
            if session is None:
                raise NotDone("no such transaction runs here")
            await self._stop(session)

        return await self._run("remote stop", session.connector_id if session else 0, work)

    async def unlock(self, connector_id: int) -> Outcome:
        """Opens the lock; a running session is ended first."""

        async def work() -> None:
            self._choice.exists(connector_id)
            if not self._driver.supports(Unlock):
                raise PlcUnsupported("this PLC has no lock that can be opened")
            session = self._register.on(connector_id)
            if session is not None:
                await self._stop(session)
                if not await self._ended(session):
                    raise NotDone("the session did not end")
            await self._driver.execute(Unlock(connector_id=connector_id), self._deadlines.command)
            self._narrator.say(connector(connector_id), "unlocked")

        return await self._run("unlock", connector_id, work)

    async def change_availability(
        self, connector_id: int, *, operative: bool
    ) -> AvailabilityStatus:
        """Connector 0 is the station with all its connectors."""
        status = AvailabilityStatus.REJECTED

        async def work() -> None:
            nonlocal status
            if connector_id:
                self._choice.exists(connector_id)
            status = await self._availability.change(connector_id, operative=operative)

        await self._run("availability", connector_id, work)
        return status

    async def reserve(self, reservation: Reservation) -> ReservationStatus:
        """Keeps a connector (0: any one) for a tag."""
        status = ReservationStatus.REJECTED

        async def work() -> None:
            nonlocal status
            try:
                await self._reservations.reserve(reservation)
            except NotReserved as why_not:
                status = why_not.status
                raise NotDone(str(why_not)) from None
            status = ReservationStatus.ACCEPTED

        await self._run("reserve", reservation.connector_id, work)
        return status

    async def cancel_reservation(self, reservation_id: int) -> Outcome:
        """Ends a reservation."""

        async def work() -> None:
            if not await self._reservations.cancel(reservation_id):
                raise NotDone(f"no reservation {reservation_id} is held")

        return await self._run("cancel reservation", 0, work)

    async def reset(self, *, hard: bool) -> Outcome:
        """Restarts the PLC; a soft reset first ends what runs, for so long as that takes
        and no longer. Afterwards the box boots again."""

        async def work() -> None:
            if not self._driver.supports(ResetPlc):
                raise PlcUnsupported("this PLC cannot be reset")
            if not hard:
                await self._stop_all()
            await self._driver.execute(ResetPlc(hard=hard), self._deadlines.command)
            self._narrator.say("plc", f"{'hard' if hard else 'soft'} reset")
            self._status.forget_note()
            self._boot.after_reset()

        return await self._run("reset", 0, work)

    def explain(
        self, connector_id: int, what: str, reason: str, sentence: str | None = None
    ) -> None:
        """Lets the operator read why something is not done: in a few words, since a
        StatusNotification's info has 50 characters, and in full on this side."""
        self._narrator.say(connector(connector_id), f"{what} refused: {sentence or reason}")
        self._status.note(connector_id, f"{what}: {reason}")

    # How

    async def _run(
        self, what: str, connector_id: int, work: Callable[[], Awaitable[None]]
    ) -> Outcome:
        """Does the work; what it cannot do becomes an outcome that the operator can read."""
        outcome = Outcome.REFUSED
        try:
            async with self._locks.get(connector_id, self._locks[0]):
                await work()
            self._status.forget_note(connector_id)
            return Outcome.DONE
        except PlcError as error:
            reason, sentence = reason_of(error), str(error)
            if isinstance(error, PlcUnsupported):
                outcome = Outcome.UNSUPPORTED
        except NotDone as error:
            reason = sentence = str(error)
        # A driver's sentence may begin with what it was to do, and where.
        before, _, after = sentence.partition(": ")
        self.explain(connector_id, what, reason, after if before.startswith(what) else sentence)
        return outcome

    async def _stop(self, session: Session) -> None:
        command = RemoteStop(
            connector_id=session.connector_id, transaction_id=session.transaction_id or 0
        )
        await self._driver.execute(command, self._deadlines.remote_start)
        self._narrator.say(session.subject, "the PLC takes the remote stop")

    async def _stop_all(self) -> None:
        """Ends every session; one that does not end does not hold up a reset."""

        async def stop(session: Session) -> None:
            try:
                await self._stop(session)
            except PlcError as error:
                self._narrator.say(session.subject, f"not stopped before the reset: {error}")
            else:
                await self._ended(session)

        async with asyncio.TaskGroup() as group:
            for session in self._register.running():
                group.create_task(stop(session))

    async def _ended(self, session: Session) -> bool:
        """Waits until the PLC has reported the stop; whether it did in time."""
        until = self._clock.monotonic() + self._deadlines.session_end
        while session.ended_at is None:
            self._bell.hush()
            left = until - self._clock.monotonic()
            if left <= 0:
                return False
            await self._bell.wait(left)
        return True

    def _accepted(self) -> None:
        if not self._boot.accepted:
            raise NotDone("not accepted by the central system")
