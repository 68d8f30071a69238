"""Every mistake in a map is named with its line, its key and what to do; all at once."""

# ruff: noqa: E501, a table is read line by line

from __future__ import annotations

from pathlib import Path

import pytest

from ocppgw.errors import UserError
from ocppgw.settings import ProblemsError
from ocppgw_modbus.mapfile import load_map, parse_map

GOOD = """\
device: small
unit_id: 1
polls: {normal: 1.0}
registers:
  running: {addr: 0, type: u16}
  life: {addr: 1, type: u16, write: 6}
  coil: {addr: 0, type: bool, fc: 1, write: 5}
identity: {running: running}
cyclic: [{register: life, every: 2}]
connectors:
  count: 2
  offset: 100
  stride: 50
  registers:
    state: {addr: 0, type: u16, values: {0: idle, 1: busy}}
    energy: {addr: 1, type: u32, unit: Wh}
    tag: {addr: 10, type: ascii, count: 10}
    request: {addr: 20, type: u16}
    ack: {addr: 21, type: u16, write: 16}
    limit: {addr: 22, type: u16, write: 6, max: 63}
  status: {register: state, values: {idle: Available, busy: Charging}}
  meter: [{register: energy, measurand: Energy.Active.Import.Register}]
  events:
    tag: {request: request, acknowledge: ack, fields: {id_tag: tag}}
  commands:
    limit_current: {fields: {amperes: limit}}
"""

