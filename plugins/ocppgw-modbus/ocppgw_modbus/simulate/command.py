"""``ocppgw simulate plc MAP``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from ocppgw.clock import SystemClock
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.options import SerialOptions
from ocppgw_modbus.simulate.day import DEFAULT_DAY, Step, live, load_day
from ocppgw_modbus.simulate.handshakes import LAST_NUMBER, number_now
from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.lines import json_line, obey_lines, plain_line
from ocppgw_modbus.simulate.simulation import Simulation
from ocppgw_modbus.wires import Parity

LISTEN, PORT = "127.0.0.1", 5020


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    map: Path
    line: SerialOptions
    pty: bool
    listen: str
    port: int
    connectors: int | None
    speed: float
    day: Path | None
    energy: float
    sequence: int | None
    as_json: bool
    verbose: bool
    control: bool


@click.command("plc", short_help="A PLC as a Modbus server, from its register map.")
@click.argument("map", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--listen", help=f"Address to listen on; default: {LISTEN}.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port to listen on; 0: any free one; default: {PORT}.",
)
@click.option("--framing", type=click.Choice(["tcp", "rtu"]), help="RTU over TCP: rtu.")
@click.option("--serial", help="Answer on a serial port instead: /dev/ttyUSB1.")
@click.option("--baud-rate", type=int, help="Of the serial port; default: 19200.")
@click.option("--parity", type=click.Choice(["none", "even", "odd"]), help="Default: even.")
@click.option(
    "--pty", is_flag=True, help="Open a pseudo-terminal as serial port, and say its path."
)
@click.option(
    "--connectors", type=click.IntRange(min=1), help="How many; default, and at most: the map's."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Times as fast as the real clock.",
)
@click.option("--day", type=click.Path(dir_okay=False, path_type=Path), help="Script of the day.")
@click.option("--no-day", is_flag=True, help="Nothing happens by itself.")
@click.option(
    "--energy",
    type=click.FloatRange(min=0),
    default=100_000.0,
    show_default=True,
    help="Wh the meters start with.",
)
@click.option(
    "--sequence",
    type=click.IntRange(0, LAST_NUMBER),
    help="Number of the event before the first; default: from the clock.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what happens as JSON lines.")
@click.option("--verbose", is_flag=True, help="Print every step of the hand-shakes, too.")
@click.option("--control", is_flag=True, help="Obey orders from stdin, one JSON object a line.")
def simulate_plc(
    *,
    map: Path,  # noqa: A002, the argument's name is what the help shows
    listen: str | None,
    port: int | None,
    framing: str | None,
    serial: str | None,
    baud_rate: int | None,
    parity: str | None,
    pty: bool,
    connectors: int | None,
    speed: float,
    day: Path | None,
    no_day: bool,
    energy: float,
    sequence: int | None,
    as_json: bool,
    verbose: bool,
    control: bool,
) -> None:
    """Simulates the PLC that the register map MAP describes.

    A car arrives, a tag is presented, it charges and leaves: the day of --day, or one that
    is built in. With --control nothing happens but what the orders on stdin say.
    """
    line = _line(framing=framing, serial=serial, baud_rate=baud_rate, parity=parity, pty=pty)
    if (pty or serial is not None) and not (listen is None and port is None):
        no_tcp = "--pty" if pty else "--serial"
        raise click.UsageError(f"{no_tcp} is no TCP port, it goes with neither --listen nor --port")
    chosen = None if no_day or (control and day is None) else day or DEFAULT_DAY
    wishes = Wishes(
        map=map,
        line=line,
        pty=pty,
        listen=LISTEN if listen is None else listen,
        port=PORT if port is None else port,
        connectors=connectors,
        speed=speed,
        day=chosen,
        energy=energy,
        sequence=sequence,
        as_json=as_json,
        verbose=verbose,
        control=control,
    )
    asyncio.run(_simulate(wishes))


def _line(*, pty: bool, **said: Any) -> SerialOptions:
    """The line that the options describe; click's own error if they do not fit together."""
    line = SerialOptions(
        framing=None if said["framing"] is None else Framing(said["framing"]),
        serial=said["serial"],
        baud_rate=said["baud_rate"],
        parity=None if said["parity"] is None else Parity(said["parity"]),
    )
    if pty and line != SerialOptions():
        raise click.UsageError("--pty goes with none of --serial, --framing and their like")
    for fault in line.serial_faults():
        raise click.UsageError(fault)
    return line


async def _simulate(wishes: Wishes) -> None:
    clock = SystemClock()
    line_of = json_line if wishes.as_json else plain_line
    everything = wishes.as_json or wishes.verbose
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)

    def show(happening: Happening) -> None:
        if everything or not happening.is_step:
            write(line_of(happening))

    simulation = Simulation(
        wishes.map,
        connectors=wishes.connectors,
        speed=wishes.speed,
        energy=wishes.energy,
        sequence=number_now(clock) if wishes.sequence is None else wishes.sequence,
        observe=show,
    )
    day = None if wishes.day is None else load_day(wishes.day)
    where, details = await _start(simulation, wishes)
    text = f"the PLC of {wishes.map} {where}"
    show(Happening(at=0.0, event="listening", details=details, text=text))
    try:
        await _until(told, simulation, day, control=wishes.control)
    finally:
        await simulation.stop()


async def _start(simulation: Simulation, wishes: Wishes) -> tuple[str, dict[str, Any]]:
    """Starts it where it is wanted; says where, for people and for programs."""
    wire = wishes.line.serial_wire()
    if wishes.pty:
        path = await simulation.start_pty()
        return f"answers on {path}", {"serial": path}
    if wire is not None:
        await simulation.start_serial(wire)
        return f"answers on {wire}", {"serial": wire.path}
    framing = wishes.line.framing or Framing.TCP
    port = await simulation.start(wishes.listen, wishes.port, framing)
    return f"listens on {wishes.listen}:{port}", {"port": port}


async def _until(
    told: asyncio.Event, simulation: Simulation, day: list[Step] | None, *, control: bool
) -> None:
    """Until a signal tells, or the orders end."""
    works: list[asyncio.Future[Any]] = [asyncio.ensure_future(told.wait())]
    if control:
        works.append(asyncio.ensure_future(obey_lines(simulation, sys.stdin, write)))
    if day is not None:
        works.append(asyncio.ensure_future(live(simulation, day, SystemClock())))
    done, left = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
    for work in left:
        work.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for work in done:
        work.result()


def write(line: str) -> None:
    """A line on standard output, at once."""
    click.echo(line)
    sys.stdout.flush()
