"""What polls show the station, and what is kept out of it."""

from __future__ import annotations

import logging

import pytest

from ocppgw.ocpp.enums import ChargePointErrorCode, ChargePointStatus, Measurand, Phase
from ocppgw.plc import ConnectorStatus, Identity, Observation, Reading
from ocppgw.testing.clock import FakeClock
from ocppgw_modbus.bound import BoundMap, Point
from ocppgw_modbus.mapfile import parse_map
from ocppgw_modbus.sense import Sense
from ocppgw_modbus.watch import Watch

MAP = """\
device: watched
registers:
  running: {addr: 0, type: u16}
  model: {addr: 1, type: ascii, count: 2}
  number: {addr: 3, type: u32}
identity: {running: running, model: model, serial_number: number}
connectors:
  count: 2
  offset: 100
  stride: 50
  registers:
    state: {addr: 0, type: u16, values: {0: idle, 1: busy, 9: odd}}
    errors: {addr: 1, type: bits, values: {0: ground, 3: heat, 5: other}}
    vendor: {addr: 2, type: u16, values: {7: seven}}
    energy: {addr: 3, type: u32, unit: kWh, scale: 0.1}
    power: {addr: 5, type: f32, unit: kW, max: 50}
    voltage: {addr: 7, type: u16, unit: V, phases: 3}
  status:
    register: state
    values: {idle: Available, busy: Charging}
    error: errors
    errors: {ground: GroundFailure, heat: HighTemperature}
    vendor_error: vendor
  meter:
    - {register: energy, measurand: Energy.Active.Import.Register}
    - {register: power, measurand: Power.Active.Import}
    - {register: voltage, measurand: Voltage}
"""


class Eyes:
    """A watch with words by register name."""

    def __init__(self, connectors: int = 1) -> None:
        self.bound: BoundMap = parse_map(MAP, "watched.yaml")
        self.clock = FakeClock()
        self.watch = Watch(self.bound, connectors, self.clock, Sense("BOX", self.clock))
        self.words: dict[Point, list[int]] = {}
        self.set(running=[1], model=[0x4D31, 0], number=[0, 77])
        self.set(1, state=[0], errors=[0], vendor=[7], energy=[0, 100], power=[0x4120, 0])
        self.set(1, voltage=[230, 231, 229])

    def set(self, connector: int = 0, **words: list[int]) -> None:
        for name, values in words.items():
            self.words[self.bound.point(name, connector)] = values

    def look(self, *names: str, everything: bool = True) -> list[Observation]:
        words = {p: w for p, w in self.words.items() if not names or p.name in names}
        return list(self.watch.look(words, everything=everything))


def test_the_first_look_says_everything() -> None:
    identity, status, reading = Eyes().look()
    assert identity == Identity(running=True, model="M1", serial_number="77")
    assert status == ConnectorStatus(
        connector_id=1, status=ChargePointStatus.AVAILABLE, vendor_error_code="seven"
    )
    assert isinstance(reading, Reading)
    assert reading.energy_wh == 10_000
    assert [(v.measurand, v.value, v.phase) for v in reading.values[1:]] == [
        (Measurand.POWER_ACTIVE_IMPORT, 10_000, None),
        (Measurand.VOLTAGE, 230, Phase.L1),
        (Measurand.VOLTAGE, 231, Phase.L2),
        (Measurand.VOLTAGE, 229, Phase.L3),
    ]


def test_later_looks_say_what_is_new_and_every_reading() -> None:
    eyes = Eyes()
    eyes.look()
    (reading,) = eyes.look()
    assert isinstance(reading, Reading)
    eyes.set(1, state=[1])
    status, _ = eyes.look()
    assert isinstance(status, ConnectorStatus)
    assert status.status is ChargePointStatus.CHARGING


def test_a_connector_that_the_station_has_not_is_not_polled() -> None:
    assert {point.connector for _, point in Eyes(1).watch.points} == {0, 1}
    assert {point.connector for _, point in Eyes(2).watch.points} == {0, 1, 2}


@pytest.mark.parametrize(
    ("bits", "code"),
    [
        (0, ChargePointErrorCode.NO_ERROR),
        (0b1, ChargePointErrorCode.GROUND_FAILURE),
        (0b1001, ChargePointErrorCode.GROUND_FAILURE),
        (0b1000, ChargePointErrorCode.HIGH_TEMPERATURE),
        (0b100000, ChargePointErrorCode.OTHER_ERROR),
    ],
)
def test_error_bits(bits: int, code: ChargePointErrorCode) -> None:
    eyes = Eyes()
    eyes.set(1, errors=[bits])
    _, status, _ = eyes.look()
    assert isinstance(status, ConnectorStatus)
    assert status.error_code is code


