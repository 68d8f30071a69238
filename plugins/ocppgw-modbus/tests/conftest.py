"""Fixtures of the Modbus tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.mapfile import load_map

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "config" / "maps" / "demo-plc.yaml"


@pytest.fixture(scope="session")
def demo() -> BoundMap:
    """The demo station's map."""
    return load_map(DEMO)


@pytest.fixture(scope="session")
def demo_path() -> Path:
    return DEMO
