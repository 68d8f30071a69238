"""Who may charge: one source after the other is asked (O-32)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.line import CentralLine
from ocppgw.chargepoint.register import SessionRegister
from ocppgw.chargepoint.reservations import Reservations
from ocppgw.chargepoint.tag_store import same_tag
from ocppgw.chargepoint.tags import KnownTag, Tags
from ocppgw.clock import Clock
from ocppgw.link.base import PeerError, Unsayable
from ocppgw.ocpp.enums import AuthorizationStatus
from ocppgw.ocpp.model import AuthorizeRequest, AuthorizeResponse, IdTagInfo
from ocppgw.plc.base import STATION

# Seconds for a central system that did not answer the call before this one, where the
# tag may charge without it: it may be back, but nobody is to stand there for long.
SILENT_PATIENCE = 3.0
# Seconds that are kept for the answer to the PLC, where the tag may charge without the
# central system.
RESERVE = 2.0
SHORTEST_CALL = 0.1


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a tag may charge, and why, in words.

    ``info`` is what the central system said of it, if it was asked.
    """

    accepted: bool
    why: str
    info: IdTagInfo | None = None


class Judge:
    """Judges tags in this order:

    the age of the question, the session that runs there, the connector's service,
    reservations (of a tag whose parent is not known here, once that was asked for), the
    local list, the cache (LocalPreAuthorize), the central system. If that cannot be
    reached, the local list and the cache (LocalAuthorizeOffline), and for a tag that nobody
    knows AllowOfflineTxForUnknownId. A fault is an answer: whoever the central system
    cannot judge is refused.
    """

    def __init__(
        self,
        register: SessionRegister,
        reservations: Reservations,
        tags: Tags,
        boot: Boot,
        central: CentralLine,
        clock: Clock,
        *,
        keys: Callable[[], Keys],
        in_service: Callable[[int], bool],
        answer_age: float,
        deadline: float,
    ) -> None:
        self._register = register
        self._reservations = reservations
        self._tags = tags
        self._boot = boot
        self._central = central
        self._clock = clock
        self._keys = keys
        self._in_service = in_service
        self._answer_age = answer_age
        self._deadline = deadline

    async def judge(self, connector_id: int, id_tag: str, at: datetime) -> Verdict:
        """The verdict on a tag presented there at that moment."""
        age = (self._clock.now() - at).total_seconds()
        left = self._answer_age - age
        if left <= 0 or age < -self._answer_age:
            return _refused(f"it was presented {abs(age):.0f} s ago")
        if not id_tag.strip():
            return _refused("it is empty")
        if why := self._ends_session(connector_id, id_tag):
            return _accepted(why)
        if not self._in_service(connector_id):
            return _refused("out of service")
        kept = self._reservations.refuses(connector_id, id_tag)
        if kept is not None and self._tags.find(id_tag) is not None:
            return _refused(kept)
        verdict = self._at_once(id_tag) or await self._ask(id_tag, left)
        return self._reserved(connector_id, id_tag, verdict)

    def _reserved(self, connector_id: int, id_tag: str, verdict: Verdict) -> Verdict:
        """The verdict, after a look at the reservations as they are now: the central
        system may have said of what parent the tag is, or reserved meanwhile."""
        parent = None if verdict.info is None else verdict.info.parent_id_tag
        kept = self._reservations.refuses(connector_id, id_tag, parent)
        if kept is None or not verdict.accepted:
            return verdict
        return msgspec.structs.replace(verdict, accepted=False, why=kept)

    def _ends_session(self, connector_id: int, id_tag: str) -> str | None:
        """Why this tag may end a session there, if that is known here; at connector 0,
        the station's own reader, any session."""
        running = self._register.running()
        there = [s for s in running if connector_id in (STATION, s.connector_id)]
        if any(same_tag(session.id_tag, id_tag) for session in there):
            return "it started the running session"
        known = self._tags.find(id_tag)
        if known is None or not known.valid or known.info.parent_id_tag is None:
            return None
        parents = [self._tags.parent_of(session.id_tag) for session in there]
        if any(parent and same_tag(parent, known.info.parent_id_tag) for parent in parents):
            return "it is of the same group as the tag of the running session"
        return None

    def _at_once(self, id_tag: str) -> Verdict | None:
        """The verdict that needs no central system, reached or not."""
        known = self._tags.find(id_tag)
        if known is None or not known.valid:
            return None
        if known.listed or self._keys().local_pre_authorize:
            return _accepted(_source(known))
        return None

    async def _ask(self, id_tag: str, left: float) -> Verdict:
        """Asks the central system, once it has accepted this box; ``left`` in seconds."""
        until = self._clock.monotonic() + self._patience(id_tag, left)
        if not await self._boot.accepted_within(until - self._clock.monotonic()):
            if self._central.reached:
                return _refused("the central system has not accepted this charge box")
            return _cut_off("the central system does not answer", self._alone(id_tag))
        try:
            seconds = max(SHORTEST_CALL, until - self._clock.monotonic())
            response = await self._central.call(AuthorizeRequest(id_tag=id_tag), seconds)
        except PeerError as error:
            why = f"no answer from the central system: {error}"
            if error.delivered or isinstance(error, Unsayable):
                return _refused(why)
            return _cut_off(why, self._alone(id_tag))
        assert isinstance(response, AuthorizeResponse)
        info = response.id_tag_info
        accepted = info.status is AuthorizationStatus.ACCEPTED
        why = f"the central system says {info.status.value}"
        return Verdict(accepted=accepted, why=why, info=info)

    def _patience(self, id_tag: str, left: float) -> float:
        """Seconds that the central system has, where so many are left for the answer."""
        if not self._alone(id_tag).accepted:
            return min(left, self._deadline)
        seconds = min(max(SHORTEST_CALL, left - RESERVE), self._deadline)
        return min(seconds, SILENT_PATIENCE) if self._central.reached is False else seconds

    def _alone(self, id_tag: str) -> Verdict:
        """The verdict without the central system."""
        keys, known = self._keys(), self._tags.find(id_tag)
        if known is not None and not known.valid:
            return _refused(_source(known))
        if known is not None and keys.local_authorize_offline:
            return _accepted(_source(known))
        if keys.allow_offline_unknown:
            return _accepted("AllowOfflineTxForUnknownId is true")
        if known is not None:
            return _refused("LocalAuthorizeOffline is false")
        return _refused("nothing is known of it here")


def _accepted(why: str) -> Verdict:
    return Verdict(accepted=True, why=why)


def _refused(why: str) -> Verdict:
    return Verdict(accepted=False, why=why)


def _cut_off(how: str, verdict: Verdict) -> Verdict:
    """A verdict without the central system, and how that is cut off."""
    return msgspec.structs.replace(verdict, why=f"{how}; {verdict.why}")


def _source(known: KnownTag) -> str:
    """Who says what of a tag, in words."""
    status = known.info.status
    expired = status is AuthorizationStatus.ACCEPTED and not known.valid
    word = AuthorizationStatus.EXPIRED.value if expired else status.value
    return f"the local list says {word}" if known.listed else f"the cache says {word}"
