"""The servers under test, each in a process of its own, and what they use."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocppgw.testing.processes import free_port

_TICKS = os.sysconf("SC_CLK_TCK")
_START_CAP = 30.0
ROOT = Path(__file__).resolve().parent.parent
"""Where ``python -m benchmarks.…`` finds its modules."""


class Server:
    """A process that listens on a port."""

    def __init__(self, name: str, arguments: list[str], port: int, *, tls: bool = False) -> None:
        self.name = name
        self.port = port
        self._tls = tls
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT
        )
        self._wait_until_it_answers(began + _START_CAP)
        self.seconds_to_start = time.monotonic() - began

    def connect(self, timeout: float | None = None) -> socket.socket:
        """A connection to it, TLS without questions if it speaks that."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        if not self._tls:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connection)

    def cpu(self) -> float:
        """CPU seconds used so far, all threads, user and system."""
        total = 0
        try:
            for task in Path(f"/proc/{self._process.pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            return self._cpu_in_ticks()
        return total / 1e9

    def resident(self) -> int:
        """Bytes of memory in use (RSS)."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS: this needs Linux")

    def stop(self) -> None:
        """Ends it, in order if it can."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _cpu_in_ticks(self) -> float:
        """The coarser figure of kernels without schedstat."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _wait_until_it_answers(self, cap: float) -> None:
        request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        while True:
            try:
                with self.connect(timeout=1) as client:
                    client.sendall(request)
                    if client.recv(10):
                        return
            except OSError:
                pass  # not yet
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}")
            if time.monotonic() > cap:
                self.stop()
                raise RuntimeError(f"{self.name} does not answer on port {self.port}")
            time.sleep(0.002)


def bare(kind: str, name: str) -> Server:
    """One of the servers of benchmarks.bare."""
    port = free_port()
    return Server(name, ["-m", "benchmarks.bare", kind, str(port)], port)


def central_system(folder: Path, identities: list[str], *, tls: str = "") -> Server:
    """Our central system with its file store in that folder, as ``ocppgw run`` starts it."""
    port = free_port()
    endpoint = f"ssl:{port}:interface=127.0.0.1:{tls}" if tls else f"tcp:{port}:interface=127.0.0.1"
    users = "\n".join(f"    - {{id_tag: {identity}}}" for identity in identities)
    stations = "\n".join(f"    {identity}: {{}}" for identity in identities)
    file = folder / f"central-{port}.yaml"
    file.write_text(
        f"storage: {{backend: file, path: central-{port}.db}}\n"
        f"central_system:\n  listen: '{endpoint}'\n"
        f"  stations:\n{stations}\n  users:\n{users}\n"
        "plugins: {block: [example]}  # it observes every exchange, in a development environment\n"
        "logging: {level: warning}\n"
    )
    return Server("ocppgw", ["-m", "ocppgw", "run", str(file)], port, tls=bool(tls))


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Ends them at the end."""
    try:
        yield
    finally:
        for server in servers:
            server.stop()
