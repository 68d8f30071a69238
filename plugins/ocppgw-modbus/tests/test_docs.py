"""The snippets of the documentation are maps that load, and the shipped maps do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ocppgw_modbus.commandrules import FIELDS
from ocppgw_modbus.mapfile import load_map, parse_map
from ocppgw_modbus.spec import RegisterSpec, Type

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "register-maps.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml map\n(.*?)```", PAGE, re.DOTALL)
OTHERS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", SNIPPETS, ids=lambda text: text.split("\n")[0])
def test_a_snippet_is_a_map(text: str) -> None:
    assert parse_map(text, "register-maps.md").points


@pytest.mark.parametrize("text", OTHERS)
def test_other_snippets_are_yaml(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 7


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "maps").glob("*.yaml")), ids=str)
def test_a_shipped_map_loads(path: Path) -> None:
    assert load_map(path).device == path.stem


def test_every_key_of_a_register_is_explained() -> None:
    for key in RegisterSpec.__struct_fields__:
        if key not in ("addr", "count", "meaning"):
            assert f"`{key}`" in PAGE or f"`{key}:" in PAGE, key


def test_every_type_and_command_is_listed() -> None:
    for kind in Type:
        assert kind.value in PAGE
    for command, fields in FIELDS.items():
        assert f"`{command.value}`" in PAGE, command
        for field in fields:
            assert f"`{field.value}`" in PAGE, field
