"""docs/backup.md: its commands, in their order, do what they are there for."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ocppgw.storage import backup
from ocppgw.storage.file import open_writer


def test_the_commands_work_as_they_stand(
    page: Callable[[str], Any], tmp_path: Path, central_yaml: str, box_yaml: Callable[[int], str]
) -> None:
    text = (central_yaml + box_yaml(9220)).replace("BOX-1", "DEMO-1")
    (tmp_path / "gateway.yaml").write_text(text)
    for store in ("central.db", "box.db"):
        open_writer(tmp_path / store, []).close()
    snippets = page("docs/backup.md").snippets
    commands = [
        line
        for snippet in snippets
        if snippet.language == "console"
        for line in snippet.text.splitlines()
    ]
    assert len(commands) == 5
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "ocppgw"
        done = subprocess.run(
            [sys.executable, "-m", "ocppgw", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command

    stores = backup.read(tmp_path / "backup-1.tar").stores
    assert [copied.name for copied in stores] == ["central", "box-DEMO-1"]
    assert len(list(tmp_path.glob("central.db.before-restore-*"))) == 1
    assert len(list(tmp_path.glob("box.db.before-restore-*"))) == 2
    assert backup.WORKSHOP in page("docs/backup.md").text
