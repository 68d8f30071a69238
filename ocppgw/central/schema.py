"""What the central system stores. Names and fields of the original are kept (O-12)."""

from __future__ import annotations

from datetime import timedelta

from ocppgw.storage.base import Collection

STATION = Collection("station", ("chargeBoxIdentity",), indexes=("registration",))
"""O-12 ``station``: chargeBoxIdentity, endpoint, chargePointVendor, chargePointModel, the
serial numbers, firmwareVersion, iccid, imsi, meterType, meterSerialNumber, status,
consumption (Wh), connectors [{id, status, consumption}]. Ours: registration, ocppVersion,
firstSeen, lastBoot, lastSeen, diagnosticsStatus, firmwareStatus (and each with At: when it
came). ``connectors`` and what is summed up from them is a copy for readers, some seconds late;
the truth is CONNECTOR."""

CONNECTOR = Collection("connector", ("chargeBoxIdentity", "id"))
"""One connector of a station: status (as shown), reported (as the station said last),
errorCode, info, vendorErrorCode, statusAt, consumption (Wh), consumptionAt."""

NOTIFICATION = Collection(
    "notification",
    ("id",),
    indexes=("unread", "receivedAt", "station.chargeBoxIdentity"),
    retention_field="receivedAt",
    retention=timedelta(days=90),
)
"""O-12 ``notification``: unread, connectorId, status, errorCode, timestamp, type, text,
station {endpoint, chargeBoxIdentity}. Ours: id, receivedAt, info, vendorId, vendorErrorCode."""

METERVALUES = Collection(
    "metervalues",
    ("chargeBoxIdentity", "id"),
    indexes=("transactionId",),
    retention_field="receivedAt",
    retention=timedelta(days=400),
)
"""O-12 ``metervalues``: chargeBoxIdentity, connectorId, value (energy register in Wh),
timestamp. Ours: id (in the order of time), transactionId, receivedAt, samples (JSON of the
request's values), suspect."""

USERS = Collection("users", ("idTagKey",))
"""O-12 ``users``: idTag, name and free fields. Ours: idTagKey (the tag casefolded), status,
expiryDate, parentIdTag, removed."""

TRANSACTION = Collection(
    "transaction",
    ("transactionId",),
    indexes=("chargeBoxIdentity", "state", "receivedAt", "synthetic"),
    retention_field="stopReceivedAt",
)
"""O-12 ``transaction``: idTag, transactionId, chargeBoxIdentity, connectorId, meterStart,
reservationId, timestamp (of the start). Ours: state ("active", "stopped", or "unstarted" for
a stop whose start is not known), startKey, attempt, latestAttempt, authorization, receivedAt,
lastMeter, lastMeterAt, stopTimestamp, stopReceivedAt (when the end became known), stopIdTag,
meterStop, reason, energy (Wh), suspect (a list of sentences), synthetic (the rule that ended
it, see ``zombies``; goes when the true stop comes)."""

STOP = Collection("stop", ("id",))
"""Which transaction (transactionId) a stop was given to whose id told none (Q21), so that its
repeat finds the same one."""

PENDING = Collection(
    "pending",
    ("number",),
    indexes=("chargeBoxIdentity", "acceptedAt", "endedAt"),
    retention_field="endedAt",
    retention=timedelta(days=30),
)
"""Commands to stations that may wait for them: number, chargeBoxIdentity, operation, request
(JSON), acceptedAt, by, until, state (see ``pending``), attempts, triedAt, sendingUntil, endedAt,
response (JSON), reason (a sentence)."""

SETTINGS = Collection("settings", ("name",))
"""What this installation made for itself: the secret behind its transaction ids."""

COLLECTIONS = (
    STATION,
    CONNECTOR,
    NOTIFICATION,
    METERVALUES,
    USERS,
    TRANSACTION,
    STOP,
    PENDING,
    SETTINGS,
)
