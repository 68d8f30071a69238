"""The line protocol: orders in, happenings out, one JSON object a line.

An order is what a day script has (``{"do": "arrive", "connector": 1}``); its reply is
``{"event": "done", "order": "arrive", "value": …}`` or ``{"event": "error", "text": …}``,
in the order of the orders. What happens in between is printed as it happens.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TextIO

import msgspec

from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.orders import AnyOrder
from ocppgw_modbus.simulate.simulation import Simulation

Write = Callable[[str], None]


def plain_line(happening: Happening) -> str:
    """A happening for people."""
    return f"PLC {happening.at:8.1f} s  {sentence(happening)}"


def sentence(happening: Happening) -> str:
    """Where, and what."""
    where = f"connector {happening.connector}: " if happening.connector else ""
    return f"{where}{happening.text}"


def json_line(happening: Happening) -> str:
    """A happening for programs."""
    return msgspec.json.encode(happening).decode()


async def obey(simulation: Simulation, line: str | bytes) -> dict[str, Any]:
    """Does what a line says; gives the reply."""
    try:
        order: AnyOrder = msgspec.json.decode(line, type=AnyOrder)
        value = await order.perform(simulation)
    except (msgspec.DecodeError, KeyError, TimeoutError) as error:
        return {"event": "error", "text": f"{type(error).__name__}: {error}"}
    return {"event": "done", "order": order.__struct_config__.tag, "value": value}


async def obey_lines(simulation: Simulation, source: TextIO, write: Write) -> None:
    """Obeys line by line until the source ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(source.fileno()), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while line := await reader.readline():
            if line.strip():
                write(msgspec.json.encode(await obey(simulation, line)).decode())
    finally:
        transport.close()