@pytest.mark.parametrize(("word", "said"), [(9, "stands for no OCPP status"), (4, "4 is none of")])
def test_a_status_number_that_is_not_in_the_map(
    word: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    eyes = Eyes()
    eyes.look()
    eyes.set(1, state=[word])
    for _ in range(3):
        assert not [one for one in eyes.look() if isinstance(one, ConnectorStatus)]
    (record,) = caplog.records
    assert said in record.message
    assert "BOX: connector 1 state (holding 100) reads" in record.message


async def test_a_counter_that_leaps_is_kept_out_until_it_can_have_counted_so_far(
    caplog: pytest.LogCaptureFixture,
) -> None:
    eyes = Eyes()
    eyes.look()
    for _ in range(2):
        eyes.set(1, energy=[1, 100])  # 6.5 MWh more
        (reading,) = eyes.look()
        assert isinstance(reading, Reading)
        assert reading.energy_wh is None
    assert len(caplog.records) == 1
    assert "the energy counter leapt from 10000 to 6.5636e+06 within 0 s" in caplog.text
    await eyes.clock.advance(3600)
    (reading,) = eyes.look()
    assert isinstance(reading, Reading)
    assert reading.energy_wh == 6_563_600


def test_a_counter_that_falls_is_kept_out_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    eyes = Eyes()
    eyes.look()
    for value in (50, 51, 52):
        eyes.set(1, energy=[0, value])
        (reading,) = eyes.look()
        assert isinstance(reading, Reading)
        assert reading.energy_wh is None
        assert reading.values
    assert len(caplog.records) == 1
    assert "0x0000 0x0032, left out: the energy counter fell from 10000 to 5000" in caplog.text
    eyes.set(1, energy=[0, 101])
    (reading,) = eyes.look()
    assert isinstance(reading, Reading)
    assert reading.energy_wh == 10_100
    assert caplog.records[-1].message == "BOX: connector 1 energy (holding 103) makes sense again"


def test_another_kind_of_nonsense_is_another_warning(caplog: pytest.LogCaptureFixture) -> None:
    eyes = Eyes()
    for power in ([0x7FC0, 0], [0x7FC0, 0], [0x4270, 0], [0x4280, 0]):
        eyes.set(1, power=power)
        eyes.look()
    assert [record.message.split(": ")[-1] for record in caplog.records] == [
        "nan is no number",
        "60.0 is above the most that makes sense, 50",
    ]


def test_all_ones_and_negative_energy_are_no_energy(caplog: pytest.LogCaptureFixture) -> None:
    eyes = Eyes()
    eyes.set(1, energy=[0xFFFF, 0xFFFF])
    reading = eyes.look()[-1]
    assert isinstance(reading, Reading)
    assert reading.energy_wh is None
    assert "all ones mean no value" in caplog.text


def test_values_of_different_polls_make_one_reading() -> None:
    eyes = Eyes()
    eyes.look()
    (reading,) = eyes.look("power", everything=False)
    assert isinstance(reading, Reading)
    assert reading.energy_wh == 10_000


def test_nothing_left_to_read_is_no_reading() -> None:
    eyes = Eyes()
    eyes.set(1, energy=[0xFFFF, 0xFFFF], power=[0x7FC0, 0], voltage=[0xFFFF] * 3)
    assert not [one for one in eyes.look() if isinstance(one, Reading)]


def test_a_program_that_stands_says_that_alone() -> None:
    eyes = Eyes()
    eyes.set(running=[0])
    assert eyes.look() == [Identity(running=False)]
    assert eyes.look() == []
    eyes.set(running=[1])
    assert eyes.look("running", "state", everything=False) == []
    assert eyes.watch.wants_everything
    identity, status, _ = eyes.look()
    assert identity == Identity(running=True, model="M1", serial_number="77")
    assert isinstance(status, ConnectorStatus)
    assert not eyes.watch.wants_everything


def test_a_blank_text_is_none() -> None:
    eyes = Eyes()
    eyes.set(model=[0x2020, 0x2020])
    assert eyes.look()[0] == Identity(running=True, serial_number="77")
