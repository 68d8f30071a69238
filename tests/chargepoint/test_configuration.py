"""Configuration keys: read, changed at once, kept, and handed to the PLC."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ocppgw.chargepoint.keys import FIELDS, Keys, parsed, shown
from ocppgw.chargepoint.records import CONFIGURATION
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import Configure, PlcUnsupported
from ocppgw.storage import Put, StorageUnavailable

ACCEPTED, REJECTED, NOT_SUPPORTED = (
    e.ConfigurationStatus.ACCEPTED,
    e.ConfigurationStatus.REJECTED,
    e.ConfigurationStatus.NOT_SUPPORTED,
)
ENERGY = "Energy.Active.Import.Register"

# A value for each key that differs from its default.
OTHER = {
    "HeartBeatInterval": "77",
    "ConnectionTimeOut": "78",
    "MeterValueSampleInterval": "79",
    "ClockAlignedDataInterval": "900",
    "MeterValuesSampledData": "Voltage",
    "MeterValuesAlignedData": f"{ENERGY},Voltage",
    "StopTxnSampledData": ENERGY,
    "StopTxnAlignedData": "Current.Import",
    "SampleOnTransaction": "false",
    "TransactionMessageAttempts": "9",
    "TransactionMessageRetryInterval": "12.5",
    "LocalAuthListEnabled": "false",
    "AuthorizationCacheEnabled": "false",
    "LocalPreAuthorize": "true",
    "LocalAuthorizeOffline": "false",
    "AllowOfflineTxForUnknownId": "true",
}


async def change(world, key, value, seconds=1):
    answer = await world.ordered(m.ChangeConfigurationRequest(key=key, value=value), seconds)
    return answer.status


async def values(world, *keys):
    answer = await world.order(m.GetConfigurationRequest(key=keys))
    return {one.key: one.value for one in answer.configuration_key}


# Texts


@pytest.mark.parametrize(
    ("key", "text", "meant"),
    [
        ("HeartBeatInterval", " 60 ", "60"),
        ("HeartBeatInterval", "+5", "5"),
        ("HeartBeatInterval", "007", "7"),
        ("HeartBeatInterval", "5.0", "5"),
        ("HeartBeatInterval", "1e3", "1000"),
        ("TransactionMessageRetryInterval", "+5", "5"),
        ("TransactionMessageRetryInterval", "12345.678", "12345.678"),
        ("LocalPreAuthorize", "True", "true"),
        ("LocalPreAuthorize", " 0 ", "false"),
        ("MeterValuesSampledData", "", ""),
        ("MeterValuesSampledData", " voltage , VOLTAGE,,current.import", "Voltage,Current.Import"),
    ],
)
def test_texts_are_read_generously(key, text, meant):
    assert shown(parsed(key, text)) == meant


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(
            ("HeartBeatInterval", text)
            for text in ("", "nan", "5.5", "1_000", "0x10", "٣", "true", "-1", "0", "9" * 5000)
        ),
        *(
            ("TransactionMessageRetryInterval", text)
            for text in ("nan", "inf", "-inf", "1e400", "0", "soon")
        ),
        *(("LocalPreAuthorize", text) for text in ("", "yes", "2", "null")),
        *(("MeterValuesSampledData", text) for text in ("Joy", f"{ENERGY};Voltage", "None")),
    ],
)
def test_what_a_key_cannot_be_is_refused(key, text):
    with pytest.raises(ValueError, match=r"."):
        parsed(key, text)


@pytest.mark.parametrize("key", FIELDS)
def test_what_is_shown_is_what_is_read_again(key):
    value = getattr(Keys(), FIELDS[key].name)
    assert parsed(key, shown(value)) == value


# Changes


@pytest.mark.parametrize("key", FIELDS)
async def test_each_key_is_changed_at_once_kept_and_known_to_the_plc(make_world, key):
    world = make_world()
    await world.start()
    await world.clock.advance(1)
    before = await values(world, key)
    status = await change(world, key.upper(), f" {OTHER[key]} ")
    after = await values(world, key)
    told = world.plc.configuration[key]
    await world.kill()
    world.central.interval = None
    world.plc.configuration.clear()
    await world.start()
    await world.clock.advance(1)
    kept = await values(world, key)
    await world.stop()

    assert status is ACCEPTED
    assert before != after == kept == {key: OTHER[key]}
    assert told == world.plc.configuration[key] == OTHER[key]


async def test_no_key_is_missing_from_these_tests():
    assert set(OTHER) == set(FIELDS)


async def test_what_cannot_be_changed_is_not_and_the_operator_reads_why(world):
    await world.start()
    await world.clock.advance(1)
    answers = {
        reason: await change(world, key, value, 15)
        for key, value, reason in (
            ("Nonsense", "1", "Nonsense: there is no such key"),
            ("numberofconnectors", "3", "numberofconnectors: read-only"),
            ("HeartBeatInterval", "soon", "HeartBeatInterval: not a valid value"),
            ("MeterValuesSampledData", "SoC", "MeterValuesSampledData: measurand not available"),
        )
    }
    infos = world.central.infos()
    await world.stop()

    assert list(answers.values()) == [NOT_SUPPORTED, REJECTED, REJECTED, REJECTED]
    assert infos == list(answers)
    assert "station: MeterValuesSampledData refused: no meter here shows SoC" in world.story()
    wrong = "station: HeartBeatInterval refused: expected a whole number from 1 to 604800"
    assert f'{wrong}, got "soon"' in world.story()


async def test_a_measurand_that_no_meter_shows_is_refused_and_nothing_changes(world):
    await world.start()
    await world.clock.advance(1)
    mixed = await change(world, "MeterValuesSampledData", f"{ENERGY},Temperature")
    kept = await values(world, "MeterValuesSampledData")
    await world.stop()

    assert mixed is REJECTED
    assert kept == {
        "MeterValuesSampledData": f"{ENERGY},Power.Active.Import,Voltage,Current.Import"
    }


async def test_before_the_meter_was_read_every_measurand_of_the_version_may_be_named(world):
    world.plc.go_offline()
    await world.start()
    await world.clock.advance(10)
    unread = await change(world, "StopTxnSampledData", "Temperature")
    no_word_for_it = await change(world, "StopTxnSampledData", "SoC")
    await world.stop()

    assert (unread, no_word_for_it) == (ACCEPTED, REJECTED)


async def test_a_change_that_cannot_be_stored_is_not_made(world):
    await world.start()
    await world.clock.advance(1)
    world.storage.failure = StorageUnavailable("no space left on device")
    with pytest.raises(StorageUnavailable):
        await world.box.context.configuration.change("HeartBeatInterval", "50")
    world.storage.failure = None
    await world.clock.advance(1)
    told = world.plc.configuration["HeartBeatInterval"]
    kept = await values(world, "HeartBeatInterval")
    await world.stop()

    assert kept == {"HeartBeatInterval": "3600"}
    assert told == "3600"


async def test_stored_values_that_are_not_valid_any_more_are_passed_over(world, caplog):
    await world.start()
    await change(world, "ConnectionTimeOut", "70")
    await world.kill()
    await world.start()
    for number, (key, value) in enumerate(
        (
            ("HeartBeatInterval", "never"),
            ("StopTxnSampledData", "Joy"),
            ("StopTxnAlignedData", "SoC"),
            ("Gone", "1"),
        )
    ):
        key_of = (world.settings.identity, key)
        await world.storage.commit(
            Put(CONFIGURATION, key_of, {"value": value}, version=2**40 + number)
        )
    await world.kill()
    caplog.clear()
    await world.start()
    await world.clock.advance(1)
    lists = ("StopTxnSampledData", "StopTxnAlignedData")
    kept = await values(world, "ConnectionTimeOut", *lists)
    await world.stop()

    assert kept == {"ConnectionTimeOut": "70", **dict.fromkeys(lists, "")}
    warned = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == 3
    assert "the stored HeartBeatInterval is 'never', which is not valid" in warned[0]


def test_the_file_names_no_measurand_that_the_version_has_no_word_for():
    with pytest.raises(ValueError, match=r"`StopTxnSampledData`: OCPP 1\.5 has no word for SoC"):
        msgspec.convert({"StopTxnSampledData": ["Voltage", "SoC"]}, Keys)


async def test_keys_are_answered_once_and_unknown_ones_as_they_were_spelled(world):
    await world.start()
    await world.clock.advance(1)
    unknown = tuple(f" Nonsense {n} " for n in range(300))
    asked = ("heartbeatinterval", "HeartBeatInterval", *unknown, *unknown, "NUMBEROFCONNECTORS")
    answer = await world.order(m.GetConfigurationRequest(key=asked))
    await world.stop()

    assert [one.key for one in answer.configuration_key] == [
        "HeartBeatInterval",
        "NumberOfConnectors",
    ]
    assert answer.unknown_key == unknown


async def test_the_read_only_keys_say_what_is_true(make_world):
    world = make_world(connectors=2, stop_data_limit=77, local_list_length=5)
    await world.start()
    await world.clock.advance(1)
    answer = await world.order(m.GetConfigurationRequest())
    await world.stop()

    fixed = {one.key: one.value for one in answer.configuration_key if one.readonly}
    assert fixed == {
        "NumberOfConnectors": "2",
        "SupportedFeatureProfiles": "Core,LocalAuthListManagement,Reservation",
        "GetConfigurationMaxKeys": "100",
        "MeterValuesSampledDataMaxLength": "16",
        "MeterValuesAlignedDataMaxLength": "16",
        "StopTxnSampledDataMaxLength": "16",
        "StopTxnAlignedDataMaxLength": "16",
        "StopTransactionMaxMeterValues": "77",
        "LocalAuthListMaxLength": "5",
        "SendLocalListMaxLength": "5",
        "ReserveConnectorZeroSupported": "true",
    }
    assert len(answer.configuration_key) == len(fixed) + len(FIELDS) <= 100
    assert all(len(one.key) <= 50 and len(one.value) <= 500 for one in answer.configuration_key)


# Keys that act elsewhere


async def test_retries_of_transaction_messages_follow_their_keys_at_once(make_world):
    world = make_world()
    await world.start()
    await world.clock.advance(1)
    world.central.faults[m.StartTransactionRequest] = 100
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    await change(world, "TransactionMessageRetryInterval", "20")
    await change(world, "TransactionMessageAttempts", "2")
    await world.clock.advance(10)
    starts = [r for r in world.central.got if isinstance(r, m.StartTransactionRequest)]
    parked = await world.box.transactions.parked()
    await world.stop()

    assert len(starts) == 2
    assert len(parked) == 1


async def test_idle_connectors_are_sampled_once_sample_on_transaction_is_off(make_world):
    world = make_world(connectors=1, configuration={"MeterValueSampleInterval": 60})
    await world.start()
    await world.clock.advance(90)
    await change(world, "SampleOnTransaction", "false")
    await world.clock.advance(60)
    samples = world.central.of(m.MeterValuesRequest)
    await world.stop()

    assert [(s.connector_id, s.transaction_id) for s in samples] == [(1, None)]


# The PLC


class Told:
    """What the simulated PLC was told, key by key; some keys it may have no place for."""

    def __init__(self, world, *placeless):
        self.told = []
        obey = world.plc.obey

        def listen(command):
            if isinstance(command, Configure):
                self.told.append((command.key, command.value))
                if command.key in placeless:
                    raise PlcUnsupported(f"the map has no register for {command.key}")
            obey(command)

        world.plc.obey = listen


async def test_the_plc_is_told_every_key_once_and_again_when_it_is_back(world):
    listener = Told(world)
    await world.start()
    await world.clock.advance(100)
    first = list(listener.told)
    world.plc.go_offline()
    await world.clock.advance(60)
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert [key for key, _ in first] == list(FIELDS)
    assert listener.told[len(first) :] == first
    assert world.plc.configuration["HeartBeatInterval"] == "3600"  # as the boot's answer said


async def test_a_key_without_a_place_in_the_plc_is_asked_about_once(world):
    listener = Told(world, "ConnectionTimeOut")
    await world.start()
    await world.clock.advance(100)
    status = await change(world, "ConnectionTimeOut", "90")
    world.plc.go_offline()
    await world.clock.advance(60)
    world.plc.come_online()
    await world.clock.advance(60)
    kept = await values(world, "ConnectionTimeOut")
    await world.stop()

    assert status is ACCEPTED
    assert kept == {"ConnectionTimeOut": "90"}
    assert [key for key, _ in listener.told].count("ConnectionTimeOut") == 1


async def test_what_the_plc_refuses_is_not_kept(world):
    await world.start()
    await world.clock.advance(10)
    world.plc.refused.add(Configure)
    status = await change(world, "ConnectionTimeOut", "90")
    await world.clock.advance(5)
    infos = world.central.infos()
    await world.kill()
    await world.start()
    await world.clock.advance(1)
    kept = await values(world, "ConnectionTimeOut")
    await world.stop()

    assert status is REJECTED
    assert kept == {"ConnectionTimeOut": "60"}
    assert infos == ["ConnectionTimeOut: PLC refused"]


async def test_a_plc_that_is_away_is_told_when_it_is_back(world):
    await world.start()
    await world.clock.advance(10)
    world.plc.go_offline()
    await world.clock.advance(1)
    status = await change(world, "ConnectionTimeOut", "90")
    before = world.plc.configuration["ConnectionTimeOut"]
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert (status, before) == (ACCEPTED, "60")
    assert world.plc.configuration["ConnectionTimeOut"] == "90"


async def test_a_plc_that_does_not_answer_is_told_later_and_holds_up_nothing(world):
    await world.start()
    await world.clock.advance(10)
    world.plc.muted.add(Configure)
    status = await change(world, "ConnectionTimeOut", "90", 30)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    starts = world.central.of(m.StartTransactionRequest)
    world.plc.muted.clear()
    await world.clock.advance(30)
    await world.stop()

    assert status is ACCEPTED
    assert len(starts) == 1
    assert world.plc.configuration["ConnectionTimeOut"] == "90"


async def test_a_plc_that_takes_no_keys_at_all_is_left_alone(world):
    listener = Told(world)
    world.plc.unsupported.add(Configure)
    await world.start()
    await world.clock.advance(10)
    status = await change(world, "ConnectionTimeOut", "90")
    await world.stop()

    assert status is ACCEPTED
    assert listener.told == []


async def test_an_end_at_any_wait_of_a_change_leaves_box_and_plc_with_the_same_value(make_world):
    ends_at, ended = 0, True
    while ended:
        world = make_world(connectors=1)
        life = await world.start(ends_at)
        await world.clock.advance(1)
        if not life.over:
            request = m.ChangeConfigurationRequest(key="ConnectionTimeOut", value="90")
            ordered = asyncio.ensure_future(world.order(request))
            await world.clock.advance(1)
            accepted = ordered.done()
            ordered.cancel()
        else:
            accepted = False
        ended = life.over
        await world.kill()
        await world.start()
        await world.clock.advance(30)
        kept = await values(world, "ConnectionTimeOut")
        told = world.plc.configuration["ConnectionTimeOut"]
        await world.stop()

        assert kept == {"ConnectionTimeOut": told}, life.trace[-1]
        assert told == "90" or not accepted, life.trace[-1]
        ends_at += 1
    assert ends_at > 30
