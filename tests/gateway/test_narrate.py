"""The story on the console."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

import pytest

from ocppgw import narrate
from ocppgw.logs import Lines, actor
from ocppgw.narrate import Narrator
from ocppgw.observe import Exchange, StateChange
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import OPERATIONS, Version

REFUSED_START = "CP-1 ← central: RemoteStartTransaction (idTag A1, connectorId 1): Rejected"
RESERVED = (
    "ReserveNow (connectorId 1, expiryDate 2026-01-31T12:00:00Z, idTag empty,"
    " reservationId 3): Occupied"
)
STARTED = (
    "CP-1 → central: connector 1 starts to charge with tag A1 at 1.000 kWh:"
    " transaction 17, Accepted"
)
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
INFO = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)


def exchange(
    request: m.Request,
    response: m.Response | None = None,
    *,
    role: str = "charge point",
    error: str | None = None,
) -> Exchange:
    operation = next(o for o in OPERATIONS if o.request is type(request))
    return Exchange(
        at=AT,
        role=role,
        sent=True,
        identity="CP-1",
        version=Version.V15,
        direction=operation.direction,
        operation=operation.name,
        request=request,
        response=response,
        error=error,
        seconds=0.1,
    )


def told(caplog: pytest.LogCaptureFixture, *observed: Exchange | StateChange) -> list[str]:
    caplog.set_level(logging.INFO, "ocppgw.story")
    narrator = Narrator(["OWN-1"])
    for each in observed:
        narrator(each)
    return [f"{actor(record)}: {record.getMessage()}" for record in caplog.records]


def test_a_session_is_told_in_plain_words(caplog: pytest.LogCaptureFixture) -> None:
    sampled = (
        m.SampledValue(value="1500"),
        m.SampledValue(
            value="11000", measurand=e.Measurand.POWER_ACTIVE_IMPORT, unit=e.UnitOfMeasure.W
        ),
        m.SampledValue(value="230", phase=e.Phase.L1, unit=e.UnitOfMeasure.V),
    )
    boot = m.BootNotificationRequest(
        charge_point_vendor="ACME", charge_point_model="Wall", firmware_version="1.2"
    )
    story = told(
        caplog,
        StateChange(at=AT, role="charge point", identity="CP-1", subject="plc", what="online"),
        exchange(
            boot,
            m.BootNotificationResponse(
                status=e.RegistrationStatus.ACCEPTED, current_time=AT, interval=20
            ),
        ),
        exchange(m.AuthorizeRequest(id_tag="A1"), m.AuthorizeResponse(id_tag_info=INFO)),
        exchange(
            m.StartTransactionRequest(connector_id=1, id_tag="A1", timestamp=AT, meter_start=1000),
            m.StartTransactionResponse(transaction_id=17, id_tag_info=INFO),
        ),
        exchange(
            m.MeterValuesRequest(
                connector_id=1, meter_value=(m.MeterValue(timestamp=AT, sampled_value=sampled),)
            ),
            m.MeterValuesResponse(),
        ),
        exchange(
            m.StopTransactionRequest(
                transaction_id=17, timestamp=AT, meter_stop=3500, reason=e.Reason.LOCAL
            ),
            m.StopTransactionResponse(),
        ),
    )

    assert story == [
        "CP-1: plc: online",
        "CP-1 → central: boots as ACME Wall, software 1.2: Accepted, heartbeat every 20 s",
        "CP-1 → central: asks whether tag A1 may charge: Accepted",
        STARTED,
        "CP-1 → central: connector 1 meters 1.500 kWh, 11000 W",
        "CP-1 → central: transaction 17 stops at 3.500 kWh (Local), 2.500 kWh charged",
    ]


def test_status_commands_and_failures(caplog: pytest.LogCaptureFixture) -> None:
    status = m.StatusNotificationRequest(
        connector_id=2,
        status=e.ChargePointStatus.FAULTED,
        error_code=e.ChargePointErrorCode.GROUND_FAILURE,
        info="wet",
    )
    station = m.StatusNotificationRequest(
        connector_id=0,
        status=e.ChargePointStatus.AVAILABLE,
        error_code=e.ChargePointErrorCode.NO_ERROR,
    )
    story = told(
        caplog,
        exchange(status, m.StatusNotificationResponse()),
        exchange(station, error="no connection"),
        exchange(
            m.RemoteStartTransactionRequest(id_tag="A1", connector_id=1),
            m.RemoteStartTransactionResponse(status=e.CommandStatus.REJECTED),
            role="central",
        ),
        exchange(m.ClearCacheRequest(), error="time-out", role="central"),
        exchange(
            m.StopTransactionRequest(transaction_id=4, timestamp=AT, meter_stop=1),
            m.StopTransactionResponse(),
        ),
        exchange(m.MeterValuesRequest(connector_id=1), m.MeterValuesResponse()),
    )

    assert story == [
        "CP-1 → central: connector 2 is Faulted, GroundFailure, wet",
        "CP-1 → central: the station is Available; failed: no connection",
        REFUSED_START,
        "CP-1 ← central: ClearCache; failed: time-out",
        "CP-1 → central: transaction 4 stops at 0.001 kWh",
        "CP-1 → central: connector 1 meters nothing",
    ]
    assert [record.levelname for record in caplog.records][:2] == ["INFO", "WARNING"]


def test_heartbeats_are_not_told_unless_they_fail(caplog: pytest.LogCaptureFixture) -> None:
    story = told(
        caplog,
        exchange(m.HeartbeatRequest(), m.HeartbeatResponse(current_time=AT)),
        exchange(m.HeartbeatRequest(), error="no connection"),
    )

    assert story == ["CP-1 → central: Heartbeat; failed: no connection"]


def test_what_a_box_told_of_itself_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    status = m.StatusNotificationRequest(
        connector_id=2,
        status=e.ChargePointStatus.AVAILABLE,
        error_code=e.ChargePointErrorCode.NO_ERROR,
    )
    answer = m.StatusNotificationResponse()
    state = StateChange(
        at=AT, role="charge point", identity="CP-1", subject="connector 2", what="is Available"
    )
    accepted = StateChange(
        at=AT,
        role="charge point",
        identity="CP-1",
        subject="central system",
        what="accepted",
        echo=True,
    )

    assert told(caplog, state, accepted, exchange(status, answer)) == [
        "CP-1: connector 2: is Available"
    ]
    caplog.clear()
    assert told(caplog, exchange(status, answer)) == ["CP-1 → central: connector 2 is Available"]


def test_a_refusal_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def note(info: str | None) -> Exchange:
        status = m.StatusNotificationRequest(
            connector_id=2,
            status=e.ChargePointStatus.CHARGING,
            error_code=e.ChargePointErrorCode.NO_ERROR,
            info=info,
        )
        return exchange(status, m.StatusNotificationResponse())

    def state(what: str) -> StateChange:
        return StateChange(
            at=AT, role="charge point", identity="CP-1", subject="connector 2", what=what
        )

    story = told(
        caplog,
        state("is Charging"),
        state("reserve refused: the connector is in use"),
        note("reserve: in use"),
        note("the fan is loud"),
        note(None),
    )

    assert story == [
        "CP-1: connector 2: is Charging",
        "CP-1: connector 2: reserve refused: the connector is in use",
        "CP-1 → central: connector 2 is Charging, the fan is loud",
        "CP-1 → central: connector 2 is Charging",
    ]


def test_that_the_plc_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def state(subject: str, what: str) -> StateChange:
        return StateChange(at=AT, role="charge point", identity="CP-1", subject=subject, what=what)

    faulted = m.StatusNotificationRequest(
        connector_id=1,
        status=e.ChargePointStatus.FAULTED,
        error_code=e.ChargePointErrorCode.OTHER_ERROR,
        info="PLC: it closed the conn",
    )
    away = state("plc", "offline: it closed the connection")
    story = told(
        caplog,
        away,
        state("connector 1", "is Faulted"),
        exchange(faulted, m.StatusNotificationResponse()),
    )

    assert story == [
        "CP-1: plc: offline: it closed the connection",
        "CP-1: connector 1: is Faulted",
    ]


@pytest.mark.parametrize(
    ("request_", "response", "sentence"),
    [
        (
            m.SendLocalListRequest(
                update_type=e.UpdateType.FULL,
                list_version=9,
                local_authorization_list=(m.AuthorizationData(id_tag="A1", id_tag_info=INFO),),
            ),
            m.SendLocalListResponse(status=e.UpdateStatus.ACCEPTED),
            "SendLocalList (Full, version 9, 1 tag): Accepted",
        ),
        (
            m.GetLocalListVersionRequest(),
            m.GetLocalListVersionResponse(list_version=9),
            "GetLocalListVersion: version 9",
        ),
        (
            m.GetConfigurationRequest(key=("One", "Two")),
            m.GetConfigurationResponse(
                configuration_key=(m.KeyValue(key="One", readonly=False, value="1"),),
                unknown_key=("Two",),
            ),
            "GetConfiguration (key One Two): 1 key, not known: Two",
        ),
        (
            m.ReserveNowRequest(connector_id=1, expiry_date=AT, id_tag="", reservation_id=3),
            m.ReserveNowResponse(status=e.ReservationStatus.OCCUPIED),
            RESERVED,
        ),
        (
            m.GetDiagnosticsRequest(location="ftp://x/"),
            m.GetDiagnosticsResponse(),
            "GetDiagnostics (location ftp://x/): there is no file",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_commands_are_told_in_words_of_the_wire(
    caplog: pytest.LogCaptureFixture, request_: m.Request, response: m.Response, sentence: str
) -> None:
    assert told(caplog, exchange(request_, response)) == [f"CP-1 ← central: {sentence}"]


def test_a_line_has_a_column_for_who_speaks() -> None:
    def line(name: str, level: int, **extra: str) -> str:
        record = logging.LogRecord(name, level, "", 0, "it %s", ("rains",), None)
        record.__dict__.update(extra)
        return re.sub(r"^[\d:]{8}", "TIME", Lines().format(record))

    assert line("ocppgw.gateway", logging.INFO) == "TIME  gateway             it rains"
    assert line("ocppgw.story", logging.INFO, actor="PLC") == "TIME  PLC                 it rains"
    assert line("ocppgw.story", logging.WARNING, actor="CP-1 → central") == (
        "TIME  CP-1 → central      warning: it rains"
    )
    assert line("ocppgw.net", logging.ERROR) == "TIME  ocppgw.net          error: it rains"
    assert line("weather", logging.INFO) == "TIME  weather             it rains"


def test_what_a_box_of_ours_says_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    import msgspec

    seen_by_central = exchange(m.AuthorizeRequest(id_tag="A1"), role="central")

    assert told(caplog, msgspec.structs.replace(seen_by_central, identity="OWN-1")) == []


def test_a_reading_that_is_no_number_is_shown_as_it_came(caplog: pytest.LogCaptureFixture) -> None:
    sampled = (m.SampledValue(value="much"),)
    values = m.MeterValuesRequest(
        connector_id=1, meter_value=(m.MeterValue(timestamp=AT, sampled_value=sampled),)
    )

    assert told(caplog, exchange(values)) == ["CP-1 → central: connector 1 meters much Wh"]


def test_only_so_many_transactions_are_remembered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrate, "REMEMBERED", 1)
    start = m.StartTransactionRequest(connector_id=1, id_tag="A", timestamp=AT, meter_start=0)
    observed = [
        exchange(start, m.StartTransactionResponse(transaction_id=n, id_tag_info=INFO))
        for n in (1, 2)
    ] + [
        exchange(
            m.StopTransactionRequest(transaction_id=n, timestamp=AT, meter_stop=1000),
            m.StopTransactionResponse(),
        )
        for n in (1, 2)
    ]

    assert told(caplog, *observed)[2:] == [
        "CP-1 → central: transaction 1 stops at 1.000 kWh",
        "CP-1 → central: transaction 2 stops at 1.000 kWh, 1.000 kWh charged",
    ]


def test_nobody_narrates_where_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    class Gateway:
        def identities(self) -> tuple[str, ...]:
            return ()

    caplog.set_level(logging.WARNING, "ocppgw.story")
    assert narrate.ocppgw_observers(Gateway()) == []  # type: ignore[arg-type]
    caplog.set_level(logging.INFO, "ocppgw.story")
    assert len(narrate.ocppgw_observers(Gateway())) == 1  # type: ignore[arg-type]
