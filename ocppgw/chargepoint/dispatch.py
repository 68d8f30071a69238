"""Calls of the central system: from handler to handler until one answers."""

from __future__ import annotations

import asyncio
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

    def __init__(self, clock: Clock, observe: Callable[[Observed], None], deadline: float) -> None:
        """``deadline`` is what a plugin's handler may take, in seconds."""
        self._clock = clock
        self._observe = observe
        self._deadline = deadline
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
                # Ours have the PLC's deadlines.
                async with asyncio.timeout(None if _is_built_in(handler) else self._deadline):
                    response = await handler(request, call)
            except Fault:
                raise
            except TimeoutError:
                raise _failed(
                    operation, call, f"{plugin} did not answer in {self._deadline:g} s"
                ) from None
            except Exception as error:
                raise _failed(operation, call, f"{plugin} failed", error) from error
            if isinstance(response, operation.response):
                return response
            if response is not None:
                what = f"{plugin} answered with a {type(response).__name__}"
                raise _failed(operation, call, what)
        raise Fault.not_supported(f"no handler for {operation.name}")


def _failed(
    operation: Operation, call: ChargePointCall, what: str, error: Exception | None = None
) -> Fault:
    """The fault for what a plugin's handler did, with the error's trace in the log."""
    sentence = f"the handler of plugin {what}"
    log.error("%s: %s: %s", call.identity, operation.name, sentence, exc_info=error)
    return Fault.internal_error(sentence)


def _is_built_in(handler: AnyChargePointHandler) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("ocppgw.chargepoint.")
