"""Who is let in, what is learned of a station, and what its documents hold."""

import asyncio
import logging
from datetime import timedelta

import pytest

from ocppgw.central.schema import CONNECTOR, NOTIFICATION, STATION
from ocppgw.central.settings import (
    CentralSettings,
    IdentityCase,
    StationSettings,
    UnknownStations,
    UserSettings,
    UserStatus,
)
from ocppgw.central.station import Registration
from ocppgw.errors import UserError
from ocppgw.ocpp import UNREADABLE_TIME, Fault
from ocppgw.ocpp.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    DataTransferStatus,
    DiagnosticsStatus,
    FirmwareStatus,
    RegistrationStatus,
)
from ocppgw.ocpp.model import (
    AuthorizeRequest,
    BootNotificationRequest,
    DataTransferRequest,
    DiagnosticsStatusNotificationRequest,
    FirmwareStatusNotificationRequest,
    HeartbeatRequest,
    StatusNotificationRequest,
)


def status(connector_id=1, status=ChargePointStatus.AVAILABLE, **more):
    more.setdefault("error_code", ChargePointErrorCode.NO_ERROR)
    return StatusNotificationRequest(connector_id=connector_id, status=status, **more)


async def refused(bench, request, **more):
    with pytest.raises(Fault) as caught:
        await bench.call(request, **more)
    return caught.value.subcode


# Unknown stations


async def test_an_unknown_station_is_refused_and_told_to_try_again(make, tools, caplog):
    bench = await make(unknown_stations=UnknownStations.REFUSE)

    answers = [await bench.call(tools.boot) for _ in range(3)]

    assert {a.status for a in answers} == {RegistrationStatus.REJECTED}
    assert answers[0].interval == 60
    assert await refused(bench, HeartbeatRequest()) == "SecurityError"
    assert await bench.all(STATION) == []
    assert await bench.all(NOTIFICATION) == []
    assert [r.message for r in caplog.records if "refused" in r.message] == [
        (
            "station 'CP-1' at 10.0.0.7 is refused: list it under central_system.stations,"
            " or set unknown_stations to accept or pending"
        )
    ]
    await bench.central.stop()


async def test_an_accepted_station_is_stored_with_unknown_connectors(make, tools):
    bench = await make(assumed_connectors=2)
    request = BootNotificationRequest(
        charge_point_vendor="V",
        charge_point_model="M",
        charge_point_serial_number="P1",
        charge_box_serial_number="B1",
        firmware_version="1.0",
        iccid="89",
        imsi="26",
        meter_type="MT",
        meter_serial_number="M1",
    )

    answer = await bench.call(request)

    now = bench.clock.now()
    assert answer.status is RegistrationStatus.ACCEPTED
    assert answer.interval == 20
    assert answer.current_time == now
    await bench.central.flush()
    [document] = await bench.all(STATION)
    assert document == {
        "chargeBoxIdentity": "CP-1",
        "endpoint": "http://10.0.0.7:9000/Ocpp/ChargePointService",
        "chargePointVendor": "V",
        "chargePointModel": "M",
        "chargePointSerialNumber": "P1",
        "chargeBoxSerialNumber": "B1",
        "firmwareVersion": "1.0",
        "iccid": "89",
        "imsi": "26",
        "meterType": "MT",
        "meterSerialNumber": "M1",
        "status": "Unknown",
        "consumption": 0,
        "connectors": [
            {"id": 1, "status": "Unknown", "consumption": 0},
            {"id": 2, "status": "Unknown", "consumption": 0},
        ],
        "registration": "accepted",
        "ocppVersion": "1.5",
        "firstSeen": now,
        "lastBoot": now,
        "lastSeen": now,
    }
    await bench.central.stop()


async def test_boot_is_durable_before_it_is_answered(make, tools):
    bench = await make()

    await bench.call(tools.boot)

    [document] = await bench.all(STATION)  # without a flush
    assert document["chargePointVendor"] == "Vendor"
    [notification] = await bench.all(NOTIFICATION)
    assert notification["type"] == "BootNotification"
    assert notification["text"] == "started: Vendor Model"
    await bench.central.stop()


