"""TLS both ways: verified, with a client certificate, and what goes wrong."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ocppgw.errors import UserError
from ocppgw.net.base import ConnectFailed, DeadlineExceeded
from ocppgw.net.client import HttpClient
from ocppgw.net.settings import ClientTls
from ocppgw.testing.sockets import Authority, listening, raw_client, raw_server, read_request, until

# Twisted 26.10 calls what pyOpenSSL 26 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*cryptography's X.509 APIs:DeprecationWarning"),
]

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def described(certificate: Path, key: Path) -> str:
    return f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.file))


async def test_a_client_that_offers_http_2_and_http_1(reactor: Any, authority: Authority) -> None:
    """As curl does; a factory that says nothing of ALPN would be cut off."""
    description = described(*authority.issue("server", LOOPBACK))
    context = trusting(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with (
        listening(reactor, description=description) as listener,
        raw_client(listener.port, ssl=context) as client,
    ):
        negotiated = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()
        assert negotiated == "http/1.1"
        for body in (b"one", b"two" * 50_000):
            client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await client.reply())[1] == body
        client.send(b"nonsense\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_pipelines_over_tls(reactor: Any, authority: Authority) -> None:
    description = described(*authority.issue("server", LOOPBACK))
    bodies = [b"%d" % n * 2000 for n in range(100)]
    async with (
        listening(reactor, description=description) as listener,
        raw_client(listener.port, ssl=trusting(authority)) as client,
    ):
        for body in bodies:
            client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert [(await client.reply())[1] for _ in bodies] == bodies


async def test_plain_http_to_a_tls_port_is_cut_off(reactor: Any, authority: Authority) -> None:
    description = described(*authority.issue("server", LOOPBACK))
    async with (
        listening(reactor, description=description) as listener,
        raw_client(listener.port) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in await client.rest()


async def test_a_directory_of_certificates(
    reactor: Any, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("localhost", x509.DNSName("localhost"))
    directory = tmp_path / "tls"
    directory.mkdir()
    both = directory / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    context = trusting(authority)
    async with (
        listening(reactor, description=f"tls:{directory}:0:interface=\\:\\:1") as listener,
        raw_client(listener.port, "::1", ssl=context, server_hostname="localhost") as client,
    ):
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.reply())[1] == b"::1"


async def test_our_client_and_our_server(reactor: Any, authority: Authority) -> None:
    description = described(*authority.issue("server", LOOPBACK, x509.DNSName("localhost")))
    client = HttpClient(reactor, tls=ClientTls(ca_file=authority.file))
    async with listening(reactor, description=description) as listener:
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            url = f"https://{host}:{listener.port}/x"
            for body in (b"one", b"two" * 100_000):
                reply = await client.post(url, body, content_type=b"a/b", deadline=10)
                assert reply.body == body
        assert len(listener._server._protocols) == 2
        await client.close()


async def test_a_server_that_closes_after_each_reply(reactor: Any, authority: Authority) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", LOOPBACK))
    client = HttpClient(reactor, tls=ClientTls(ca_file=authority.file))
    async with raw_server(script, ssl=context) as port:
        url = f"https://127.0.0.1:{port}/"
        for _ in range(2):
            assert (await client.post(url, b"", content_type=b"a/b", deadline=10)).body == b"ok"
        await until(lambda: next(iter(client._pools.values())).unused)
        await client.close()


async def test_a_handshake_that_never_ends(reactor: Any) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.read()

    client = HttpClient(reactor)
    async with raw_server(script) as port:
        with pytest.raises(DeadlineExceeded, match="there was no connection") as late:
            await client.post(f"https://127.0.0.1:{port}/", b"", content_type=b"a/b", deadline=0.1)
        assert late.value.sent is False
        await client.close()


async def test_a_server_nobody_vouches_for(reactor: Any, authority: Authority) -> None:
    description = described(*authority.issue("server", LOOPBACK))
    client = HttpClient(reactor)
    async with listening(reactor, description=description) as listener:
        with pytest.raises(ConnectFailed, match=r"TLS handshake failed \(.*certificate verify"):
            await client.post(
                f"https://127.0.0.1:{listener.port}/", b"", content_type=b"a/b", deadline=10
            )
        await client.close()


async def test_a_certificate_for_another_host(reactor: Any, authority: Authority) -> None:
    description = described(*authority.issue("server", x509.DNSName("example.org")))
    client = HttpClient(reactor, tls=ClientTls(ca_file=authority.file))
    async with listening(reactor, description=description) as listener:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(ConnectFailed, match="certificate is for another host name"):
                await client.post(
                    f"https://{host}:{listener.port}/", b"", content_type=b"a/b", deadline=10
                )
        await client.close()


async def test_https_to_a_plain_port(reactor: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = HttpClient(reactor)
    async with listening(reactor) as listener:
        with pytest.raises(ConnectFailed, match="TLS handshake failed"):
            await client.post(
                f"https://127.0.0.1:{listener.port}/", b"", content_type=b"a/b", deadline=10
            )
        await client.close()
    assert "speaks http, not https" in caplog.text


@pytest.mark.parametrize("in_one_file", [False, True])
async def test_a_server_that_wants_to_know_who_we_are(
    reactor: Any, authority: Authority, in_one_file: bool
) -> None:
    names = []

    async def script(reader: Any, writer: Any) -> None:
        names.append(writer.get_extra_info("peercert")["subject"][0][0][1])
        await read_request(reader)
        writer.write(OK)

    server_certificate, server_key = authority.issue("server", LOOPBACK)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server_certificate, server_key)
    certificate, key = authority.issue("charge-box-1")
    certificate.write_bytes(certificate.read_bytes() + authority.file.read_bytes())
    if in_one_file:
        certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    tls = ClientTls(
        ca_file=authority.file,
        certificate_file=certificate,
        key_file=None if in_one_file else key,
    )
    client = HttpClient(reactor, tls=tls)
    async with raw_server(script, ssl=context) as port:
        reply = await client.post(
            f"https://127.0.0.1:{port}/", b"", content_type=b"a/b", deadline=10
        )
        assert reply.body == b"ok"
        await client.close()
    assert names == ["charge-box-1"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ClientTls(ca_file=Path("/nowhere.pem")), r"tls.ca_file: '/nowhere.pem' .*: No such file"),
        (ClientTls(ca_file=Path("{empty}")), r"tls.ca_file: .*no certificate in it"),
        (ClientTls(ca_file=Path("{broken}")), r"tls.ca_file: "),
        (ClientTls(certificate_file=Path("/nowhere.pem")), r"tls.certificate_file: .*No such file"),
        (
            ClientTls(certificate_file=Path("{empty}")),
            r"tls.certificate_file: .*no certificate in it",
        ),
        (ClientTls(certificate_file=Path("{good}")), r"tls.key_file: "),
        (
            ClientTls(certificate_file=Path("{good}"), key_file=Path("/nowhere.pem")),
            r"tls.key_file: .*No such",
        ),
    ],
)
async def test_files_that_cannot_be_used(
    reactor: Any, authority: Authority, tmp_path: Path, settings: ClientTls, expected: str
) -> None:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    (tmp_path / "empty").write_text("")
    (tmp_path / "broken").write_text(f"{begin}\nAAAA\n{end}\n")
    files = {name: str(tmp_path / name) for name in ("empty", "broken")}
    files["good"] = str(authority.file)

    def filled(name: Path | None) -> Path | None:
        return None if name is None else Path(str(name).format(**files))

    settings = ClientTls(
        ca_file=filled(settings.ca_file),
        certificate_file=filled(settings.certificate_file),
        key_file=filled(settings.key_file),
    )
    with pytest.raises(UserError, match=expected):
        HttpClient(reactor, tls=settings)
