"""One station as the central system knows it while it is in touch with it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from ocppgw.central.schema import CONNECTOR, STATION
from ocppgw.central.settings import StationSettings, networks
from ocppgw.central.turns import Turn
from ocppgw.link.endpoint import Network
from ocppgw.ocpp.model import BootNotificationRequest
from ocppgw.ocpp.operations import Version
from ocppgw.storage.base import Document, Ensure, Projection, Put

UNKNOWN_STATUS = "Unknown"
CHARGING = "Charging"
_MAY_BE_CHARGING = frozenset({UNKNOWN_STATUS, "Available", "Occupied", "Preparing", CHARGING})
_COPIED = ("status", "consumption", "connectors")
REPORTS_KEPT = 16
WARNINGS_KEPT = 32
_BOOT_FIELDS = {
    "charge_point_vendor": "chargePointVendor",
    "charge_point_model": "chargePointModel",
    "charge_point_serial_number": "chargePointSerialNumber",
    "charge_box_serial_number": "chargeBoxSerialNumber",
    "firmware_version": "firmwareVersion",
    "iccid": "iccid",
    "imsi": "imsi",
    "meter_type": "meterType",
    "meter_serial_number": "meterSerialNumber",
}


class Registration(Enum):
    """Whether a station may talk to us, and by whose word."""

    CONFIGURED = "configured"
    ACCEPTED = "accepted"
    PENDING = "pending"
    REFUSED = "refused"


class Connector:
    """What a connector last said; ``fields`` as the collection has them."""

    __slots__ = ("fields", "id")

    def __init__(self, connector_id: int, document: Document | None = None) -> None:
        self.id = connector_id
        self.fields: Document = dict(document or {})

    @property
    def charging(self) -> bool:
        """Whether values of a running transaction have come in."""
        return bool(self.fields.get("charging", False))

    @property
    def consumption(self) -> float | None:
        """The energy register as last read, in Wh."""
        return self.fields.get("consumption")

    @property
    def status(self) -> str:
        """As shown: the reported one, or Charging while values of a transaction come in."""
        reported: str = self.fields.get("reported", UNKNOWN_STATUS)
        return CHARGING if self.charging and reported in _MAY_BE_CHARGING else reported

    def summary(self) -> Document:
        """As the original has it in the station's document."""
        return {"id": self.id, "status": self.status, "consumption": self.consumption or 0}


