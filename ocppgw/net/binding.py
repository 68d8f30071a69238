"""Binding a listener's address, and saying in one sentence why it cannot be had."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import endpoints, error
from twisted.internet.protocol import ServerFactory

from ocppgw.bridge import result_of
from ocppgw.errors import UserError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LAST_PORT = 65535
_PORT = re.compile(r":(?:port=)?([0-9]+)(?=:|$)")
_WITH_FILES = frozenset({"ssl", "tls"})
_HANDED_OVER = frozenset({"systemd"})
_from_string: Any = endpoints.serverFromString  # untyped
_EXAMPLE = (
    "write it like tcp:9220:interface=127.0.0.1 or ssl:9220:privateKey=key.pem:certKey=cert.pem"
)


async def bind(reactor: Any, description: str, factory: ServerFactory) -> Any:
    """Listens at once; gives the port. UserError names the address, the reason, what to do."""
    endpoint = _endpoint(reactor, description)
    try:
        return await result_of(endpoint.listen(factory))
    except error.CannotListenError as problem:
        raise UserError(_cannot_listen(description, problem.socketError)) from problem
    except OSError as problem:  # a Unix socket's lock file
        raise UserError(_cannot_listen(description, problem)) from problem


def check(description: str, *, files: bool) -> None:
    """Raises ``UserError`` for what :func:`bind` refuses whatever the machine is like.

    With ``files`` the certificates and keys that it names are looked at, too. A socket that
    systemd hands over is there only for the process that systemd starts, so it is not.
    """
    kind = description.partition(":")[0]
    if kind in _WITH_FILES and not files:
        _check_ports(description)
    elif kind not in _HANDED_OVER:
        _endpoint(None, description)


def _check_ports(description: str) -> None:
    if any(int(number) > LAST_PORT for number in _PORT.findall(description)):
        raise UserError(f"listener {description!r}: a port is a number up to {LAST_PORT}")


def _endpoint(reactor: Any, description: str) -> Any:
    _check_ports(description)
    if description.startswith("tls:"):
        _check_directory(description)
    try:
        return _from_string(reactor, description)
    except (ValueError, TypeError, LookupError) as problem:
        raise UserError(
            f"listener {description!r} is not a Twisted endpoint string"
            f" ({_reason(problem)}): {_EXAMPLE}"
        ) from problem
    except Exception as problem:  # OpenSSL's errors have no common base with the others
        raise UserError(
            f"listener {description!r} cannot be set up: {_reason(problem)};"
            " check the files that it names"
        ) from problem


def _cannot_listen(description: str, problem: BaseException) -> str:
    number = getattr(problem, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"listener {description!r}: the address is in use;"
            " stop the program that has it, or choose another port"
        )
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"listener {description!r}: no permission to listen there;"
            " choose a port above 1023, or a path that this user may write"
        )
    if number == errno.EADDRNOTAVAIL:
        return (
            f"listener {description!r}: this machine has no such address;"
            " name one of its own after interface=, or leave interface= out for all"
        )
    return f"listener {description!r} cannot listen: {_reason(problem)}"


def _reason(problem: BaseException) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    text = str(problem).strip()
    return text if text else type(problem).__name__


def _check_directory(description: str) -> None:
    """Refuses what makes Twisted's ``tls:`` endpoint hang or serve nothing.

    A self-signed certificate without its key (the root that issued the others) is
    followed to its issuer, itself, for ever (Twisted 26.10).
    """
    directory = Path(description.removeprefix("tls:").split(":")[0])
    if not directory.is_dir():
        raise UserError(
            f"listener {description!r}: {directory} is no directory;"
            " name one that holds the server's certificate and key as *.pem files"
        )
    keys: set[bytes] = set()
    certificates: list[tuple[Path, Certificate]] = []
    for path in sorted(directory.rglob("*.pem")):
        try:
            _collect(path, keys, certificates)
        except (ValueError, TypeError) as problem:
            raise UserError(
                f"listener {description!r}: {path} is not PEM that can be read;"
                f" replace it or take it out ({problem})"
            ) from problem
    served = [each for _, each in certificates if _public(each.public_key()) in keys]
    for path, certificate in certificates:
        if certificate not in served and certificate.issuer == certificate.subject:
            raise UserError(
                f"listener {description!r}: {path} holds a self-signed certificate without its"
                " key, most likely the root authority; take it out of the directory, clients"
                " have it themselves"
            )
    if not served:
        raise UserError(
            f"listener {description!r}: no certificate in {directory} has its private key there;"
            " put both there as *.pem files"
        )


def _collect(path: Path, keys: set[bytes], certificates: list[tuple[Path, Certificate]]) -> None:
    """Adds a file's certificates, and the public half of its key. ValueError, TypeError."""
    from cryptography import x509  # only with TLS: it costs start-up time and memory
    from cryptography.hazmat.primitives import serialization

    content = path.read_bytes()
    if b"-----BEGIN CERTIFICATE" in content:
        certificates += [(path, each) for each in x509.load_pem_x509_certificates(content)]
    end = content.find(b"PRIVATE KEY-----")
    if end >= 0:
        begin = content.rindex(b"-----BEGIN", 0, end)
        keys.add(_public(serialization.load_pem_private_key(content[begin:], None).public_key()))


def _public(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
