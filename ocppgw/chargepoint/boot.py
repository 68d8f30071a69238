"""The boot states (O-28): wait for the PLC, ask the central system, begin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from enum import Enum

from ocppgw.chargepoint.line import CENTRAL_SYSTEM
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.link.base import Peer, PeerError
from ocppgw.ocpp.enums import RegistrationStatus
from ocppgw.ocpp.model import BootNotificationRequest, BootNotificationResponse
from ocppgw.plc.base import AnswerBoot, Driver, Identity, PlcError, PlcRefused

log = logging.getLogger(__name__)

ANSWER_RETRY = 5.0
# A PLC that was told to reset goes away first. One that does not, or is back before
# anybody looked, is asked to boot after so many seconds.
RESET_SETTLES = 10.0


class BootState(Enum):
    """Where the charge box stands with its central system."""

    WAITING_FOR_PLC = "waiting for the PLC"
    ASKING = "asking the central system"
    REFUSED = "not accepted by the central system"
    ACCEPTED = "accepted"


class Boot:
    """Boots at the start, when the PLC's program starts again, and after a reset.

    ``opened`` is told of each acceptance, with the heartbeat interval that came with it
    (or ``None``); ``shut`` when a new boot begins: nothing but BootNotification is sent
    until then.
    """

    def __init__(
        self,
        settings: ChargeBoxSettings,
        driver: Driver,
        central: Peer,
        clock: Clock,
        narrator: Narrator,
        *,
        opened: Callable[[int | None], None],
        shut: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._driver = driver
        self._central = central
        self._clock = clock
        self._narrator = narrator
        self._opened = opened
        self._shut = shut
        self._identity: Identity | None = None
        self._there = False
        self._again = False
        self._untold = False
        self._settled_at = clock.monotonic()
        self._bell = Bell(clock)
        self._accepted = asyncio.Event()
        self.state = BootState.WAITING_FOR_PLC

    @property
    def accepted(self) -> bool:
        """Whether messages may be sent."""
        return self.state is BootState.ACCEPTED

    async def accepted_within(self, seconds: float) -> bool:
        """Waits for the acceptance."""
        accepted = asyncio.ensure_future(self._accepted.wait())
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([accepted, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepted.cancel()
            timer.cancel()
        return self.accepted

    def saw(self, identity: Identity) -> None:
        """The PLC says who it is; its program's start is a reason to boot."""
        before = self._identity
        self._identity = identity
        if not identity.running:
            self._settled_at = self._clock.monotonic()
        if before is None or before.running != identity.running:
            self._narrator.say("plc", "runs" if identity.running else "does not run")
            self.again()
        elif before != identity:
            self._bell.ring()

    def plc_is_back(self) -> None:
        """The driver reads the PLC, which may have restarted unseen meanwhile."""
        self._there = True
        self._untold = True
        self._bell.ring()

    def plc_is_away(self) -> None:
        """The driver does not; a boot waits for it."""
        self._there = False
        self._settled_at = self._clock.monotonic()

    def after_reset(self) -> None:
        """Boots once more when the PLC is back from its reset."""
        self._settled_at = self._clock.monotonic() + RESET_SETTLES
        self.again()

    def again(self) -> None:
        """Boots once more."""
        self._again = True
        self._bell.ring()

    async def run(self) -> None:
        while True:
            self._again = False
            self._begin()
            await self._plc_runs()
            answer = await self._asked()
            if answer is None:
                continue
            self._accept(answer)
            await self._keep_told(answer)

    def _begin(self) -> None:
        self.state = BootState.WAITING_FOR_PLC
        self._accepted.clear()
        self._shut()

    async def _plc_runs(self) -> None:
        while True:
            self._bell.hush()
            left = self._settled_at - self._clock.monotonic()
            runs = self._there and self._identity is not None and self._identity.running
            if runs and left <= 0:
                break
            await self._bell.wait(left if runs else None)
        self._again = False

    async def _asked(self) -> BootNotificationResponse | None:
        """Asks until accepted; ``None`` if the boot has to begin again."""
        delay = self._settings.boot_retry
        while not self._again:
            self.state = BootState.ASKING
            wait = delay
            try:
                answer = await self._ask()
            except PeerError as error:
                self._narrator.say(CENTRAL_SYSTEM, f"no answer to the boot: {error}")
            else:
                if answer.status is RegistrationStatus.ACCEPTED:
                    return answer
                wait = self._refuse(answer) or delay
                await self._tell_plc(answer, accepted=False)
            delay = min(self._settings.boot_retry_longest, 2 * delay)
            await self._wait_for_again(wait)
        return None

    async def _ask(self) -> BootNotificationResponse:
        deadline = self._settings.central_system.deadline
        response = await self._central.call(self._request(), deadline)
        assert isinstance(response, BootNotificationResponse)
        return response

    def _accept(self, answer: BootNotificationResponse) -> None:
        self.state = BootState.ACCEPTED
        self._narrator.say(CENTRAL_SYSTEM, "accepted the boot", echo=True)
        self._accepted.set()
        self._opened(answer.interval or None)

    def _refuse(self, answer: BootNotificationResponse) -> float | None:
        """The seconds that the central system wants between boots, if it says."""
        self.state = BootState.REFUSED
        interval = answer.interval if answer.interval and answer.interval > 0 else None
        when = "later" if interval is None else f"in {interval} s"
        self._narrator.say(
            CENTRAL_SYSTEM, f"answered the boot with {answer.status.value}, asked again {when}"
        )
        return interval

    async def _keep_told(self, answer: BootNotificationResponse) -> None:
        """Tells the PLC that it is accepted, each time it is there anew, until the next boot."""
        received = self._clock.monotonic()
        self._untold = True
        while not self._again:
            self._bell.hush()
            wait = None
            if self._untold and self._there:
                passed = timedelta(seconds=self._clock.monotonic() - received)
                self._untold = False  # it may come back once more while it is told
                if not await self._tell_plc(answer, passed, accepted=True):
                    self._untold = True
                    wait = ANSWER_RETRY
            if not self._again:
                await self._bell.wait(wait)

    async def _tell_plc(
        self, answer: BootNotificationResponse, passed: timedelta = timedelta(), *, accepted: bool
    ) -> bool:
        """Tells the PLC once, with the time as it is now; whether that is done with."""
        if not self._driver.supports(AnswerBoot):
            return True
        time = self._clock.now() if answer.current_time is None else answer.current_time + passed
        try:
            deadline = self._settings.deadlines.answer
            await self._driver.execute(AnswerBoot(accepted=accepted, time=time), deadline)
        except PlcError as error:
            log.warning("%s: the PLC was not told: %s", self._settings.identity, error)
            return isinstance(error, PlcRefused)
        return True

    async def _wait_for_again(self, seconds: float) -> None:
        """Returns after that many seconds, or sooner if the boot has to begin again."""
        until = self._clock.monotonic() + seconds
        while not self._again:
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._bell.hush()
            await self._bell.wait(left)

    def _request(self) -> BootNotificationRequest:
        """O-29: the PLC's word first, then the configuration's."""
        plc = self._identity or Identity()
        mine = self._settings
        return BootNotificationRequest(
            charge_point_vendor=(plc.vendor or mine.vendor)[:20],
            charge_point_model=(plc.model or mine.model)[:20],
            charge_point_serial_number=_cut(plc.serial_number or mine.serial_number, 25),
            charge_box_serial_number=mine.charge_box_serial_number,
            firmware_version=_cut(plc.software_version or mine.firmware_version, 50),
            iccid=mine.iccid,
            imsi=mine.imsi,
            meter_type=_cut(plc.meter_type or mine.meter_type, 25),
            meter_serial_number=_cut(plc.meter_serial_number or mine.meter_serial_number, 25),
        )


def _cut(text: str | None, length: int) -> str | None:
    """Within the length that the specification allows."""
    return None if text is None else text[:length]
