"""Answers to what reserves connectors."""

from __future__ import annotations

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.chargepoint.operations import Outcome
from ocppgw.chargepoint.reservation_book import Reservation
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m


def handlers(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """By request type."""
    operations = box.operations

    async def reserve(request: m.ReserveNowRequest, call: ChargePointCall) -> m.Response:
        reservation = Reservation(
            reservation_id=request.reservation_id,
            connector_id=request.connector_id,
            id_tag=request.id_tag,
            parent_id_tag=request.parent_id_tag,
            expires_at=request.expiry_date,
        )
        return m.ReserveNowResponse(status=await operations.reserve(reservation))

    async def cancel(request: m.CancelReservationRequest, call: ChargePointCall) -> m.Response:
        outcome = await operations.cancel_reservation(request.reservation_id)
        done = outcome is Outcome.DONE
        status = e.CommandStatus.ACCEPTED if done else e.CommandStatus.REJECTED
        return m.CancelReservationResponse(status=status)

    return {m.ReserveNowRequest: reserve, m.CancelReservationRequest: cancel}
