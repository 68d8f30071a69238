"""Answers to what reads and changes the configuration."""

from __future__ import annotations

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.configuration import NotChanged
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m


def handlers(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """By request type."""
    configuration = box.configuration

    async def get(request: m.GetConfigurationRequest, call: ChargePointCall) -> m.Response:
        known, unknown = configuration.read(request.key)
        return m.GetConfigurationResponse(configuration_key=known, unknown_key=unknown)

    async def change(request: m.ChangeConfigurationRequest, call: ChargePointCall) -> m.Response:
        status = e.ConfigurationStatus.ACCEPTED
        try:
            await configuration.change(request.key, request.value)
        except NotChanged as why:
            status = why.status
            box.operations.explain(0, request.key, why.reason, str(why))
        return m.ChangeConfigurationResponse(status=status)

    return {m.GetConfigurationRequest: get, m.ChangeConfigurationRequest: change}
