"""A plugin for tests: has the box say what nothing else makes it say.

A DataTransfer of vendor ``probe`` makes the box send DiagnosticsStatusNotification or
DataTransfer, as its message id has it, and gives back what came of it; with message id
``note`` the data is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ocppgw import hookimpl
from ocppgw.chargepoint import ChargePointCall, ChargePointContext, ChargePointHandler
from ocppgw.ocpp import enums, model

log = logging.getLogger(__name__)


@hookimpl
def ocppgw_charge_point_handlers(
    box: ChargePointContext,
) -> Mapping[type[model.Request], ChargePointHandler[Any]]:
    return {model.DataTransferRequest: _say}


async def _say(
    request: model.DataTransferRequest, call: ChargePointCall
) -> model.DataTransferResponse | None:
    if request.vendor_id != "probe":
        return None
    if request.message_id == "note":
        log.info("the probe was told: %s", request.data)
        return model.DataTransferResponse(status=enums.DataTransferStatus.ACCEPTED)
    says: dict[str | None, model.Request] = {
        "DiagnosticsStatusNotification": model.DiagnosticsStatusNotificationRequest(
            status=enums.DiagnosticsStatus.UPLOADED
        ),
        "DataTransfer": model.DataTransferRequest(
            vendor_id="probe", message_id="from the box", data=request.data
        ),
    }
    if request.message_id not in says:
        status = enums.DataTransferStatus.UNKNOWN_MESSAGE_ID
        return model.DataTransferResponse(status=status)
    response = await call.box.call(says[request.message_id])
    data = getattr(response, "data", None)
    return model.DataTransferResponse(status=enums.DataTransferStatus.ACCEPTED, data=data)
