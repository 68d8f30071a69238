"""The built-in answers of a charge box to its central system, registered as any plugin's."""

from __future__ import annotations

from collections.abc import Mapping

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall, ChargePointContext
from ocppgw.chargepoint.operations import Outcome
from ocppgw.hooks import hookimpl
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

NO_LOCAL_LIST = -1


@hookimpl
def ocppgw_charge_point_handlers(
    box: ChargePointContext,
) -> Mapping[type[m.Request], AnyChargePointHandler]:
    """All fifteen operations of OCPP 1.5."""
    assert isinstance(box, BoxContext)
    return {**_commands(box), **_keys(box), **_NOT_OFFERED, m.UpdateFirmwareRequest: _firmware(box)}


def _commands(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """What has effect on the PLC."""
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
            return m.ChangeAvailabilityResponse(status=e.AvailabilityStatus.REJECTED)
        operative = request.type is e.AvailabilityType.OPERATIVE
        status = await operations.change_availability(request.connector_id, operative=operative)
        return m.ChangeAvailabilityResponse(status=status)

    async def reset(request: m.ResetRequest, call: ChargePointCall) -> m.Response:
        if isinstance(request.type, e.Unknown):
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


def _keys(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """Reading and changing the configuration."""
    configuration = box.configuration

    async def get(request: m.GetConfigurationRequest, call: ChargePointCall) -> m.Response:
        known, unknown = configuration.read(request.key)
        return m.GetConfigurationResponse(configuration_key=known, unknown_key=unknown)

    async def change(request: m.ChangeConfigurationRequest, call: ChargePointCall) -> m.Response:
        status = await configuration.change(request.key, request.value)
        return m.ChangeConfigurationResponse(status=status)

    return {m.GetConfigurationRequest: get, m.ChangeConfigurationRequest: change}


def _firmware(box: BoxContext) -> AnyChargePointHandler:
    async def update_firmware(
        request: m.UpdateFirmwareRequest, call: ChargePointCall
    ) -> m.Response:
        """The answer has no way to say no: that nothing is downloaded follows at once."""
        failed = m.FirmwareStatusNotificationRequest(status=e.FirmwareStatus.DOWNLOAD_FAILED)
        await box.announce("firmware", failed)
        return m.UpdateFirmwareResponse()

    return update_firmware


async def _data_transfer(request: m.DataTransferRequest, call: ChargePointCall) -> m.Response:
    """Only plugins know vendors; this comes after them."""
    return m.DataTransferResponse(status=e.DataTransferStatus.UNKNOWN_VENDOR_ID)


async def _clear_cache(request: m.ClearCacheRequest, call: ChargePointCall) -> m.Response:
    """There is no cache to clear."""
    return m.ClearCacheResponse(status=e.CommandStatus.REJECTED)


async def _list_version(request: m.GetLocalListVersionRequest, call: ChargePointCall) -> m.Response:
    return m.GetLocalListVersionResponse(list_version=NO_LOCAL_LIST)


async def _send_list(request: m.SendLocalListRequest, call: ChargePointCall) -> m.Response:
    return m.SendLocalListResponse(status=e.UpdateStatus.NOT_SUPPORTED)


async def _reserve(request: m.ReserveNowRequest, call: ChargePointCall) -> m.Response:
    """Rejected means: not configured to accept reservations."""
    return m.ReserveNowResponse(status=e.ReservationStatus.REJECTED)


async def _cancel_reservation(
    request: m.CancelReservationRequest, call: ChargePointCall
) -> m.Response:
    return m.CancelReservationResponse(status=e.CommandStatus.REJECTED)


async def _diagnostics(request: m.GetDiagnosticsRequest, call: ChargePointCall) -> m.Response:
    """No file name means: there is nothing to upload."""
    return m.GetDiagnosticsResponse()


_NOT_OFFERED: dict[type[m.Request], AnyChargePointHandler] = {
    m.DataTransferRequest: _data_transfer,
    m.ClearCacheRequest: _clear_cache,
    m.GetLocalListVersionRequest: _list_version,
    m.SendLocalListRequest: _send_list,
    m.ReserveNowRequest: _reserve,
    m.CancelReservationRequest: _cancel_reservation,
    m.GetDiagnosticsRequest: _diagnostics,
}

_UNLOCK = {
    Outcome.DONE: e.UnlockStatus.UNLOCKED,
    Outcome.REFUSED: e.UnlockStatus.UNLOCK_FAILED,
    Outcome.UNSUPPORTED: e.UnlockStatus.NOT_SUPPORTED,
}


def _status(outcome: Outcome) -> e.CommandStatus:
    return e.CommandStatus.ACCEPTED if outcome is Outcome.DONE else e.CommandStatus.REJECTED
