"""The built-in answers of a charge box to its central system, registered as any plugin's."""

from __future__ import annotations

from collections.abc import Mapping

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointContext
from ocppgw.chargepoint.handlers import commands, keys, maintenance, reservations, tags
from ocppgw.hooks import hookimpl
from ocppgw.ocpp.model import Request

TOPICS = (commands, keys, tags, reservations, maintenance)


@hookimpl
def ocppgw_charge_point_handlers(
    box: ChargePointContext,
) -> Mapping[type[Request], AnyChargePointHandler]:
    """All fifteen operations of OCPP 1.5."""
    assert isinstance(box, BoxContext)
    found: dict[type[Request], AnyChargePointHandler] = {}
    for topic in TOPICS:
        found |= topic.handlers(box)
    return found
