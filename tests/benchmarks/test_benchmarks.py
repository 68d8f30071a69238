"""The benchmark runs, and sends what it says it sends; its figures are nobody's business here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import messages, report
from benchmarks.rounds import Results, Slice
from ocppgw.ocpp.model import HeartbeatRequest, MeterValuesRequest, StartTransactionRequest
from ocppgw.ocpp.operations import Direction
from ocppgw.ocpp.soap import Call, decode_call


def decoded(kind: str, counter: int) -> tuple[Call, int]:
    head, _, body = messages.template(kind, "BENCH-01", 7).filled(counter).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return decode_call(body, Direction.TO_CENTRAL_SYSTEM), len(body)


def test_the_messages() -> None:
    assert isinstance(decoded(messages.HEARTBEAT, 1)[0].request, HeartbeatRequest)
    first, second = (decoded(messages.START, counter)[0].request for counter in (1, 2))
    assert isinstance(first, StartTransactionRequest)
    assert first != second
    call, size = decoded(messages.METER, 3)
    assert isinstance(call.request, MeterValuesRequest)
    assert [len(value.sampled_value) for value in call.request.meter_value] == [8] * 4
    assert 4500 < size < 5500


def test_hit_and_miss_are_told() -> None:
    results = Results()
    for server, cpu in ((report.WEB, 200.0), (report.LLHTTP, 30.0), (report.OURS, 60.0)):
        for kind in messages.KINDS:
            for factor in (1, 2, 3):
                results.add(server, kind, Slice(cpu_us=cpu * factor, rate=1000.0))
    lines = list(report.requests(results))
    assert "120.0     1000     2.00   <= 55 µs: MISSED by 118 %, <= 1.6 x bare" in lines[4]
    assert "<= 250 µs: hit" in lines[-1]


@pytest.mark.slow
def test_one_short_round(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As ``python -m benchmarks`` would, with a slice for each figure."""
    options = ["--rounds=1", "--seconds=0.1", "--calls=80", "--idle=20", "--starts=1", "--rest=0"]
    command.main([*options, f"--store={tmp_path}"])
    printed = capfd.readouterr().out
    for expected in (*messages.KINDS, "req/s", "new connection", "process at rest", "TLS"):
        assert expected in printed
    assert list(tmp_path.iterdir()) == []
