"""Calls of the central system: from handler to handler until one answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from ocppgw.chargepoint.context import AnyChargePointHandler, ChargePointCall
from ocppgw.chargepoint.narrator import ROLE
from ocppgw.clock import Clock
from ocppgw.observe import Exchange, Observed
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Operation

log = logging.getLogger(__name__)

Handlers = Mapping[type[Request], Sequence[tuple[str, AnyChargePointHandler]]]


class Dispatch:
    """The handlers of one charge box, in the order they are asked."""

    def __init__(self, clock: Clock, observe: Callable[[Observed], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._handlers: Handlers = {}

    def use(self, handlers: Handlers) -> None:
        """Sets who answers what: by request type, plugin name and handler, first come
        first asked."""
        self._handlers = handlers

    async def answer(
        self, operation: Operation, request: Request, call: ChargePointCall
    ) -> Response:
        """The first answer that is one; raises :class:`Fault` if there is none."""
        began = self._clock.monotonic()
        response: Response | None = None
        error: str | None = None
        try:
            response = await self._ask(operation, request, call)
        except Fault as fault:
            error = str(fault)
            raise
        finally:
            if response is not None or error is not None:
                self._observe(
                    Exchange(
                        at=self._clock.now(),
                        role=ROLE,
                        sent=False,
                        identity=call.identity,
                        version=call.version,
                        direction=operation.direction,
                        operation=operation.name,
                        request=request,
                        response=response,
                        error=error,
                        seconds=self._clock.monotonic() - began,
                    )
                )
        return response

    async def _ask(self, operation: Operation, request: Request, call: ChargePointCall) -> Response:
        for plugin, handler in self._handlers.get(type(request), ()):
            try:
                response = await handler(request, call)
            except Fault:
                raise
            except Exception:
                log.exception(
                    "%s: %s: the handler of plugin %s failed", call.identity, operation.name, plugin
                )
                raise Fault.internal_error(f"the handler of plugin {plugin} failed") from None
            if isinstance(response, operation.response):
                return response
            if response is not None:
                what = f"plugin {plugin} answered with a {type(response).__name__}"
                log.error("%s: %s: %s", call.identity, operation.name, what)
                raise Fault.internal_error(what)
        raise Fault.not_supported(f"no handler for {operation.name}")
