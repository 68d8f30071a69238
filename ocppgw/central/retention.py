"""For how long the central system keeps what piles up."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from ocppgw.central.schema import COLLECTIONS, METERVALUES, NOTIFICATION, PENDING, TRANSACTION
from ocppgw.storage.base import Collection

Days: TypeAlias = Annotated[int, Meta(ge=1, le=36_500)]  # a calendar has no room for any number


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is older is removed, at the start and once an hour; a key without a value keeps
    for ever."""

    notifications: Annotated[
        Days | None,
        Meta(description="Days that notifications are kept after they came."),
    ] = 90
    meter_values: Annotated[
        Days | None,
        Meta(description="Days that meter values are kept after they came."),
    ] = 400
    pending: Annotated[
        Days | None,
        Meta(description="Days that commands sent with `--later` are kept after their end."),
    ] = 30
    transactions: Annotated[
        Days | None,
        Meta(
            description="Days that transactions are kept after their end was stored; those that"
            " run stay. Left out: for ever."
        ),
    ] = None


def collections(retention: RetentionSettings) -> tuple[Collection, ...]:
    """Everything the central system stores, each collection kept for as long as configured."""
    days = {
        NOTIFICATION.name: retention.notifications,
        METERVALUES.name: retention.meter_values,
        PENDING.name: retention.pending,
        TRANSACTION.name: retention.transactions,
    }
    return tuple(
        _kept(collection, days[collection.name]) if collection.name in days else collection
        for collection in COLLECTIONS
    )


def _kept(collection: Collection, days: int | None) -> Collection:
    retention = None if days is None else timedelta(days=days)
    return msgspec.structs.replace(collection, retention=retention)
