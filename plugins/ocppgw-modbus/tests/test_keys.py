"""Configuration keys: their text as the value of a register, or the reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.plc import Configure, DriverContext, PlcRefused, PlcUnsupported
from ocppgw_modbus.bound import BoundCommand
from ocppgw_modbus.codec import encode
from ocppgw_modbus.commandfields import writes_of
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.mapfile import parse_map
from ocppgw_modbus.options import ModbusOptions
from ocppgw_modbus.spec import CommandKind

MAP = """\
device: keys
defaults: {{write: 16}}
registers:
  place: {register}
  told: {{addr: 20, type: u16}}
commands:
  configure: {{keys: {{Key: place}}, set: {{told: 1}}}}
"""


def command(register: str) -> BoundCommand:
    bound = parse_map(MAP.format(register=register), "map.yaml")
    return bound.commands[CommandKind.CONFIGURE, 0]


@pytest.mark.parametrize(
    ("register", "text", "words"),
    [
        ("{addr: 0, type: u16}", "90", [90]),
        ("{addr: 0, type: u16, unit: s}", " 90 ", [90]),
        ("{addr: 0, type: u32, unit: ms}", "90", [1, 24464]),
        ("{addr: 0, type: u16, unit: min}", "120", [2]),
        ("{addr: 0, type: u16, unit: h}", "7200", [2]),
        ("{addr: 0, type: u16, unit: s, scale: 10}", "90", [9]),
        ("{addr: 0, type: u16, unit: s, offset: -1}", "90", [91]),
        ("{addr: 0, type: f32, unit: min}", "90", [0x3FC0, 0]),
        ("{addr: 0, type: u16}", "true", [1]),
        ("{addr: 0, type: bool, fc: 1, write: 5}", "False", [0]),
        ("{addr: 0, type: bool, bit: 3, write: 22}", "true", [8]),
        ("{addr: 0, type: ascii, count: 3}", "A,B", [0x412C, 0x4200, 0]),
    ],
)
def test_a_key_is_written_as_its_register_says_it(
    register: str, text: str, words: list[int]
) -> None:
    place, told = writes_of(Configure(key="Key", value=text), command(register))

    assert encode(*place) == words
    assert (told[0].name, told[1]) == ("told", 1)  # what the PLC looks at comes last


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("HeartbeatIntervall", "; did you mean `HeartBeatInterval`?"),
        ("Odd", "; its keys are ConnectionTimeOut, HeartBeatInterval"),
    ],
)
def test_a_key_that_no_charge_box_has_is_told_at_the_start(
    tmp_path: Path, key: str, hint: str
) -> None:
    text = MAP.format(register="{addr: 0, type: u16}").replace("Key:", f"{key}:")
    (tmp_path / "map.yaml").write_text(text)
    options = ModbusOptions(host="127.0.0.1", map=Path("map.yaml"))
    keys = frozenset({"ConnectionTimeOut", "HeartBeatInterval"})
    with pytest.raises(UserError) as caught:
        open_driver(options, DriverContext("BOX", 0, tmp_path, SystemClock(), keys))

    assert str(caught.value) == (
        f"`configure.keys` of the register map map.yaml has {key}, which is no key of a charge"
        f" box{hint}"
    )


@pytest.mark.parametrize(
    ("register", "text", "why"),
    [
        ("{addr: 0, type: u16}", "Energy.Active.Import.Register", "expected a number"),
        ("{addr: 0, type: u16}", "nan", "expected a number"),
        ("{addr: 0, type: u16}", "1e999999999", "no register holds such a number"),
        ("{addr: 0, type: f64}", "1e-999999999", "no register holds such a number"),
        ("{addr: 0, type: u16}", "", "expected a number"),
        ("{addr: 0, type: u16, unit: min}", "90", "it goes in steps of 1 min"),
        ("{addr: 0, type: u16, scale: 10}", "95", "it goes in steps of 10"),
        ("{addr: 0, type: u16}", "0.5", "it goes in steps of 1"),
        ("{addr: 0, type: bool, fc: 1, write: 5}", "2", "expected true or false"),
    ],
)
def test_what_its_register_cannot_say_is_refused(register: str, text: str, why: str) -> None:
    with pytest.raises(PlcRefused, match=rf"Key: place .* cannot say '{text}': {why}"):
        writes_of(Configure(key="Key", value=text), command(register))


def test_a_key_without_a_register_has_no_place() -> None:
    with pytest.raises(PlcUnsupported, match="no register for the key Other"):
        writes_of(Configure(key="Other", value="1"), command("{addr: 0, type: u16}"))
