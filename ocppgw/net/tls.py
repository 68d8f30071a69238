"""TLS as a client: whom we trust, and who we are."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ocppgw.errors import UserError
from ocppgw.net.settings import ClientTls

_BEGIN = "-----BEGIN CERTIFICATE-----"


class TlsContexts:
    """Makes what Twisted needs to verify a host. Files are read once, at the start.

    Raises UserError if one of them cannot be used.
    """

    def __init__(self, settings: ClientTls) -> None:
        self._trust: Any = None
        self._certificate: Any = None
        self._chain: list[Any] = []
        self.for_host = functools.lru_cache(maxsize=1024)(self._for_host)
        if settings.ca_file is not None:
            self._trust = self._trust_in(settings.ca_file)
        if settings.certificate_file is not None:
            self._identify(settings.certificate_file, settings.key_file)

    def _for_host(self, host: str) -> Any:
        extra = {"extraCertChain": self._chain} if self._chain else None
        return _ssl().optionsForClientTLS(
            host,
            trustRoot=self._trust,
            clientCertificate=self._certificate,
            extraCertificateOptions=extra,
        )

    def _trust_in(self, name: Path) -> Any:
        ssl = _ssl()
        try:
            authorities = [ssl.Certificate.loadPEM(each) for each in _certificates(name)]
        except Exception as problem:  # OpenSSL's and the file system's
            raise UserError(_unusable("ca_file", name, problem)) from problem
        if not authorities:
            raise UserError(_unusable("ca_file", name, "there is no certificate in it"))
        return ssl.trustRootFromCertificates(authorities)

    def _identify(self, certificate_file: Path, key_file: Path | None) -> None:
        from OpenSSL import crypto

        try:
            leaf, *chain = _certificates(certificate_file)
        except (OSError, ValueError) as problem:
            reason = "there is no certificate in it" if isinstance(problem, ValueError) else problem
            raise UserError(_unusable("certificate_file", certificate_file, reason)) from problem
        try:
            key = (key_file or certificate_file).read_text()
            self._certificate = _ssl().PrivateCertificate.loadPEM(leaf + key)
            load = crypto.load_certificate
            self._chain = [load(crypto.FILETYPE_PEM, each.encode()) for each in chain]
        except Exception as problem:  # OpenSSL's and the file system's
            name = key_file or certificate_file
            raise UserError(_unusable("key_file", name, problem)) from problem


def _ssl() -> Any:
    from twisted.internet import ssl  # only with https: it costs start-up time and memory

    return ssl


def _certificates(name: Path) -> list[str]:
    """The PEM texts of the certificates in a file, in order."""
    text = name.read_text()
    end = _BEGIN.replace("BEGIN", "END")
    return [_BEGIN + part.partition(end)[0] + end + "\n" for part in text.split(_BEGIN)[1:]]


def _unusable(key: str, name: Path, reason: object) -> str:
    if isinstance(reason, OSError):
        reason = reason.strerror
    return f"tls.{key}: {str(name)!r} is not a PEM file that can be used: {reason}"
