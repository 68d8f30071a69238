"""The two durable lanes of a charge box, with the rules that its keys give them."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.line import CENTRAL_SYSTEM, CentralLine
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.clock import Clock
from ocppgw.delivery import LatestLane, RetryPolicy, TransactionLane


class Lanes:
    """``transactions`` and ``latest``; what is sent immediately needs no lane."""

    def __init__(
        self,
        ledger: Ledger,
        register: SessionRegister,
        line: CentralLine,
        clock: Clock,
        narrator: Narrator,
        *,
        keys: Callable[[], Keys],
        deadline: float,
        jitter: Callable[[], float],
    ) -> None:
        """``deadline`` is what the central system has for an answer, in seconds."""

        def policy() -> RetryPolicy:
            return RetryPolicy(
                attempts=keys().transaction_attempts,
                interval=keys().transaction_retry_interval,
                deadline=deadline,
            )

        def changed(what: str) -> None:
            narrator.say(CENTRAL_SYSTEM, what)

        self.transactions = TransactionLane(
            box=ledger.box,
            storage=ledger.storage,
            clock=clock,
            peer=line,
            book=register,
            policy=policy,
            changed=changed,
            settled=register.settled,
            jitter=jitter,
        )
        self.latest = LatestLane(
            box=ledger.box,
            storage=ledger.storage,
            clock=clock,
            peer=line,
            policy=policy,
            changed=changed,
            jitter=jitter,
        )
        line.when_back(self.transactions.nudge)
        line.when_back(self.latest.nudge)
        ledger.when_writing(self._plan_removal)

    async def load(self) -> None:
        """Learns what the life before left unsent."""
        await self.transactions.load()
        await self.latest.load()

    def keys_changed(self) -> None:
        """The rules may be others."""
        self.transactions.wake()
        self.latest.wake()

    def _plan_removal(self, plan: Plan) -> None:
        """Answered meter values leave the queue with what is written anyway."""
        removal = self.transactions.removal()
        plan.changes.extend(removal.changes)
        plan.done.append(removal.written)