# What is replaced, by what, and what is said about it.
MISTAKES: list[tuple[str, str, str]] = [
    ("device: small", "devise: small", "map.yaml:1: devise: unknown key; did you mean `device`?"),
    ("device: small\n", "", "map.yaml:1: the key `device` is missing"),
    ("device: small", "device: ''", 'map.yaml:1: device: expected text of at least 1 character, got ""'),
    ("unit_id: 1", "unit_id: 300", "map.yaml:2: unit_id: expected a whole number from 0 to 255, got 300"),
    ("unit_id: 1", "unit_id: one", 'map.yaml:2: unit_id: expected a whole number from 0 to 255, got "one"'),
    ("{normal: 1.0}", "{normal: 0}", "map.yaml:3: polls.normal: expected a number above 0, got 0"),
    ("{normal: 1.0}", "{slow: 1.0}", "map.yaml:1: defaults.poll: there is no poll group 'normal'; expected one of: slow"),
    ("running: {addr: 0, type: u16}", "running: 5", "map.yaml:5: registers.running: expected a mapping, got 5"),
    ("running: {addr: 0, type: u16}", "running: {addr: 70000, type: u16}", "map.yaml:5: registers.running.addr: expected a whole number from 0 to 65535, got 70000"),
    ("running: {addr: 0, type: u16}", "running: {addr: 65535, type: u32}", "map.yaml:5: registers.running.addr: expected addresses from 0 to 65535, got 65535 to 65536"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u17}", 'map.yaml:5: registers.running.type: expected one of bool, u16, i16, u32, i32, u64, i64, f32, f64, ascii, bytes, bits, got "u17"; did you mean `u16`?'),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, order: up}", 'map.yaml:5: registers.running.order: expected one of hi, lo, got "up"'),
    ("running: {addr: 0, type: u16}", "running: {addr: 0}", "map.yaml:5: registers.running: the key `type` is missing"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, fc: 5}", "map.yaml:5: registers.running.fc: expected one of 1, 2, 3, 4, got 5"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, poll: fast}", "map.yaml:5: registers.running.poll: there is no poll group 'fast'; expected one of: normal"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, unit: watt}", "map.yaml:5: registers.running.unit: the unit 'watt' is not known; expected one of: %, A, "),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, unit: kwh}", "map.yaml:5: registers.running.unit: the unit 'kwh' is not known; did you mean `kWh`?"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, scale: 0}", "registers.running.scale: expected a number other than 0, got 0"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, min: 5, max: 4}", "registers.running.min: expected no more than max 4, got 5"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, count: 2}", "registers.running.count: type u16 spans 1 registers here, got count 2"),
    ("running: {addr: 0, type: u16}", "running: {addr: 50, type: ascii}", "registers.running.count: type ascii needs the number of registers it spans"),
    ("running: {addr: 0, type: u16}", "running: {addr: 50, type: bits, count: 3}", "registers.running.count: expected 1, 2 or 4 registers of bits, got 3"),
    ("running: {addr: 0, type: u16}", "running: {addr: 50, type: ascii, count: 130}", "registers.running.count: spans 130, more than the 125 that one read may have"),
    ("running: {addr: 0, type: u16}", "running: {addr: 50, type: ascii, count: 3, phases: 3}", "registers.running.phases: a value of type ascii has no phases"),
    ("running: {addr: 0, type: u16}", "running: {addr: 50, type: bits, scale: 2}", "registers.running.scale: a value of type bits has no scale or offset"),
    ("running: {addr: 0, type: u16}", "running: {addr: 9, type: u16, fc: 2}", "registers.running.type: function 2 reads single bits, expected type bool, got u16"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, bit: 1, mask: 2}", "registers.running.mask: expected either bit or mask, got both"),
    ("running: {addr: 0, type: u16}", "running: {addr: 60, type: f32, bit: 1}", "registers.running.bit: bits can be picked of u16, u32, u64 and of a bool in a register, got f32"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, bit: 16}", "registers.running.bit: expected 0 to 15 for type u16, got 16"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, mask: 0x10000}", "registers.running.mask: expected a mask of 16 bits for type u16, got 0x10000"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, shift: 4}", "registers.running.shift: a shift needs a mask"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, fc: 4, write: 6}", "registers.running.write: what function 4 reads cannot be written"),
    ("fc: 1, write: 5", "fc: 1, write: 6", "registers.coil.write: expected 5 or 15 for what function 1 reads, got 6"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, write: 5}", "registers.running.write: expected 6, 16 or 22 for what function 3 reads, got 5"),
    ("running: {addr: 0, type: u16}", "running: {addr: 60, type: u32, write: 6}", "registers.running.write: function 6 writes one register, this value spans 2"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, write: 22}", "registers.running.write: function 22 writes single bits, name them with bit or mask"),
    ("running: {addr: 0, type: u16}", "running: {addr: 60, type: u32, bit: 3, write: 22}", "registers.running.write: function 22 writes one register, this value spans 2"),
    ("running: {addr: 0, type: u16}", "running: {addr: 0, type: u16, bit: 3, write: 6}", "registers.running.write: expected 22 to write single bits of a register, got 6"),
    ("life: {addr: 1,", "life: {addr: 0,", "map.yaml:6: registers.life: life (holding 0) overlaps running (holding 0) of line 5; give it another address, or say `overlay: true` if both views are meant"),
    ("stride: 50", "stride: 10", "connectors.registers.tag: connector 1 tag (holding 110) overlaps connector 2 state (holding 110) of line 15"),
    ("stride: 50", "stride: {registers: 50, unit_id: 255}", "connectors.registers.state: expected a unit_id up to 255, got 256 for connector 2"),
    ("offset: 100", "offset: -1", "connectors.registers.state.addr: expected addresses from 0 to 65535, got -1 to -1 for connector 1"),
    ("running: running", "running: runing", "map.yaml:8: identity.running: no register 'runing' is declared; did you mean `running`?"),
    ("register: life", "register: running", "cyclic[0].register: 'running' is written here, but its register says no `write`"),
    ("every: 2", "every: 2, values: [1, 70000]", "cyclic[0].values: life cannot say it: 70000 does not fit into u16"),
    ("every: 2", "every: 2, values: []", "map.yaml:9: cyclic[0].values: expected a list of whole numbers of at least 1 entry, got 0 of them"),
    ("cyclic: [{register: life, every: 2}]", "cyclic: {register: life}", "map.yaml:9: cyclic: expected a list of mappings, got a mapping"),
    ("count: 2", "count: 0", "map.yaml:11: connectors.count: expected a whole number from 1 to 255, got 0"),
    ("    state: {addr", "    running: {addr: 9, type: u16}\n    state: {addr", "connectors.registers.running: 'running' is a register of the station already"),
    ("    state: {addr", "    tag: {addr: 9, type: u16}\n    state: {addr", "map.yaml:18: connectors.registers.tag: the key stands twice, first in line 15"),
    ("{idle: Available", "{idel: Available", "map.yaml:21: connectors.status.values.idel: 'idel' is no value of state; did you mean `idle`? (its values: idle, busy)"),
    ("{idle: Available", "{7: Available", "connectors.status.values.7: 7 is not among the values of state"),
    ("busy: Charging", "busy: Chargin", 'map.yaml:21: connectors.status.values.busy: expected one of Available, Occupied, Preparing, Charging, SuspendedEV, SuspendedEVSE, Finishing, Reserved, Faulted, Unavailable, got "Chargin"; did you mean `Charging`?'),
    ("{idle: Available, busy: Charging}", "{}", "map.yaml:21: connectors.status.values: expected a mapping of at least 1 entry, got 0 of them"),
    ("busy: Charging}", "busy: Charging}, errors: {1: NoError}", "connectors.status.errors: a table of errors needs a register `error`"),
    ("unit: Wh", "unit: W", "connectors.meter[0].register: Energy.Active.Import.Register needs a register with a unit of: mWh, Wh, kWh, MWh; energy has W"),
    ("measurand: Energy.Active.Import.Register", "measurand: Frequency", "Frequency needs a register with a unit of: none"),
    ("register: energy,", "register: enrgy,", "map.yaml:22: connectors.meter[0].register: no register 'enrgy' is declared; did you mean `energy`?"),
    ("acknowledge: ack", "acknowledge: request", "connectors.events.tag.acknowledge: 'request' is written here, but its register says no `write`"),
    ("fields: {id_tag: tag}", "fields: {}", "connectors.events.tag.fields: a tag needs the field 'id_tag'"),
    ("    tag: {request: request, acknowledge: ack, fields: {id_tag: tag}}", "    start: {request: request, acknowledge: ack, fields: {}}", "connectors.events.start.fields: a start needs the field 'id_tag'"),
    ("fields: {id_tag: tag}", "fields: {id_tag: tag, meter: state}", "connectors.events.tag.fields.meter: state is a meter and needs `unit: Wh` or kWh, got None"),
    ("fields: {id_tag: tag}", "fields: {id_tag: tag}, up: 70000", "connectors.events.tag.up: ack cannot say it: 70000 does not fit into u16"),
    ("limit_current: {fields: {amperes: limit}}", "limit_curent: {fields: {amperes: limit}}", 'map.yaml:26: connectors.commands.limit_curent: expected one of answer_tag, answer_start, answer_stop, answer_boot, time, availability, unlock, remote_start, remote_stop, reserve, cancel_reservation, limit_current, reset, reset_soft, reset_hard, configure, got "limit_curent"; did you mean `limit_current`?'),
    ("{fields: {amperes: limit}}", "{fields: {ampere: limit}}", 'map.yaml:26: connectors.commands.limit_current.fields.ampere: expected one of connector, id_tag, accepted, transaction, sequence, time, available, reservation, expires, amperes, hard, got "ampere"; did you mean `amperes`?'),
    ("{fields: {amperes: limit}}", "{fields: {id_tag: limit}}", "connectors.commands.limit_current.fields.id_tag: limit_current has no field 'id_tag' (its fields: amperes)"),
    ("{fields: {amperes: limit}}", "{set: {limit: 16}}", "connectors.commands.limit_current: limit_current needs the field 'amperes'"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {}", "connectors.commands.unlock: nothing is written: expected fields, set, or request and answer"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {set: {limit: 64}}", "connectors.commands.unlock.set.limit: limit cannot say it: 64 is above its greatest value 63"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {set: {limit: open}}", "connectors.commands.unlock.set.limit: 'open' is no value of limit"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {request: limit}", "connectors.commands.unlock: a hand-shake has a request and an answer, 'answer' is missing"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {request: limit, answer: state, up: 64}", "connectors.commands.unlock.up: limit cannot say it: 64 is above its greatest value 63"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {request: limit, answer: state, on_change: true}", "connectors.commands.unlock.on_change: a hand-shake always writes"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {request: limit, answer: state, refused: 1}", "connectors.commands.unlock: idle, accepted and refused must be three different values"),
    ("limit_current: {fields: {amperes: limit}}", "unlock: {request: limit, answer: state, down: 1}", "connectors.commands.unlock: up and down must be different values"),
    ("identity: {running: running}", "commands: {configure: {on_change: true}}", "map.yaml:8: commands.configure: configure needs `keys`: the registers of configuration keys"),
    ("identity: {running: running}", "commands: {configure: {keys: {HeartBeatInterval: lief}}}", "map.yaml:8: commands.configure.keys.HeartBeatInterval: no register 'lief' is declared; did you mean `life`?"),
    ("identity: {running: running}", "commands: {configure: {keys: {HeartBeatInterval: running}}}", "map.yaml:8: commands.configure.keys.HeartBeatInterval: 'running' is written here, but its register says no `write`"),
    ("coil: {addr: 0, type: bool, fc: 1, write: 5}\n", "pair: {addr: 5, type: u16, write: 16, phases: 2}\ncommands: {configure: {keys: {HeartBeatInterval: pair}}}\n", "commands.configure.keys.HeartBeatInterval: pair cannot hold a key, expected a single number, a bool, or ascii"),
    ("limit_current: {fields: {amperes: limit}}", "limit_current: {fields: {amperes: limit}, keys: {HeartBeatInterval: limit}}", "connectors.commands.limit_current.keys: limit_current has no keys, they belong to configure"),
    ("limit_current: {fields: {amperes: limit}}", "configure: {keys: {HeartBeatInterval: limit}}", "connectors.commands.configure: configure is a command of the whole station, not of a connector"),
    ("limit_current: {fields: {amperes: limit}}", "cancel_reservation: {fields: {id_tag: tag}}", "connectors.commands.cancel_reservation.fields.id_tag: cancel_reservation has no field 'id_tag' (its fields: reservation)"),
    ("limit_current: {fields: {amperes: limit}}", "reset: {set: {limit: 1}}", "connectors.commands.reset: reset is a command of the whole station, not of a connector"),
    ("{fields: {amperes: limit}}", "{fields: {amperes: {register: limit, yes: 1}}}", "map.yaml:26: connectors.commands.limit_current.fields.amperes.yes: unknown key; the keys here are false_value, register, true_value"),
    ("acknowledge: ack,", "acknowledge: ack, sequence: tag,", "connectors.events.tag.sequence: tag must be a whole number, it is ascii"),
    ("type: u32, unit: Wh}", "type: ascii, count: 2, unit: Wh}", "connectors.meter[0].register: energy must be a number, it is ascii"),
    ("limit_current: {fields: {amperes: limit}}", "remote_start: {fields: {id_tag: limit}}", "connectors.commands.remote_start.fields.id_tag: a tag needs a register of type ascii or bytes, limit is u16"),
    ("device: small", "device: [", "map.yaml:3: not valid YAML: "),
    ("device: small", "device: !money 5", "map.yaml:1: device: unknown tag !money; `!file path` is the one there is"),
    ("device: small", "? [a, b]\n: 5\ndevice: small", "map.yaml:1: a key must be text"),
]  # fmt: skip


