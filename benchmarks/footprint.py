"""Memory and start-up of our central system."""

from __future__ import annotations

import datetime
import resource
import socket
import statistics
import time
from pathlib import Path

from msgspec import Struct

from benchmarks.load import IDENTITIES
from benchmarks.messages import HEARTBEAT, template
from benchmarks.processes import Server, central_system, running


class Footprint(Struct, frozen=True):
    """Seconds and bytes."""

    start: float
    rest: int
    idle: float
    idle_tls: float


def measure(folder: Path, *, connections: int, starts: int, rest: float) -> Footprint:
    """Starts the central system some times, and holds connections that do nothing.

    After ``rest`` seconds (more than one) they have let go of what they do not need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections + 1000), hard))
    seconds, resting = [], []
    idle = 0.0
    for number in range(starts):
        server = central_system(folder, IDENTITIES)
        with running(server):
            seconds.append(server.seconds_to_start)
            resting.append(server.resident())
            if number == 0:
                idle = _idle(server, connections, rest)
    tls = _certificate(folder)
    server = central_system(folder, IDENTITIES, tls=tls)
    with running(server):
        idle_tls = _idle(server, connections, rest)
    return Footprint(
        start=statistics.median(seconds),
        rest=int(statistics.median(resting)),
        idle=idle,
        idle_tls=idle_tls,
    )


def _idle(server: Server, connections: int, rest: float) -> float:
    """Bytes for each open connection that had one heartbeat answered and rests."""
    request = template(HEARTBEAT, IDENTITIES[0], 0)
    held = [_one(server, request.filled(number)) for number in range(50)]
    time.sleep(rest)
    before = server.resident()
    held += [_one(server, request.filled(number)) for number in range(connections)]
    time.sleep(rest)
    after = server.resident()
    for each in held:
        each.close()
    return (after - before) / connections


def _one(server: Server, request: bytes) -> socket.socket:
    connection = server.connect()
    connection.sendall(request)
    answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a heartbeat was answered {answer[:100]!r}")
    return connection


def _certificate(folder: Path) -> str:
    """The end of an endpoint string, with a certificate of our own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "key.pem", folder / "cert.pem"
    encoding = serialization.Encoding.PEM
    files[0].write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[1].write_bytes(certificate.public_bytes(encoding))
    return f"privateKey={files[0]}:certKey={files[1]}"
