"""Answers to what maintenance asks: diagnostics, firmware, a vendor's own messages."""

from __future__ import annotations

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

NOT_CONFIGURED = "not configured"


def handlers(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """By request type."""
    return {
        m.DataTransferRequest: _data_transfer,
        m.GetDiagnosticsRequest: _diagnostics(box),
        m.UpdateFirmwareRequest: _firmware(box),
    }


def _firmware(box: BoxContext) -> AnyChargePointHandler:
    async def update_firmware(
        request: m.UpdateFirmwareRequest, call: ChargePointCall
    ) -> m.Response:
        """The answer has no way to say no: that nothing is downloaded follows at once."""
        failed = m.FirmwareStatusNotificationRequest(status=e.FirmwareStatus.DOWNLOAD_FAILED)
        await box.announce("firmware", failed)
        box.operations.explain(0, "update firmware", NOT_CONFIGURED)
        return m.UpdateFirmwareResponse()

    return update_firmware


async def _data_transfer(request: m.DataTransferRequest, call: ChargePointCall) -> m.Response:
    """Only plugins know vendors; this comes after them."""
    return m.DataTransferResponse(status=e.DataTransferStatus.UNKNOWN_VENDOR_ID)


def _diagnostics(box: BoxContext) -> AnyChargePointHandler:
    async def get_diagnostics(
        request: m.GetDiagnosticsRequest, call: ChargePointCall
    ) -> m.Response:
        """No file name means: there is nothing to upload."""
        box.operations.explain(0, "diagnostics", NOT_CONFIGURED)
        return m.GetDiagnosticsResponse()

    return get_diagnostics
