"""Answers to commands that have effect on the PLC."""

from __future__ import annotations

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.chargepoint.operations import Outcome
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

_UNLOCK = {
    Outcome.DONE: e.UnlockStatus.UNLOCKED,
    Outcome.REFUSED: e.UnlockStatus.UNLOCK_FAILED,
    Outcome.UNSUPPORTED: e.UnlockStatus.NOT_SUPPORTED,
}


def handlers(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """By request type."""
    operations = box.operations

    async def remote_start(
        request: m.RemoteStartTransactionRequest, call: ChargePointCall
    ) -> m.Response:
        outcome = await operations.remote_start(request.connector_id, request.id_tag)
        return m.RemoteStartTransactionResponse(status=_status(outcome))

    async def remote_stop(
        request: m.RemoteStopTransactionRequest, call: ChargePointCall
    ) -> m.Response:
        outcome = await operations.remote_stop(request.transaction_id)
        return m.RemoteStopTransactionResponse(status=_status(outcome))

    async def unlock(request: m.UnlockConnectorRequest, call: ChargePointCall) -> m.Response:
        outcome = await operations.unlock(request.connector_id)
        return m.UnlockConnectorResponse(status=_UNLOCK[outcome])

    async def change_availability(
        request: m.ChangeAvailabilityRequest, call: ChargePointCall
    ) -> m.Response:
        if isinstance(request.type, e.Unknown):
            why = f"there is no type {request.type.value}"
            operations.explain(request.connector_id, "availability", why)
            return m.ChangeAvailabilityResponse(status=e.AvailabilityStatus.REJECTED)
        operative = request.type is e.AvailabilityType.OPERATIVE
        status = await operations.change_availability(request.connector_id, operative=operative)
        return m.ChangeAvailabilityResponse(status=status)

    async def reset(request: m.ResetRequest, call: ChargePointCall) -> m.Response:
        if isinstance(request.type, e.Unknown):
            operations.explain(0, "reset", f"there is no type {request.type.value}")
            return m.ResetResponse(status=e.CommandStatus.REJECTED)
        outcome = await operations.reset(hard=request.type is e.ResetType.HARD)
        return m.ResetResponse(status=_status(outcome))

    return {
        m.RemoteStartTransactionRequest: remote_start,
        m.RemoteStopTransactionRequest: remote_stop,
        m.UnlockConnectorRequest: unlock,
        m.ChangeAvailabilityRequest: change_availability,
        m.ResetRequest: reset,
    }


def _status(outcome: Outcome) -> e.CommandStatus:
    return e.CommandStatus.ACCEPTED if outcome is Outcome.DONE else e.CommandStatus.REJECTED
