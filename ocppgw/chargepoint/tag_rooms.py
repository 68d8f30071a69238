"""The rooms that know tags and judge them, made and wired to each other."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.answers import Answers
from ocppgw.chargepoint.authorization import Authorization
from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.judge import Judge
from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger
from ocppgw.chargepoint.line import CentralLine
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.tags import Tags
from ocppgw.clock import Clock


class TagRooms:
    """What is known of tags, on which much is built, and what is built on all of that."""

    def __init__(
        self,
        settings: ChargeBoxSettings,
        ledger: Ledger,
        clock: Clock,
        narrator: Narrator,
        *,
        keys: Callable[[], Keys],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._narrator = narrator
        self._keys = keys
        self.tags = Tags(
            ledger,
            clock,
            keys=keys,
            local_list_length=settings.local_list_length,
            cache_length=settings.cache_length,
        )

    def authorization(
        self,
        register: SessionRegister,
        reservations: Reservations,
        boot: Boot,
        central: CentralLine,
        answers: Answers,
        *,
        in_service: Callable[[int], bool],
    ) -> Authorization:
        """Who answers the tags that are presented."""
        judge = Judge(
            register,
            reservations,
            self.tags,
            boot,
            central,
            self._clock,
            keys=self._keys,
            in_service=in_service,
            answer_age=self._settings.tag_answer_age,
            deadline=self._settings.central_system.deadline,
        )
        return Authorization(
            self._ledger,
            answers,
            judge,
            self.tags,
            reservations,
            self._clock,
            self._narrator,
            answer_age=self._settings.tag_answer_age,
        )
