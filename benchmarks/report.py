"""The figures as text, beside what they are aimed at."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.footprint import Footprint
from benchmarks.messages import HEARTBEAT, KINDS, METER, START
from benchmarks.rounds import Results

OURS = "ocppgw"
WEB = "bare twisted.web"
LLHTTP = "bare httptools"

CPU_TARGETS = {HEARTBEAT: 55.0, START: 100.0, METER: 250.0}  # microseconds a request
HEARTBEAT_RATIO = 1.6  # times the bare httptools server
CALL_KEPT, CALL_NEW = 70.0, 450.0  # microseconds a call
START_SECONDS, REST_MB = 0.6, 70.0
IDLE_KB, IDLE_TLS_KB = 4.0, 40.0


def requests(results: Results) -> Iterator[str]:
    """What a request costs, by kind and server."""
    yield f"{'':22}{'CPU µs':>9}{'req/s':>9}{'x bare':>9}   target"
    for kind in KINDS:
        yield kind + (", durable" if kind != HEARTBEAT else "")
        for server in (WEB, LLHTTP, OURS):
            cpu = results.cpu_us(server, kind)
            line = f"  {server:20}{cpu:9.1f}{results.rate(server, kind):9.0f}"
            line += f"{results.ratio(server, LLHTTP, kind):9.2f}"
            if server == OURS:
                line += f"   {_judged(cpu, CPU_TARGETS[kind], 'µs')}"
                if kind == HEARTBEAT:
                    ratio = results.ratio(OURS, LLHTTP, kind)
                    line += f", {_judged(ratio, HEARTBEAT_RATIO, 'x bare')}"
            yield line


def calls(kept: float, new: float) -> Iterator[str]:
    """What a call of our SOAP client costs."""
    yield _row("SOAP client, kept connection", kept, CALL_KEPT, "µs")
    yield _row("SOAP client, new connection", new, CALL_NEW, "µs")


def footprint(found: Footprint) -> Iterator[str]:
    """Memory and start-up."""
    yield _row("start to first answer", found.start, START_SECONDS, "s")
    yield _row("process at rest", found.rest / 1e6, REST_MB, "MB")
    yield _row("idle connection", found.idle / 1e3, IDLE_KB, "KB")
    yield _row("idle connection, TLS", found.idle_tls / 1e3, IDLE_TLS_KB, "KB")


def _row(name: str, value: float, target: float, unit: str) -> str:
    return f"{name:30}{value:9.2f} {unit:3}   {_judged(value, target, unit)}"


def _judged(value: float, target: float, unit: str) -> str:
    if value <= target:
        return f"<= {target:g} {unit}: hit"
    return f"<= {target:g} {unit}: MISSED by {(value / target - 1) * 100:.0f} %"
