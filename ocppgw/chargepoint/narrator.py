"""What the charge box tells its observers, in plain words."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.clock import Clock
from ocppgw.observe import Observed, StateChange

ROLE = "charge point"


class Narrator:
    """Says what became different at one charge box."""

    def __init__(self, identity: str, clock: Clock, observe: Callable[[Observed], None]) -> None:
        self._identity = identity
        self._clock = clock
        self._observe = observe

    def say(self, subject: str, what: str, *, echo: bool = False) -> None:
        """``subject`` and ``echo`` as :class:`StateChange` has them ("plc", "connector 1")."""
        self._observe(
            StateChange(
                at=self._clock.now(),
                role=ROLE,
                identity=self._identity,
                subject=subject,
                what=what,
                echo=echo,
            )
        )


def connector(connector_id: int) -> str:
    """The subject of what concerns one connector, or the whole station."""
    return f"connector {connector_id}" if connector_id else "station"