async def test_a_pending_station_waits_for_an_operators_word(make, tools):
    bench = await make(unknown_stations=UnknownStations.PENDING)
    assert (await bench.call(tools.boot)).status is RegistrationStatus.REJECTED
    assert await refused(bench, HeartbeatRequest()) == "SecurityError"
    assert await refused(bench, tools.start()) == "SecurityError"
    [waiting] = await bench.central.views.stations(Registration.PENDING)
    assert waiting["chargePointVendor"] == "Vendor"
    assert waiting["calledFrom"] == "10.0.0.7"

    await bench.central.accept_station("CP-1")
    accepted = await bench.call(tools.boot)
    await bench.call(HeartbeatRequest())
    await bench.central.refuse_station("CP-1")

    assert accepted.status is RegistrationStatus.ACCEPTED
    assert await refused(bench, HeartbeatRequest()) == "SecurityError"
    assert (await bench.call(tools.boot)).status is RegistrationStatus.REJECTED
    assert await bench.central.views.stations(Registration.PENDING) == []
    await bench.central.stop()


async def test_an_operators_word_reaches_other_processes_at_the_next_boot(make, tools):
    one = await make()
    await one.call(tools.boot)
    other = await one.another()

    await other.central.refuse_station("CP-1")

    assert (await one.call(tools.boot)).status is RegistrationStatus.REJECTED
    assert await refused(one, HeartbeatRequest()) == "SecurityError"
    await one.central.stop()
    await other.central.stop()


