"""A listener that cannot be had is one sentence: where, why, what to do."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.error import CannotListenError

from ocppgw.errors import UserError
from ocppgw.net.server import listen
from ocppgw.testing.sockets import Authority, echo

# Twisted 26.10 calls what pyOpenSSL 26 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*cryptography's X.509 APIs:DeprecationWarning"),
]


async def refusal(reactor: Any, description: str) -> str:
    with pytest.raises(UserError) as refused:
        await listen(reactor, description, echo)
    assert description in str(refused.value)
    return str(refused.value)


async def test_a_busy_port(reactor: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = await refusal(reactor, f"tcp:{port}:interface=127.0.0.1")
    assert "the address is in use; stop the program that has it, or choose another port" in message


async def test_an_address_of_another_machine(reactor: Any) -> None:
    message = await refusal(reactor, "tcp:0:interface=192.0.2.1")
    assert "this machine has no such address" in message


async def test_a_port_that_no_machine_has(reactor: Any) -> None:
    message = await refusal(reactor, "tcp:80000:interface=127.0.0.1")
    assert "a port is a number up to 65535" in message


async def test_a_port_that_needs_root() -> None:
    class Refusing:
        """A reactor as it is where only root may listen on low ports."""

        def listenTCP(self, port: int, *_: object, interface: str, **__: object) -> None:  # noqa: N802
            raise CannotListenError(interface, port, PermissionError(errno.EACCES, "denied"))

    assert "no permission" in await refusal(Refusing(), "tcp:1:interface=127.0.0.1")


async def test_a_folder_that_is_not_there(reactor: Any, tmp_path: Path) -> None:
    message = await refusal(reactor, f"unix:{tmp_path / 'no' / 'socket'}")
    assert "No such file or directory" in message


@pytest.mark.parametrize(
    "description", ["", "9220", "tcp", "tcp:port", "tcp:1:nonsense=2", "nonsense:1", "tcp:1:2:3:4"]
)
async def test_a_string_that_is_none(reactor: Any, description: str) -> None:
    message = await refusal(reactor, description)
    assert "write it like tcp:9220:interface=127.0.0.1" in message


async def test_missing_or_wrong_key_files(
    reactor: Any, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("server")
    description = f"ssl:0:privateKey={tmp_path / 'no.pem'}:certKey={certificate}"
    assert "No such file or directory; check the files" in await refusal(reactor, description)
    other_key = authority.issue("other")[1]
    description = f"ssl:0:privateKey={other_key}:certKey={certificate}"
    assert "check the files that it names" in await refusal(reactor, description)
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    description = f"ssl:0:privateKey={key}:certKey={broken}"
    assert "check the files that it names" in await refusal(reactor, description)


async def test_directories_that_tls_would_choke_on(
    reactor: Any, authority: Authority, tmp_path: Path
) -> None:
    directory = tmp_path / "tls"
    description = f"tls:{directory}:0:interface=127.0.0.1"
    assert "is no directory" in await refusal(reactor, description)

    directory.mkdir()
    assert "no certificate" in await refusal(reactor, description)

    certificate, key = authority.issue("localhost", x509.DNSName("localhost"))
    certificate.rename(directory / "cert.pem")
    assert "no certificate" in await refusal(reactor, description)

    key.rename(directory / "key.pem")
    (directory / "root.pem").write_bytes(authority.file.read_bytes())
    message = await refusal(reactor, description)
    assert "root.pem holds a self-signed certificate without its key" in message

    (directory / "root.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
    message = await refusal(reactor, description)
    assert "root.pem is not PEM that can be read" in message
