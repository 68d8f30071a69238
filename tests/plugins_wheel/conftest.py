"""A fresh virtual environment in which ocppgw and two plugins came from their wheels.

Built from copies of the sources, so that nothing is left in them; installed with pip only.
"""

import base64
import hashlib
import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ocppgw.web.client import ControlClient

ROOT = Path(__file__).parents[2]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
BUILT_FROM = ("ocppgw", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
CAP = 60.0  # seconds that anything may take on a busy machine


class Environment:
    """A virtual environment, seen from outside: its commands are processes."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"

    def run(
        self, *command: str, cwd: Path, timeout: float = CAP
    ) -> "subprocess.CompletedProcess[str]":
        """Runs one of its programs to the end; all that it prints is in ``stdout``."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def pip(self, *arguments: str, cwd: Path) -> None:
        done = self.run("python", *PIP, *arguments, cwd=cwd, timeout=600)
        assert done.returncode == 0, done.stdout


class Configuration(NamedTuple):
    """A configuration file, and the port of the central system in it."""

    path: Path
    port: int


class Gateway:
    """A running ``ocppgw run``; its console is a file."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", configuration: Configuration, console: Path
    ) -> None:
        self._process = process
        self._configuration = configuration
        self._console = console

    @property
    def console(self) -> str:
        return self._console.read_text(encoding="utf-8")

    def says(self, pattern: str) -> "re.Match[str]":
        """Waits until the console has it."""
        end = time.monotonic() + CAP
        while not (found := re.search(pattern, self.console)):
            assert self._process.poll() is None, self.console
            assert time.monotonic() < end, f"{pattern!r} is not in:\n{self.console}"
            time.sleep(0.05)
        return found

    def post(self, body: str) -> str:
        """What the central system answers to a SOAP message."""
        connection = http.client.HTTPConnection("127.0.0.1", self._configuration.port, timeout=CAP)
        try:
            headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
            connection.request("POST", "/Ocpp/CentralSystemService", body, headers)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def control(self, method: str, path: str) -> Any:
        """What the control API answers."""
        settings = yaml.safe_load(self._configuration.path.read_text(encoding="utf-8"))
        socket = self._configuration.path.parent / settings["control"]["socket"]
        return ControlClient(socket).call(method, path)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of ocppgw, of the example and, for the demo, of the Modbus driver."""
    folder = tmp_path_factory.mktemp("wheels")
    core = folder / "sources" / "core"
    core.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dropin.cache")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, core / name, ignore=ignore)
        else:
            shutil.copy(source, core / name)
    sources = [core]
    for plugin in ("ocppgw-example", "ocppgw-modbus"):
        copy = folder / "sources" / plugin
        sources.append(shutil.copytree(ROOT / "plugins" / plugin, copy, ignore=ignore))
    subprocess.run(
        [sys.executable, *PIP, "wheel", "--no-deps", "-w", str(folder), *map(str, sources)],
        check=True,
        timeout=600,
    )
    return folder


@pytest.fixture(scope="session")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheels and, from the registry, what they depend on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    environment = Environment(folder)
    environment.pip("install", *map(str, sorted(wheels.glob("*.whl"))), cwd=wheels)
    return environment


@pytest.fixture
def install(environment: Environment, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Installs a plugin made of one module; all are gone after the test."""
    names: list[str] = []

    def install(name: str, code: str) -> None:
        names.append(f"ocppgw-{name}")
        path = wheel(tmp_path, name, code)
        environment.pip("install", "--no-index", "--no-deps", str(path), cwd=tmp_path)

    yield install
    if names:
        environment.pip("uninstall", "-y", *names, cwd=tmp_path)


def wheel(folder: Path, name: str, code: str) -> Path:
    """The wheel of a distribution ``ocppgw-NAME`` whose only module is a plugin."""
    module, info = f"ocppgw_{name}", f"ocppgw_{name}-0.1.0.dist-info"
    files = {
        f"{module}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: ocppgw-{name}\nVersion: 0.1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[ocppgw]\n{name} = {module}\n",
    }
    record = "".join(f"{path},sha256={_hash(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"{module}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for within, text in files.items():
            archive.writestr(within, text)
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """The configuration of the plugin's README, on free ports and with a strong charger."""
    readme = (ROOT / "plugins" / "ocppgw-example" / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    (port,) = free_ports(1)
    text = text.replace("9220", str(port)).replace("tcp:9000", "tcp:0")
    text = text.replace("folder: var/counter-1", "folder: plug, power: 3600000, poll: 0.1")
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    return Configuration(path, port)


@pytest.fixture
def demo(tmp_path: Path) -> Configuration:
    """The demo on free ports, with the example's tags beside its own users."""
    for folder in ("maps", "days"):
        shutil.copytree(ROOT / "config" / folder, tmp_path / "config" / folder)
    settings = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    central, modbus = free_ports(2)
    settings["central_system"]["listen"] = f"tcp:{central}:interface=127.0.0.1"
    settings["charge_point_server"]["listen"] = "tcp:0:interface=127.0.0.1"
    (box,) = settings["charge_boxes"]
    box["central_system"]["url"] = f"http://127.0.0.1:{central}/Ocpp/CentralSystemService"
    options = settings["plugins"]["options"]
    box["plc"]["port"] = options["modbus"]["simulate"][0]["port"] = modbus
    options["example"] = {"tags": ["GUEST-1"]}
    path = tmp_path / "config" / "demo.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Configuration(path, central)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on, for those that must be known beforehand."""
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


@pytest.fixture
def start(
    environment: Environment,
) -> Callable[[Configuration], AbstractContextManager[Gateway]]:
    """Runs the gateway, ends it with SIGTERM, and wants exit code 0."""

    @contextmanager
    def start(configuration: Configuration) -> Iterator[Gateway]:
        path = configuration.path
        console = path.with_suffix(".console")
        with console.open("wb") as output:
            command: list[Any] = [environment.bin / "ocppgw", "run", path]
            process = subprocess.Popen(
                command, cwd=path.parent, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield Gateway(process, configuration, console)
            process.send_signal(signal.SIGTERM)
            assert process.wait(CAP) == 0, console.read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait()

    return start