async def test_an_accepted_station_stays_so_when_it_boots_again_or_the_policy_changes(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    assert (await bench.call(tools.boot)).status is RegistrationStatus.ACCEPTED
    await bench.central.stop()

    stricter = await make(storage=bench.storage, unknown_stations=UnknownStations.REFUSE)

    assert (await stricter.call(tools.boot)).status is RegistrationStatus.ACCEPTED
    await stricter.central.stop()


async def test_a_station_taken_off_the_list_is_unknown_again(make, tools):
    refuse = UnknownStations.REFUSE
    bench = await make(unknown_stations=refuse, stations={"CP-1": StationSettings()})
    assert (await bench.call(tools.boot)).status is RegistrationStatus.ACCEPTED
    assert (await bench.call(tools.boot)).status is RegistrationStatus.ACCEPTED
    with pytest.raises(UserError, match="listed in the configuration"):
        await bench.central.refuse_station("CP-1")
    await bench.central.stop()

    shorter = await make(unknown_stations=refuse, storage=bench.storage)

    assert (await shorter.call(tools.boot)).status is RegistrationStatus.REJECTED
    await shorter.central.stop()


async def test_deciding_on_a_station_that_never_called(make):
    bench = await make()

    with pytest.raises(UserError, match="never called"):
        await bench.central.accept_station("nobody")
    await bench.central.stop()


async def test_strangers_fill_neither_the_store_nor_the_memory(make, tools):
    bench = await make(unknown_stations=UnknownStations.PENDING, max_stations=5)

    for number in range(20):
        await bench.call(tools.boot, identity=f"invented-{number}")

    assert len(await bench.all(STATION)) == 5
    assert bench.central._core.stations.in_memory() == {}
    await bench.central.stop()


@pytest.mark.parametrize("identity", ["x" * 300, " "])
async def test_an_identity_of_any_length_is_no_station(make, tools, identity):
    bench = await make(unknown_stations=UnknownStations.ACCEPT)

    with pytest.raises(Fault):
        await bench.call(tools.boot, identity=identity)
    assert await bench.all(STATION) == []
    await bench.central.stop()


async def test_first_calls_that_come_together_make_one_station(make, tools):
    bench = await make()

    await asyncio.gather(*(bench.call(HeartbeatRequest()) for _ in range(5)))

    assert len(await bench.all(STATION)) == 1
    assert len(bench.central._core.stations.in_memory()) == 1
    await bench.central.stop()


@pytest.mark.parametrize(("policy", "stations"), [(IdentityCase.FOLD, 1), (IdentityCase.EXACT, 2)])
async def test_the_case_of_identities_counts_as_configured(make, tools, policy, stations):
    bench = await make(identity_case=policy, stations={"Cp-1": StationSettings()})

    await bench.call(tools.boot, identity="CP-1")
    await bench.call(tools.boot, identity="Cp-1")

    assert len(await bench.all(STATION)) == stations
    await bench.central.stop()


async def test_a_station_calls_from_its_own_addresses_only(make, tools, caplog):
    listed = {"CP-1": StationSettings(addresses=("10.0.0.0/24", "fd00::7"))}
    bench = await make(stations=listed)

    assert (await bench.call(tools.boot)).status is RegistrationStatus.ACCEPTED
    assert (await bench.call(HeartbeatRequest(), remote="fd00::7")).current_time
    assert await refused(bench, tools.boot, remote="10.0.1.7") == "SecurityError"
    assert await refused(bench, HeartbeatRequest(), remote="10.0.1.7") == "SecurityError"
    assert [r.message for r in caplog.records if "may not call from" in r.message] != []
    await bench.central.stop()


async def test_without_a_host_header_our_own_address_stays_unknown(make):
    bench = await make(listen="ssl:443")

    await bench.post(bench.envelope(HeartbeatRequest()), host=b"")
    assert bench.central._core.stations.known("CP-1").called_as is None
    body = bench.envelope(HeartbeatRequest())
    await bench.post(body, host=b"cs.example", remote="10.0.0.8")

    station = bench.central._core.stations.known("CP-1")
    assert station.called_as == "https://cs.example/Ocpp/CentralSystemService"
    await bench.central.stop()


async def test_behind_a_trusted_proxy_the_forwarded_address_counts(make, tools):
    bench = await make(proxies=("10.0.0.7",))

    await bench.call(tools.boot, x_forwarded_for=b"1.1.1.1, 192.0.2.5")
    await bench.call(tools.boot, identity="CP-2", remote="10.9.9.9", x_forwarded_for=b"1.1.1.1")

    endpoints = {s["chargeBoxIdentity"]: s["endpoint"] for s in await bench.central.stations()}
    assert endpoints == {
        "CP-1": "http://192.0.2.5:9000/Ocpp/ChargePointService",
        "CP-2": "http://10.9.9.9:9000/Ocpp/ChargePointService",
    }
    await bench.central.stop()


# What is learned


async def test_the_endpoint_is_refreshed_by_any_message_and_kept_if_nothing_better_comes(
    make, tools
):
    bench = await make()

    async def endpoint(sender, remote="10.0.0.7"):
        await bench.call(HeartbeatRequest(), sender=sender, remote=remote)
        return (await bench.central.views.station("CP-1"))["endpoint"]

    assert await endpoint("http://1.2.3.4:8080/a") == "http://10.0.0.7:8080/a"
    anonymous = "http://www.w3.org/2005/08/addressing/anonymous"
    assert await endpoint(anonymous) == "http://10.0.0.7:8080/a"
    assert await endpoint("garbage") == "http://10.0.0.7:8080/a"
    assert await endpoint("https://me/b", remote="10.0.0.8") == "https://10.0.0.8:443/b"
    await bench.central.stop()


async def test_last_seen_is_stored_within_a_second_and_not_waited_for(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    await bench.clock.advance(100)

    await bench.call(HeartbeatRequest())
    seen = bench.clock.now()
    assert (await bench.central.stations())[0]["lastSeen"] == seen
    assert (await bench.all(STATION))[0].get("lastSeen") != seen
    await bench.clock.advance(1)

    assert (await bench.all(STATION))[0]["lastSeen"] == seen
    await bench.central.stop()


async def test_oddities_of_a_station_are_logged_once(make, tools, caplog):
    bench = await make()
    await bench.call(tools.boot)
    odd = bench.envelope(HeartbeatRequest()).replace(b">/Heartbeat<", b">/Something<")

    for _ in range(3):
        assert (await bench.post(odd)).status == 200

    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("station CP-1, taken all the same: Action")
    await bench.central.stop()


# Reports


async def test_a_status_is_an_unread_notification_and_shows_at_its_connector(make, tools):
    bench = await make()
    request = status(
        2,
        ChargePointStatus.FAULTED,
        error_code=ChargePointErrorCode.GROUND_FAILURE,
        info="wet",
        vendor_id="ACME",
        vendor_error_code="E7",
        timestamp=tools.T0,
    )

    for _ in range(2):  # a repeat counts once
        await bench.call(request)

    [notification] = await bench.central.views.notifications(unread=True, identity="CP-1")
    assert len(notification.pop("id")) == 32
    assert notification == {
        "unread": True,
        "type": "StatusNotification",
        "text": "connector 2 is Faulted, GroundFailure, E7, wet",
        "connectorId": 2,
        "status": "Faulted",
        "errorCode": "GroundFailure",
        "info": "wet",
        "vendorId": "ACME",
        "vendorErrorCode": "E7",
        "timestamp": tools.T0,
        "receivedAt": bench.clock.now(),
        "station": {
            "chargeBoxIdentity": "CP-1",
            "endpoint": "http://10.0.0.7:9000/Ocpp/ChargePointService",
        },
    }
    [station] = await bench.central.stations()
    assert station["connectors"][1]["status"] == "Faulted"
    assert station["connectors"][1]["info"] == "wet"
    await bench.central.stop()


async def test_reports_without_a_believable_time_are_told_apart_by_their_receipt(make, tools):
    bench = await make()
    for timestamp in (None, UNREADABLE_TIME):
        for _ in range(2):
            await bench.call(status(0, timestamp=timestamp))
            await bench.clock.advance(1)

    documents = await bench.all(NOTIFICATION)
    assert len(documents) == 4
    assert documents[0]["text"] == "the station is Available"
    await bench.central.stop()


async def test_the_newest_status_counts_even_within_a_millisecond(make, tools):
    bench = await make()
    for state in (ChargePointStatus.OCCUPIED, ChargePointStatus.FAULTED):
        await bench.call(status(1, state, info="x" if state.value == "Occupied" else None))

    [document] = await bench.all(CONNECTOR)
    assert (document["reported"], document["info"]) == ("Faulted", "")
    await bench.central.stop()


async def test_a_notification_is_read_once(make, tools):
    bench = await make()
    await bench.call(status())
    [notification] = await bench.central.views.notifications(unread=True)

    await bench.central.views.mark_read(notification["id"])

    assert await bench.central.views.notifications(unread=True) == []
    assert len(await bench.central.views.notifications()) == 1
    with pytest.raises(UserError, match="no notification"):
        await bench.central.views.mark_read("nonsense")
    await bench.central.stop()


async def test_progress_reports_are_notifications_and_stand_in_the_station(make, tools):
    bench = await make()

    await bench.call(FirmwareStatusNotificationRequest(status=FirmwareStatus.INSTALLED))
    await bench.call(DiagnosticsStatusNotificationRequest(status=DiagnosticsStatus.UPLOADED))

    [station] = await bench.all(STATION)
    assert station["firmwareStatus"] == "Installed"
    assert station["diagnosticsStatus"] == "Uploaded"
    assert station["firmwareStatusAt"] == station["diagnosticsStatusAt"] == bench.clock.now()
    texts = {n["type"]: n["text"] for n in await bench.all(NOTIFICATION)}
    assert texts == {
        "FirmwareStatusNotification": "firmware: Installed",
        "DiagnosticsStatusNotification": "diagnostics: Uploaded",
    }
    await bench.central.stop()


async def test_data_for_a_vendor_that_nobody_knows(make, tools):
    bench = await make()

    answer = await bench.call(DataTransferRequest(vendor_id="ACME"))

    assert answer.status is DataTransferStatus.UNKNOWN_VENDOR_ID
    await bench.central.stop()


@pytest.mark.parametrize("connector", [1634030126, -1])
async def test_a_report_of_an_impossible_connector_is_kept_but_adds_none(make, tools, connector):
    bench = await make()

    await bench.call(status(connector))

    assert len(await bench.all(NOTIFICATION)) == 1
    assert await bench.all(CONNECTOR) == []
    await bench.central.stop()


@pytest.mark.parametrize(
    ("whole", "first", "second", "shown"),
    [
        (None, None, None, "Unknown"),
        ("AVAILABLE", "OCCUPIED", "AVAILABLE", "Available"),
        ("FAULTED", "AVAILABLE", "AVAILABLE", "Faulted"),
        (None, "OCCUPIED", "OCCUPIED", "Occupied"),
        (None, "OCCUPIED", "FAULTED", "Faulted"),
    ],
)
async def test_a_stations_status_sums_up_its_connectors(make, tools, whole, first, second, shown):
    bench = await make()
    await bench.call(tools.boot)
    for number, state in enumerate((whole, first, second)):
        if state is not None:
            await bench.call(status(number, ChargePointStatus[state]))

    assert (await bench.central.stations())[0]["status"] == shown
    await bench.central.stop()


async def test_without_connectors_the_stations_own_status_shows(make, tools):
    bench = await make(assumed_connectors=0)
    await bench.call(tools.boot)
    assert (await bench.central.stations())[0]["status"] == "Unknown"

    await bench.call(status(0))

    assert (await bench.central.stations())[0]["status"] == "Available"
    await bench.central.stop()


async def test_connectors_and_endpoint_survive_a_restart(make, tools):
    bench = await make()
    await bench.call(status(2, ChargePointStatus.OCCUPIED))
    await bench.central.stop()

    again = await bench.another()
    before = await again.central.views.station("CP-1")
    await again.call(HeartbeatRequest())
    [after] = await again.central.stations()

    for station in (before, after):
        assert [(c["id"], c["status"]) for c in station["connectors"]] == [
            (1, "Unknown"),
            (2, "Occupied"),
        ]
        assert station["endpoint"] == "http://10.0.0.7:9000/Ocpp/ChargePointService"
    await again.central.stop()


async def test_configured_stations_show_before_they_call(make, tools):
    url = "http://station.example:9000/x"
    bench = await make(stations={"CP-9": StationSettings(endpoint=url)})

    station = await bench.central.views.station("CP-9")

    assert station == (await bench.central.stations())[0]
    assert (station["registration"], station["endpoint"]) == ("configured", url)
    assert station["reachability"] == {"state": "unknown", "why": ""}
    assert await bench.central.views.station("CP-8") is None
    await bench.central.stop()


# Tags


@pytest.mark.parametrize(
    ("tag", "status", "expires"),
    [("tag", "Accepted", 30), ("BLOCKED", "Blocked", None), ("OLD", "Expired", None)],
)
async def test_configured_tags(make, tag, status, expires):
    bench = await make(
        users=(
            UserSettings(id_tag="TAG", parent_id_tag="PARENT"),
            UserSettings(id_tag="BLOCKED", status=UserStatus.BLOCKED),
            UserSettings(id_tag="OLD", status=UserStatus.EXPIRED),
        )
    )

    info = (await bench.call(AuthorizeRequest(id_tag=tag))).id_tag_info

    assert info.status.value == status
    if expires:
        assert info.expiry_date == bench.clock.now() + timedelta(days=expires)
        assert info.parent_id_tag == "PARENT"
    await bench.central.stop()


async def test_stored_tags_come_change_expire_and_go(make):
    bench = await make(users=())
    users = bench.central.users

    async def verdict(tag="Tag"):
        return (await bench.call(AuthorizeRequest(id_tag=tag))).id_tag_info

    assert (await verdict()).status.value == "Invalid"
    soon = bench.clock.now() + timedelta(seconds=100)
    await users.put(UserSettings(id_tag="TAG", expiry_date=soon, name="Ann"))
    assert (await verdict("tAG")).expiry_date == soon
    await bench.clock.advance(100)
    assert (await verdict()).status.value == "Expired"
    await users.put(UserSettings(id_tag="TAG"))
    assert (await verdict()).status.value == "Accepted"
    assert await users.all() == [{"idTag": "TAG", "status": "accepted"}]
    await users.remove("tag")
    assert (await verdict()).status.value == "Invalid"
    assert await users.all() == []
    with pytest.raises(UserError, match="nothing to remove"):
        await users.remove("tag")
    await users.put(UserSettings(id_tag="TAG"))
    assert (await verdict()).status.value == "Accepted"
    await bench.central.stop()


async def test_configured_tags_win_and_are_changed_in_the_configuration(make):
    bench = await make()
    with pytest.raises(UserError, match="listed in the configuration"):
        await bench.central.users.put(UserSettings(id_tag="tag"))
    with pytest.raises(UserError, match="listed in the configuration"):
        await bench.central.users.remove("TAG")

    assert await bench.central.users.all() == [
        {"idTag": "TAG", "status": "accepted", "configured": True}
    ]
    await bench.central.stop()


async def test_a_tag_changed_by_another_process_counts_after_the_caches_time(make):
    one = await make(users=(), users_cache=30)
    other = await one.another()
    request = AuthorizeRequest(id_tag="TAG")
    assert (await one.call(request)).id_tag_info.status.value == "Invalid"

    await other.central.users.put(UserSettings(id_tag="TAG"))
    assert (await one.call(request)).id_tag_info.status.value == "Invalid"
    await one.clock.advance(31)

    assert (await one.call(request)).id_tag_info.status.value == "Accepted"
    await one.central.stop()
    await other.central.stop()


async def test_tags_remembered_are_bounded(make, monkeypatch):
    monkeypatch.setattr("ocppgw.central.users.REMEMBERED", 3)
    bench = await make()

    for number in range(10):
        await bench.call(AuthorizeRequest(id_tag=f"T{number}"))

    assert len(bench.central.users._remembered) == 3
    await bench.central.stop()


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: StationSettings(addresses=("10.0.0",)), "no IP address or network"),
        (lambda: StationSettings(endpoint="ftp://x/"), "expected an absolute URL"),
        (lambda: CentralSettings(proxies=("nonsense",)), "proxies: `nonsense`"),
        (lambda: CentralSettings(trusted_networks=("1.2.3.4/99",)), "trusted_networks"),
        (
            lambda: CentralSettings(users=(UserSettings(id_tag="A"), UserSettings(id_tag="a"))),
            "`a` is there twice",
        ),
        (
            lambda: CentralSettings(
                identity_case=IdentityCase.FOLD,
                stations={"A": StationSettings(), "a": StationSettings()},
            ),
            "`a` is there twice",
        ),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        settings()
