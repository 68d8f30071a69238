"""Answers to what fills and clears the station's own lists of tags."""

from __future__ import annotations

from ocppgw.chargepoint.calls import BoxContext
from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.chargepoint.local_list import NotTaken
from ocppgw.chargepoint.tags import NotCleared
from ocppgw.ocpp import model as m
from ocppgw.ocpp.enums import CommandStatus, UpdateStatus


def handlers(box: BoxContext) -> dict[type[m.Request], AnyChargePointHandler]:
    """By request type."""
    tags = box.tags

    async def clear_cache(request: m.ClearCacheRequest, call: ChargePointCall) -> m.Response:
        try:
            await tags.clear_cache()
        except NotCleared as why:
            box.operations.explain(0, "clear cache", str(why))
            return m.ClearCacheResponse(status=CommandStatus.REJECTED)
        return m.ClearCacheResponse(status=CommandStatus.ACCEPTED)

    async def list_version(
        request: m.GetLocalListVersionRequest, call: ChargePointCall
    ) -> m.Response:
        return m.GetLocalListVersionResponse(list_version=tags.local_list.version)

    async def send_list(request: m.SendLocalListRequest, call: ChargePointCall) -> m.Response:
        try:
            await tags.local_list.update(request)
        except NotTaken as why:
            box.operations.explain(0, "local list", str(why))
            return m.SendLocalListResponse(status=why.status)
        return m.SendLocalListResponse(status=UpdateStatus.ACCEPTED)

    return {
        m.ClearCacheRequest: clear_cache,
        m.GetLocalListVersionRequest: list_version,
        m.SendLocalListRequest: send_list,
    }