def said_about(text: str) -> str:
    with pytest.raises(ProblemsError) as caught:
        parse_map(text, "map.yaml")
    return str(caught.value)


def test_the_map_without_mistakes_is_fine() -> None:
    assert parse_map(GOOD, "map.yaml").connectors == 2


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_mistake(old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in said_about(GOOD.replace(old, new, 1))


def test_all_mistakes_are_named_at_once() -> None:
    text = GOOD.replace("unit_id: 1", "unit_id: 300")
    text = text.replace("type: ascii", "type: asci").replace("busy: Charging", "busy: Chargin")
    lines = said_about(text).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "17", "21"]


def test_mistakes_of_meaning_are_named_at_once() -> None:
    text = GOOD.replace("unit: Wh", "unit: W").replace("running: running", "running: runing")
    text = text.replace("life: {addr: 1,", "life: {addr: 0,")
    lines = said_about(text).splitlines()
    assert [line.split(":")[1] for line in lines] == ["6", "8", "22"]


def test_phases_are_named_in_one_place_only() -> None:
    text = GOOD.replace("type: u32, unit: Wh}", "type: u16, unit: Wh, phases: 3}")
    text = text.replace("Import.Register}", "Import.Register, phase: L1}")
    said = "connectors.meter[0].phase: energy has 3 phases of its own"
    assert said in said_about(text)


