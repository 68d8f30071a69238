"""The built-in plugin of the central system: the ten operations, and the authorizer.

Registered like anybody's, after third-party ones. What it does beyond the public contexts
(the cache of stations, the transactions) it gets from ``HookContext.core``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ocppgw.central import metervalues, notifications
from ocppgw.central.calls import HookContext, StationCall
from ocppgw.central.context import (
    AuthorizeContext,
    CentralCall,
    CentralContext,
    CentralHandler,
    Purpose,
)
from ocppgw.central.core import Authorizer, Core
from ocppgw.central.station import Station, boot_fields
from ocppgw.hooks import hookimpl
from ocppgw.ocpp.enums import AuthorizationStatus, DataTransferStatus, RegistrationStatus
from ocppgw.ocpp.model import (
    AuthorizeRequest,
    AuthorizeResponse,
    BootNotificationRequest,
    BootNotificationResponse,
    DataTransferRequest,
    DataTransferResponse,
    DiagnosticsStatusNotificationRequest,
    DiagnosticsStatusNotificationResponse,
    FirmwareStatusNotificationRequest,
    FirmwareStatusNotificationResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    IdTagInfo,
    MeterValuesRequest,
    MeterValuesResponse,
    Request,
    StartTransactionRequest,
    StartTransactionResponse,
    StatusNotificationRequest,
    StatusNotificationResponse,
    StopTransactionRequest,
    StopTransactionResponse,
)
from ocppgw.storage.base import Document


@hookimpl
def ocppgw_central_handlers(
    central: CentralContext,
) -> Mapping[type[Request], CentralHandler[Any]]:
    """Our own handlers of everything that a charge point sends."""
    return BuiltIn(_core(central)).handlers()


@hookimpl
def ocppgw_authorizers(central: CentralContext) -> Sequence[Authorizer]:
    """Our own authorizer: the tags of the configuration and of the store."""
    return [BuiltIn(_core(central)).allowed]


def _core(central: CentralContext) -> Core:
    assert isinstance(central, HookContext)
    return central.core


def record(call: CentralCall) -> Station:
    """The station behind a call, with what only we know of it."""
    assert isinstance(call, StationCall)
    return call.record


class BuiltIn:
    """The operations as O-10, O-12 and O-13 have them, durable where they must be."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._settings = core.settings
        self._transactions = core.transactions

    def handlers(self) -> dict[type[Request], CentralHandler[Any]]:
        """By request type."""
        return {
            AuthorizeRequest: self.authorize,
            BootNotificationRequest: self.boot_notification,
            DataTransferRequest: self.data_transfer,
            DiagnosticsStatusNotificationRequest: self.diagnostics_status,
            FirmwareStatusNotificationRequest: self.firmware_status,
            HeartbeatRequest: self.heartbeat,
            MeterValuesRequest: self.meter_values,
            StartTransactionRequest: self.start_transaction,
            StatusNotificationRequest: self.status_notification,
            StopTransactionRequest: self.stop_transaction,
        }

    async def allowed(self, id_tag: str, context: AuthorizeContext) -> IdTagInfo | None:
        """The authorizer."""
        info = await self._core.users.authorize(id_tag, context)
        if (
            self._settings.refuse_concurrent
            and context.purpose is Purpose.START
            and info is not None
            and info.status is AuthorizationStatus.ACCEPTED
            and self._core.running.elsewhere(id_tag, context.identity, context.connector_id)
        ):
            return IdTagInfo(
                status=AuthorizationStatus.CONCURRENT_TX,
                expiry_date=info.expiry_date,
                parent_id_tag=info.parent_id_tag,
            )
        return info

    async def authorize(self, request: AuthorizeRequest, call: CentralCall) -> AuthorizeResponse:
        return AuthorizeResponse(
            id_tag_info=await call.authorize(request.id_tag, Purpose.AUTHORIZE)
        )

    async def heartbeat(self, request: HeartbeatRequest, call: CentralCall) -> HeartbeatResponse:
        return HeartbeatResponse(current_time=call.received_at)

    async def data_transfer(
        self, request: DataTransferRequest, call: CentralCall
    ) -> DataTransferResponse:
        """No vendor is known here; plugins that know one answer before."""
        return DataTransferResponse(status=DataTransferStatus.UNKNOWN_VENDOR_ID)

    async def boot_notification(
        self, request: BootNotificationRequest, call: CentralCall
    ) -> BootNotificationResponse:
        station = record(call)
        fields = boot_fields(request) | {"lastBoot": call.received_at}
        await call.commit(
            station.set("boot", self._core.stamp(), fields),
            notifications.boot(call.identity, _endpoint(station), request, call.received_at),
        )
        return BootNotificationResponse(
            status=RegistrationStatus.ACCEPTED,
            current_time=call.received_at,
            interval=self._settings.heartbeat_interval,
        )

    async def status_notification(
        self, request: StatusNotificationRequest, call: CentralCall
    ) -> StatusNotificationResponse:
        station = record(call)
        call.also(
            notifications.status(
                call.identity,
                _endpoint(station),
                request,
                call.received_at,
                self._settings.clock_tolerance,
            )
        )
        connector = station.connector(request.connector_id, self._settings.max_connectors)
        if connector is not None:
            fields = {
                "reported": request.status.value,
                "errorCode": request.error_code.value,
                "info": request.info or "",
                "vendorErrorCode": request.vendor_error_code or "",
                "statusAt": request.timestamp or call.received_at,
            }
            call.also(station.status_change(connector, self._core.stamp(), fields))
        await call.commit()
        if request.info:
            station.report(call.received_at, request.info)
        return StatusNotificationResponse()

    async def firmware_status(
        self, request: FirmwareStatusNotificationRequest, call: CentralCall
    ) -> FirmwareStatusNotificationResponse:
        await self._progress("Firmware", request.status.value, call)
        return FirmwareStatusNotificationResponse()

    async def diagnostics_status(
        self, request: DiagnosticsStatusNotificationRequest, call: CentralCall
    ) -> DiagnosticsStatusNotificationResponse:
        await self._progress("Diagnostics", request.status.value, call)
        return DiagnosticsStatusNotificationResponse()

    async def _progress(self, what: str, state: str, call: CentralCall) -> None:
        station = record(call)
        field = f"{what.lower()}Status"
        await call.commit(
            station.set(field, self._core.stamp(), {field: state, f"{field}At": call.received_at}),
            notifications.progress(
                f"{what}StatusNotification",
                call.identity,
                _endpoint(station),
                state,
                call.received_at,
            ),
        )

    async def start_transaction(
        self, request: StartTransactionRequest, call: CentralCall
    ) -> StartTransactionResponse:
        """Always recorded, whatever the tag's verdict: it may already have happened."""
        info = await call.authorize(request.id_tag, Purpose.START, request.connector_id)
        number = await self._transactions.start(call, request, info)
        return StartTransactionResponse(transaction_id=number, id_tag_info=info)

    async def stop_transaction(
        self, request: StopTransactionRequest, call: CentralCall
    ) -> StopTransactionResponse:
        """Always recorded and answered; the tag's verdict is for the station's lists."""
        info = None
        if request.id_tag is not None:
            info = await call.authorize(request.id_tag, Purpose.STOP)
        stopped = await self._core.stops.stop(call, request)
        self._no_longer_charging(call, stopped)
        values = tuple(value for group in request.transaction_data for value in group.values)
        if values:
            call.also(
                metervalues.document(
                    call.identity,
                    stopped.get("connectorId", 0),
                    given=request.transaction_id,
                    belongs_to=stopped["transactionId"],
                    values=values,
                    received_at=call.received_at,
                    clock_tolerance=self._settings.clock_tolerance,
                )
            )
        return StopTransactionResponse(id_tag_info=info)

    def _no_longer_charging(self, call: CentralCall, stopped: Document) -> None:
        place = stopped.get("connectorId", -1)
        connector = record(call).connectors.get(place)
        running = self._core.running.on_connector(call.identity, place)
        if connector is not None and connector.charging and running is None:
            call.later(
                record(call).meter_change(connector, self._core.stamp(), {"charging": False})
            )

    async def meter_values(
        self, request: MeterValuesRequest, call: CentralCall
    ) -> MeterValuesResponse:
        values = request.meter_value
        if not values:
            return MeterValuesResponse()
        number, runs = await self._transactions.belonging(
            call.identity, request.transaction_id, request.connector_id, values[0].timestamp
        )
        stored = metervalues.document(
            call.identity,
            request.connector_id,
            given=request.transaction_id,
            belongs_to=number,
            values=values,
            received_at=call.received_at,
            clock_tolerance=self._settings.clock_tolerance,
        )
        await call.commit(stored)
        energy = stored.document.get("value")
        if number is not None and self._core.running.get(number) is None:
            runs = await self._core.zombies.late(number)
        self._show(request.connector_id, energy, call, number if runs else None)
        return MeterValuesResponse()

    def _show(
        self, connector_id: int, energy: float | None, call: CentralCall, running: int | None
    ) -> None:
        """Brings a reading to the station's and the transaction's documents (O-13)."""
        stamp = self._core.stamp()
        connector = record(call).connector(connector_id, self._settings.max_connectors)
        if connector is not None:
            fields: Document = {"charging": running is not None}
            if energy is not None:
                fields |= {"consumption": energy, "consumptionAt": call.received_at}
            call.later(record(call).meter_change(connector, stamp, fields))
        if running is not None and energy is not None:
            call.later(self._transactions.reading(running, energy, call.received_at, stamp))


def _endpoint(station: Station) -> str | None:
    return station.override or station.endpoint
