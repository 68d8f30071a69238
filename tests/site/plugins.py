"""The plugin of these tests, as if pip had installed it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("probe.py")


@contextmanager
def probed(folder: Path) -> Iterator[None]:
    """Programs that are started in this block find the plugin ``probe``."""
    before = os.environ.get("PYTHONPATH", "")
    found = [str(_installed(folder)), *filter(None, [before])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(found))
        yield


def _installed(folder: Path) -> Path:
    plugins = folder / "plugins"
    info = plugins / "probe-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ocppgw]\nprobe = probe\n")
    shutil.copy(PROBE, plugins)
    return plugins
