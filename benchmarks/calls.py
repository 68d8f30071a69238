"""Our SOAP client: CPU a call, over a kept connection and with a new one each time.

``python -m benchmarks.calls PORT CALLS`` prints the microseconds a call.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

from twisted.internet import asyncioreactor

from benchmarks.messages import PATH
from benchmarks.processes import ROOT, bare, running

AT_ONCE = 8


def microseconds(kind: str, calls: int) -> float:
    """CPU microseconds a Heartbeat call, encoded, sent and decoded, in a process of its own.

    ``kind`` is the server of benchmarks.bare that answers: ``soap`` or ``closing``.
    """
    server = bare(kind, kind)
    with running(server):
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.calls", str(server.port), str(calls)],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
        ).stdout
    return float(output)


async def _measure(reactor: Any, port: int, calls: int) -> float:
    from ocppgw.clock import SystemClock
    from ocppgw.link.soap import SoapPeer
    from ocppgw.net.client import HttpClient
    from ocppgw.ocpp.model import HeartbeatRequest
    from ocppgw.ocpp.operations import Direction, Version

    http = HttpClient(reactor)
    peer = SoapPeer(
        http,
        identity="BENCH-00",
        version=Version.V15,
        direction=Direction.TO_CENTRAL_SYSTEM,
        endpoint=lambda: f"http://127.0.0.1:{port}{PATH}",
        own_address=lambda: "http://127.0.0.1:9000/Ocpp/ChargePointService",
        new_message_id=lambda: "urn:uuid:00000000-0000-4000-8000-000000000000",
        observe=None,
        clock=SystemClock(),
        role="charge point",
    )

    async def some(count: int) -> None:
        for _ in range(count):
            await peer.call(HeartbeatRequest(), 30)

    await some(200)
    before = time.process_time()
    await asyncio.gather(*(some(calls // AT_ONCE) for _ in range(AT_ONCE)))
    used = time.process_time() - before
    await http.close()
    return used / (calls // AT_ONCE * AT_ONCE) * 1e6


def main(port: int, calls: int) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import reactor

    running_reactor: Any = reactor

    async def run() -> None:
        try:
            print(await _measure(running_reactor, port, calls))
        finally:
            running_reactor.stop()

    tasks: list[asyncio.Task[None]] = []
    running_reactor.callLater(0, lambda: tasks.append(asyncio.ensure_future(run())))
    running_reactor.run()
    tasks[0].result()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
