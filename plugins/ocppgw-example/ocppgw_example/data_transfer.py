"""A handler for either side: answers DataTransfer for one vendor."""

from ocppgw.central import CentralCall
from ocppgw.chargepoint import ChargePointCall
from ocppgw.ocpp import enums, model


class VendorService:
    """Message ``echo`` sends the data back, ``time`` the receiver's time."""

    def __init__(self, vendor_id: str) -> None:
        self._vendor_id = vendor_id

    async def __call__(
        self, request: model.DataTransferRequest, call: CentralCall | ChargePointCall
    ) -> model.DataTransferResponse | None:
        if request.vendor_id != self._vendor_id:
            return None  # somebody else's: the next handler is asked
        match request.message_id:
            case "echo":
                return _accepted(request.data)
            case "time":
                return _accepted(call.received_at.isoformat(timespec="seconds"))
            case _:
                status = enums.DataTransferStatus.UNKNOWN_MESSAGE_ID
                return model.DataTransferResponse(status=status)


def _accepted(data: str | None) -> model.DataTransferResponse:
    return model.DataTransferResponse(status=enums.DataTransferStatus.ACCEPTED, data=data)
