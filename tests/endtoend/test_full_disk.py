"""Stores on a disk that is full for a while: nothing that was acknowledged is lost, nothing
is acknowledged that is not durable, and all goes on when there is space again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocppgw.testing.processes import Program
from tests.site.plc import OCPPGW
from tests.site.site import TAG, Site

pytestmark = pytest.mark.slow

SIZE = 4 << 20
PATIENCE = {"TransactionMessageAttempts": 1000, "TransactionMessageRetryInterval": 0.05}


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Not a byte more."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """There is space again."""
        self._filler.unlink()

    def read_only(self) -> None:
        mount("-o", "remount,ro", str(self.path))


def mount(*arguments: str) -> None:
    """Skips the test where one may not mount."""
    done = subprocess.run(
        ["mount", *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    if done.returncode:
        pytest.skip(f"a file system of one's own needs root: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("a file system of one's own needs root")
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path))
    yield Disk(path)
    subprocess.run(["umount", str(path)], timeout=10, check=True)


async def test_under_the_central_system(tmp_path: Path, disk: Disk) -> None:
    store = disk.path / "central.db"
    async with Site(tmp_path, central_store=store, configuration=PATIENCE) as site:
        plc, box, central = site.plc, site.programs["box"], site.programs["central"]
        plc.do("arrive")
        plc.do("tag", id_tag=TAG)
        await plc.saw("transaction")
        (first,) = await site.transactions()
        disk.fill()
        await central.says("the store failed")
        await box.says("MeterValues failed, sent again")
        plc.do("tag", id_tag=TAG)
        await plc.saw("accepted", "answer_stop")  # the charge box has it: that is enough
        plc.do("leave")
        begin = len(plc.log)
        plc.do("arrive")
        plc.do("tag", id_tag=TAG)
        await plc.saw("charging", since=begin)
        (still,) = await site.transactions()
        site.kill("central")
        disk.free()
        await site.start_central()
        await plc.saw("transaction", since=begin)
        await plc.charge(3)
        plc.do("tag", id_tag=TAG)
        booked = await site.stopped(2)

        assert still["state"] == "active"
        assert booked[0]["transactionId"] == first["transactionId"]
        assert [one["meterStart"] for one in booked] == meters(site, "start")
        assert [one["meterStop"] for one in booked] == meters(site, "stop")
        assert central.console.count("stations are answered InternalError") == 1
        assert "Traceback" not in central.console + box.console


async def test_under_the_charge_box(tmp_path: Path, disk: Disk) -> None:
    async with Site(tmp_path, box_store=disk.path / "box.db") as site:
        plc, box = site.plc, site.programs["box"]
        plc.do("arrive")
        disk.fill()
        plc.do("tag", id_tag=TAG)
        await box.says("hand-shake 1.tag: not acknowledged, tried again: .*full")
        tag = await plc.read("tag_acknowledge")
        disk.free()
        await plc.saw("transaction")
        await plc.charge(3)
        disk.fill()
        plc.do("tag", id_tag=TAG)
        await box.says("hand-shake 1.stop: not acknowledged, tried again: .*full")
        stop = await plc.read("stop_acknowledge")
        (running,) = await site.transactions()
        site.kill("box")  # as somebody might who sees that it does nothing
        disk.free()
        await site.start_box()
        await plc.saw("accepted", "answer_stop")
        (booked,) = await site.stopped(1)

        assert (tag, stop, running["state"]) == (0, 0, "active")
        assert [booked["meterStart"]] == meters(site, "start")
        assert [booked["meterStop"]] == meters(site, "stop")
        assert booked["transactionId"] == running["transactionId"]
        assert box.console.count("hand-shake 1.stop: not acknowledged") == 1
        assert "Traceback" not in box.console


@pytest.mark.parametrize("what", ["full", "read-only", "a folder", "below a file"])
async def test_a_store_that_cannot_be_opened_is_one_sentence(
    tmp_path: Path, disk: Disk, what: str
) -> None:
    store = disk.path / "central.db"
    if what == "a folder":
        store.mkdir()
    elif what == "below a file":
        (disk.path / "file").write_text("")
        store = disk.path / "file" / "central.db"
    elif what == "full":
        disk.fill()
    else:
        disk.read_only()
    (tmp_path / "central.yaml").write_text(
        f"storage: {{backend: file, path: {store}}}\n"
        "central_system: {listen: 'tcp:0:interface=127.0.0.1'}\n"
        "control: {socket: control.sock}\n"
    )
    central = Program(
        *(*OCPPGW, "run", "central.yaml"), cwd=tmp_path, console=tmp_path / "console.log"
    )
    code = await central.exit_code()

    assert code == 1
    (line,) = [line for line in central.console.splitlines() if str(store) in line]
    assert "could not start" in line or "central.yaml" in line
    assert "Traceback" not in central.console


def meters(site: Site, event: str) -> list[int]:
    """The readings of the PLC's starts, or stops."""
    return [told["details"]["meter"] for told in site.plc.told("raised", event)]