class Station:
    """A station's document in memory, and what belongs to it in this process only."""

    __slots__ = (
        "called_as",
        "connectors",
        "endpoint",
        "fields",
        "identity",
        "last_seen",
        "networks",
        "new",
        "override",
        "registration",
        "remote_seen",
        "reports",
        "said",
        "turn",
        "version",
        "waiters",
        "warned",
    )

    def __init__(
        self,
        identity: str,
        registration: Registration,
        settings: StationSettings | None,
        document: Document | None,
        connectors: Sequence[Document] = (),
    ) -> None:
        self.identity = identity
        self.registration = registration
        self.override = settings.endpoint if settings else None
        self.networks: tuple[Network, ...] = networks(settings.addresses) if settings else ()
        self.new = document is None
        self.fields: Document = dict(document or {})
        self.fields.setdefault("chargeBoxIdentity", identity)
        self.connectors = {d["id"]: Connector(d["id"], d) for d in connectors}
        for assumed in self.fields.get("connectors", ()):
            self.connectors.setdefault(assumed["id"], Connector(assumed["id"]))
        self.endpoint: str | None = self.fields.get("endpoint")
        self.version = _version(self.fields.get("ocppVersion"))
        self.last_seen: datetime | None = self.fields.get("lastSeen")
        self.said: object = None
        self.remote_seen: str | None = None
        self.called_as: str | None = None
        self.turn = Turn()
        self.warned: set[str] = set()
        self.reports: deque[tuple[datetime, str]] = deque(maxlen=REPORTS_KEPT)
        self.waiters: set[asyncio.Future[str]] = set()

    @property
    def accepted(self) -> bool:
        return self.registration in (Registration.CONFIGURED, Registration.ACCEPTED)

    def first(self, now: datetime, assumed_connectors: int) -> Ensure:
        """The document of a station seen for the first time (O-13)."""
        for number in range(1, assumed_connectors + 1):
            self.connectors.setdefault(number, Connector(number))
        self.fields |= {"registration": self.registration.value, "firstSeen": now}
        self.new = False
        return Ensure(STATION, self.document())

    def document(self) -> Document:
        """The whole document (O-12), newly put together."""
        document = {name: value for name, value in self.fields.items() if name not in _COPIED}
        if self.endpoint is not None:
            document["endpoint"] = self.endpoint
        if self.last_seen is not None:
            document["lastSeen"] = self.last_seen
        return document | self._copied()

    def _copied(self) -> Document:
        connectors = [self.connectors[number] for number in sorted(self.connectors)]
        outlets = [c for c in connectors if c.id > 0]
        metered = [c.consumption for c in outlets if c.consumption is not None]
        if not metered:
            metered = [c.consumption for c in connectors if c.consumption is not None]
        return {
            "status": _overall(self.connectors.get(0), outlets),
            "consumption": sum(metered),
            "connectors": [c.summary() for c in outlets],
        }

    def set(self, part: str, version: int, fields: Document) -> Put:
        """Changes fields here and gives the change that stores them."""
        self.fields |= fields
        return Put(STATION, (self.identity,), fields, version, part)

    def unwritten_change(self, version: int) -> Put:
        """What need not have been durable at once: that it was seen, and the copies."""
        fields = self._copied()
        if self.last_seen is not None:
            fields["lastSeen"] = self.last_seen
        if self.endpoint is not None:
            fields["endpoint"] = self.endpoint
        fields["ocppVersion"] = self.version.value
        return Put(STATION, (self.identity,), fields, version, "live")

    def connector(self, number: int, highest: int) -> Connector | None:
        """That connector, made if there is none yet; ``None`` if it cannot be one."""
        connector = self.connectors.get(number)
        if connector is None and 0 <= number <= highest:
            connector = self.connectors[number] = Connector(number)
        return connector

    def status_change(self, connector: Connector, version: int, fields: Document) -> Projection:
        """Takes what a StatusNotification says of a connector."""
        return self._connector_change(connector, version, fields, "status")

    def meter_change(self, connector: Connector, version: int, fields: Document) -> Projection:
        """Takes what is known of a connector's energy: consumption, consumptionAt, charging."""
        return self._connector_change(connector, version, fields, "meter")

    def _connector_change(
        self, connector: Connector, version: int, fields: Document, part: str
    ) -> Projection:
        connector.fields |= fields
        return Put(CONNECTOR, (self.identity, connector.id), fields, version, part)

    def report(self, at: datetime, text: str) -> None:
        """Keeps what a station said of itself, for whoever asks why a command was refused."""
        self.reports.append((at, text))
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(text)

    def warn_once(self, warning: str) -> bool:
        """Whether this warning of this station is new; only so many are remembered."""
        if warning in self.warned or len(self.warned) >= WARNINGS_KEPT:
            return False
        self.warned.add(warning)
        return True


def _overall(whole: Connector | None, outlets: Sequence[Connector]) -> str:
    statuses = {c.status for c in outlets}
    if whole is not None and whole.status not in (UNKNOWN_STATUS, "Available"):
        return whole.status
    if CHARGING in statuses:
        return CHARGING
    if len(statuses) == 1:
        return statuses.pop()
    if statuses:
        return "Available" if "Available" in statuses else sorted(statuses)[0]
    return whole.status if whole is not None else UNKNOWN_STATUS


def _version(text: object) -> Version:
    try:
        return Version(text)
    except ValueError:
        return Version.V15


def boot_fields(request: BootNotificationRequest) -> Document:
    """What a BootNotification says of a station, as its document has it (O-12)."""
    return {
        field: value
        for name, field in _BOOT_FIELDS.items()
        if (value := getattr(request, name)) is not None
    }
