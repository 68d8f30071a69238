"""The snippets of the page on lines and devices are configurations that work."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

import ocppgw_modbus
from ocppgw.clock import SystemClock
from ocppgw.plc import DriverContext
from ocppgw.settings import Reader, parse_yaml
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.options import DeviceOptions, LineOptions, ModbusOptions, PluginOptions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "modbus-lines.md").read_text(encoding="utf-8")
MAPS = re.findall(r"```yaml map\n(.*?)```", PAGE, re.DOTALL)
OTHERS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PLCS = [text for text in OTHERS if text.startswith("plc:")]
SHELL = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


def read(text: str, *keys: str, into: type[Any]) -> Any:
    """The options at these keys of a snippet."""
    root, problems = parse_yaml(text, Path("modbus-lines.md"))
    reader = Reader(base=Path())
    options = reader.read(root.nearest(*keys), into, without=("driver",))
    assert not [*problems, *reader.problems]
    return options


@pytest.fixture
def folder(tmp_path: Path, demo_path: Path) -> Path:
    """The maps that the page names."""
    maps = tmp_path / "maps"
    maps.mkdir()
    shutil.copy(demo_path, maps / "controller.yaml")
    for text in MAPS:
        name = yaml.safe_load(text)["device"]
        (maps / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_there_are_snippets() -> None:
    assert (len(PLCS), len(MAPS)) == (4, 3)


@pytest.mark.parametrize("text", PLCS)
def test_a_station_of_the_page_can_be_made(text: str, folder: Path) -> None:
    options = read(text, "plc", into=ModbusOptions)
    if options.devices:
        # The demo's controller has a meter of its own.
        path = folder / "maps" / "controller.yaml"
        own = re.sub(r"(?m)^  meter:\n(    - .*\n)+", "", path.read_text(encoding="utf-8"))
        path.write_text(own, encoding="utf-8")
    driver = open_driver(options, DriverContext("BOX", 2, folder, SystemClock()))
    assert driver


def test_simulated_plcs_of_the_page() -> None:
    (text,) = [text for text in OTHERS if text.startswith("plugins:")]
    options = read(text, "plugins", "options", "modbus", into=PluginOptions)
    assert [one.serial for one in options.simulate] == [None, "/dev/ttyUSB1"]


def test_every_key_of_a_line_and_a_device_is_explained() -> None:
    own = set(DeviceOptions.__struct_fields__) - set(LineOptions.__struct_fields__) - {"map"}
    for key in {*LineOptions.__struct_fields__, *own}:
        assert f"`{key}`" in PAGE, key


def test_every_option_of_a_command_exists() -> None:
    group = click.Group("ocppgw")
    ocppgw_modbus.ocppgw_commands(group)
    known = CliRunner().invoke(group, ["simulate", "plc", "--help"]).output
    for option in set(re.findall(r"--[a-z-]+", SHELL)):
        assert option in known, option
