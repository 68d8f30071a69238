"""What observers see: every exchange of messages and every change of state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from ocppgw.clock import Clock
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, Version


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it.

    ``role`` is the role of ours that took part ("central" or "charge point"), ``sent``
    whether we were the caller. Either ``response`` is there or ``error``, a sentence.
    """

    at: datetime
    role: str
    sent: bool
    identity: str
    version: Version
    direction: Direction
    operation: str
    request: Request
    response: Response | None
    error: str | None
    seconds: float


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that became different: ``what`` in plain words.

    ``subject`` names it ("plc", "central system", "connector 1", "transaction 17").
    With ``echo`` it is what an exchange just told, seen from inside; whoever tells
    people both, such as the console, leaves it out.
    """

    at: datetime
    role: str
    identity: str
    subject: str
    what: str
    echo: bool = False


STORY = "ocppgw.story"  # the logger of what goes on, in plain words


def tell(actor: str, what: str, level: int = logging.INFO) -> None:
    """Puts a sentence into the story that the console tells; ``actor`` is who does it."""
    logging.getLogger(STORY).log(level, "%s", what, extra={"actor": actor})


Observed: TypeAlias = Exchange | StateChange
Observer: TypeAlias = Callable[[Observed], None]

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class GatewayContext(Protocol):
    """What hooks of the gateway as a whole may use."""

    clock: Clock

    def options(self, plugin: str, options_type: type[OptionsT]) -> OptionsT:
        """The plugin's section of the configuration (``plugins.options.<plugin>``)."""

    def identities(self) -> tuple[str, ...]:
        """The charge boxes of this gateway."""
