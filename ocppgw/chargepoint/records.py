"""What a charge box keeps in its own store, and how it looks there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ocppgw.storage.base import Collection, Document

LAST_EVENTS = Collection("box_last_event", ("box", "connector_id", "kind"))
PLC_NOTES = Collection("box_plc_notes", ("box",))
TAGS = Collection("box_tags", ("box", "number"))
ANSWERS = Collection("box_answers", ("box", "number"), indexes=("connector_id",))
SESSIONS = Collection(
    "box_sessions",
    ("box", "session"),
    indexes=("done", "transaction_id", "ended_at"),
    retention_field="ended_at",
    retention=timedelta(days=400),  # unless the settings say otherwise
)
SAMPLES = Collection("box_samples", ("box", "session", "number"))
AVAILABILITY = Collection("box_availability", ("box", "connector_id"))
CONFIGURATION = Collection("box_configuration", ("box", "key"))
LOCAL_LISTS = Collection("box_local_list", ("box",))
LISTED_TAGS = Collection("box_listed_tags", ("box", "number", "place"))
JUDGED_TAGS = Collection("box_judged_tags", ("box", "number", "place"))
RESERVATIONS = Collection("box_reservations", ("box", "connector_id"))

COLLECTIONS = (
    LAST_EVENTS,
    PLC_NOTES,
    TAGS,
    ANSWERS,
    SESSIONS,
    SAMPLES,
    AVAILABILITY,
    CONFIGURATION,
    LOCAL_LISTS,
    LISTED_TAGS,
    JUDGED_TAGS,
    RESERVATIONS,
)


def collections(keep_sessions_days: int) -> tuple[Collection, ...]:
    """All of them, sessions kept for so long."""
    retention = timedelta(days=keep_sessions_days)
    sessions = msgspec.structs.replace(SESSIONS, retention=retention)
    return tuple(sessions if each is SESSIONS else each for each in COLLECTIONS)


def whole_second(moment: datetime) -> datetime:
    """The moment as it goes on the wire: UTC, no fractions."""
    return moment.astimezone(UTC).replace(microsecond=0)


class Session(msgspec.Struct, kw_only=True):
    """One charging session of the PLC, as the charge box knows it.

    ``session`` is our own name of it. ``transaction_id`` and ``accepted`` come with the
    central system's answer to the start; energy is in Wh. ``checkpoint_wh`` is the last
    energy that is surely on the disk. ``done`` once the stop was answered. ``flags`` are
    sentences about what is doubtful.
    """

    session: str
    connector_id: int
    event_id: str
    id_tag: str
    started_at: datetime
    meter_start: int
    checkpoint_wh: int
    checkpoint_at: datetime
    transaction_id: int | None = None
    accepted: bool | None = None
    ended_at: datetime | None = None
    meter_stop: int | None = None
    flags: tuple[str, ...] = ()
    done: bool = False

    @property
    def subject(self) -> str:
        """How narration calls it."""
        if self.transaction_id is None:
            return f"connector {self.connector_id}"
        return f"transaction {self.transaction_id}"

    def fields(self) -> Document:
        """All that is known, as storable fields."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None
        }


def session_of(document: Document) -> Session:
    """The session that a document holds; fields of others' are passed over."""
    return msgspec.convert(document, Session)