def test_starts_of_a_whole_station_say_which_connector() -> None:
    text = GOOD + (
        "events:\n  start: {request: running, acknowledge: life, fields: {id_tag: running, meter: running}}\n"
    )
    said = "events.start.fields: a start of the whole station needs the field 'connector'"
    assert said in said_about(text)


def test_an_empty_file() -> None:
    assert "map.yaml:1: the key `device` is missing" in said_about("")


def test_a_bottomless_file() -> None:
    assert "an alias must not hold itself" in said_about("a: &a [*a]")


def test_a_list_instead_of_a_map() -> None:
    assert "expected a mapping, got a list" in said_about("- a\n- b\n")


def test_bytes_that_are_no_yaml() -> None:
    assert "not valid YAML" in said_about("device: \x00")


def test_anchors_and_merges_work() -> None:
    text = GOOD.replace(
        "    request: {addr: 20, type: u16}\n    ack: {addr: 21, type: u16, write: 16}\n",
        "    request: &word {addr: 20, type: u16}\n    ack: {<<: *word, addr: 21, write: 16}\n",
    )
    bound = parse_map(text, "map.yaml")
    assert bound.point("ack", 2).address == 171


def test_bits_of_one_register_may_share_it_and_views_that_are_meant() -> None:
    text = GOOD.replace(
        "  life:",
        "  low: {addr: 40, type: bool, bit: 0}\n  high: {addr: 40, type: bool, bit: 1}\n"
        "  all: {addr: 40, type: bits, overlay: true}\n  life:",
    )
    assert parse_map(text, "map.yaml").point("all").address == 40
    clash = text.replace("bit: 1}", "mask: 0x3}")
    assert "high (holding 40) overlaps low (holding 40)" in said_about(clash)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read: No such file"):
        load_map(tmp_path / "none.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"device: \xe4")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_map(latin)


def test_a_register_that_is_not_there(demo_path: Path) -> None:
    with pytest.raises(KeyError, match="no register 'nothing'"):
        load_map(demo_path).point("nothing")
