"""Configuration keys that the PLC has a place for (O-27): told on change and on return."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ocppgw.chargepoint.keys import FIELDS
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.plc.base import Configure, Driver, PlcError, PlcOffline, PlcRefused, PlcUnsupported

log = logging.getLogger(__name__)

RETRY = 10.0


class PlcKeys:
    """Tells the PLC every key once it is there, and each key that changes.

    A key that the device has no place for is asked about once in a life of the process.
    """

    def __init__(
        self,
        box: str,
        driver: Driver,
        clock: Clock,
        narrator: Narrator,
        *,
        text_of: Callable[[str], str],
        deadline: float,
    ) -> None:
        """``text_of`` gives the value in force of a key, as GetConfiguration reports it."""
        self._box = box
        self._driver = driver
        self._narrator = narrator
        self._text_of = text_of
        self._deadline = deadline
        self._there = False
        self._told: dict[str, str] = {}
        self._placeless: set[str] = set()
        self._locks = {name: asyncio.Lock() for name in FIELDS}
        self._bell = Bell(clock)

    def plc_is_back(self) -> None:
        """The PLC may have forgotten: it is told again."""
        self._there = True
        self._told.clear()
        self._bell.ring()

    def plc_is_away(self) -> None:
        """It is told when it is back."""
        self._there = False

    def nudge(self) -> None:
        """A key was changed."""
        self._bell.ring()

    async def change(self, name: str, text: str, keep: Callable[[], Awaitable[None]]) -> None:
        """Puts a new value into the PLC, then has it kept.

        Raises :class:`PlcRefused`, keeping nothing, if the PLC says no; a PLC that is
        away or does not answer is told later, with the value that is kept then.
        """
        async with self._locks[name]:
            try:
                await self._put(name, text)
            except PlcRefused as error:
                self._narrator.say("plc", f"refused {name} = {text}: {error}")
                raise
            except PlcError as error:
                log.info("%s: the PLC is told %s later: %s", self._box, name, error)
            try:
                await keep()
            finally:
                self._bell.ring()

    async def run(self) -> None:
        while True:
            self._bell.hush()
            again = self._there and not await self._tell_all()
            await self._bell.wait(RETRY if again else None)

    async def _tell_all(self) -> bool:
        """Tells what is untold, one key after the other; whether all is told."""
        complete = True
        for name in FIELDS:
            async with self._locks[name]:
                text = self._text_of(name)
                if self._told.get(name) == text:
                    continue
                try:
                    await self._put(name, text)
                except PlcRefused as error:
                    self._told[name] = text  # it said so
                    self._narrator.say("plc", f"refused {name} = {text}: {error}")
                except PlcOffline as error:  # the story has that, every start begins so
                    log.debug("%s: the PLC was not told %s: %s", self._box, name, error)
                    return False
                except PlcError as error:
                    log.info("%s: the PLC was not told %s: %s", self._box, name, error)
                    complete = False
        return complete

    async def _put(self, name: str, text: str) -> None:
        """Has the PLC take a key, if it has a place for it."""
        if name not in self._placeless and self._driver.supports(Configure):
            self._told.pop(name, None)  # what it holds, if this fails half-way, is not known
            try:
                await self._driver.execute(Configure(key=name, value=text), self._deadline)
            except PlcUnsupported:
                self._placeless.add(name)
        self._told[name] = text
