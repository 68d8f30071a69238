"""The hand-shake that we begin: request up, answered, request down, answer idle.

A state machine without I/O: it is told what the answer register reads and whether time
is up, and says what to do. The doing is in :mod:`ocppgw_modbus.commands`.
"""

from __future__ import annotations

from enum import Enum


class Answer(Enum):
    """What the answer register reads."""

    IDLE = "idle"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    OTHER = "other"


class Do(Enum):
    """What is to be done next; the last five end the exchange."""

    WAIT = "wait, then read the answer again"
    ASK = "write the fields, then request up"
    LOWER = "write request down"
    DONE = "the PLC accepted"
    REFUSED = "the PLC refused"
    NEVER_READY = "the answer never went idle, nothing was asked"
    WITHDRAWN = "no answer in time, taken back"
    UNCLEAR = "no answer in time, and it cannot be known whether it happens"


class Phase(Enum):
    CLEARING = "the answer of before has to go"
    ASKED = "the request is up"
    SETTLING = "answered, the answer has to go idle"
    WITHDRAWING = "time is up, the request is being taken back"


ENDS = frozenset({Do.DONE, Do.REFUSED, Do.NEVER_READY, Do.WITHDRAWN, Do.UNCLEAR})

# A PLC that saw the request in its last cycle may still answer after it is down: so many
# reads in a row must show idle before we say that it was taken back.
QUIET_READS = 2


class Exchange:
    """One command from first look to outcome."""

    def __init__(self) -> None:
        self.phase = Phase.CLEARING
        self._lowered = False
        self.outcome = Do.DONE
        self._quiet = 0

    def step(self, answer: Answer, *, expired: bool, settled: bool = False) -> Do:
        """The next thing to do.

        ``expired``: the command's deadline is over; ``settled``: the PLC has had its time
        to take its answer back.
        """
        if self.phase is Phase.CLEARING:
            return self._clear(answer, expired)
        if self.phase is Phase.ASKED:
            return self._asked(answer, expired)
        if self.phase is Phase.SETTLING:
            return self.outcome if answer is Answer.IDLE or settled else Do.WAIT
        return self._withdraw(answer)

    def _clear(self, answer: Answer, expired: bool) -> Do:
        if expired:
            return Do.NEVER_READY
        if answer is Answer.IDLE:
            self.phase = Phase.ASKED
            return Do.ASK
        if not self._lowered:
            self._lowered = True
            return Do.LOWER
        return Do.WAIT

    def _asked(self, answer: Answer, expired: bool) -> Do:
        if answer in (Answer.ACCEPTED, Answer.REFUSED):
            self.outcome = Do.DONE if answer is Answer.ACCEPTED else Do.REFUSED
            self.phase = Phase.SETTLING
            return Do.LOWER
        if expired:
            self.phase = Phase.WITHDRAWING
            return Do.LOWER
        return Do.WAIT

    def _withdraw(self, answer: Answer) -> Do:
        if answer is Answer.REFUSED:
            return Do.REFUSED
        if answer is not Answer.IDLE:
            return Do.UNCLEAR
        self._quiet += 1
        return Do.WITHDRAWN if self._quiet >= QUIET_READS else Do.WAIT
