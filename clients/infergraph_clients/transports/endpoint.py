"""`Endpoint`: where a server listens, read from a URL; and `Tls`, how it is trusted."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from ..errors import UsageError

Protocol = Literal["rest", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("rest", "grpc")
DEFAULT_URLS = {"rest": "http://127.0.0.1:8080", "grpc": "grpc://127.0.0.1:8081"}
_ACCEPTED = "http://host:port or grpc://host:port (https and grpcs for TLS)"
_PORTS = {"http": 80, "https": 443}
_SCHEMES = (*_PORTS, "grpc", "grpcs")


@dataclass(frozen=True)
class Endpoint:
    """A server's address.

    Attributes:
        scheme: http, https, grpc or grpcs.
        host: A name or an address, without brackets.
        port: Its port.
        path: What stands before /v2 over REST, without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def protocol(self) -> Protocol:
        return "grpc" if self.is_grpc else "rest"

    @property
    def is_grpc(self) -> bool:
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("https", "grpcs")

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, url: str | None, protocol: Protocol | None = None) -> Endpoint:
        """The endpoint of a URL; its scheme and `protocol` may each stand for the other.

        Without a URL it is the usual port of this machine: gRPC's, or that of `protocol`.

        Raises:
            UsageError: the URL is none, or its scheme is not of the protocol.
        """
        if url is None:
            url = DEFAULT_URLS[protocol or "grpc"]
        if "://" not in url and protocol is not None:
            url = f"{'grpc' if protocol == 'grpc' else 'http'}://{url}"
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError as error:
            raise UsageError(f"url '{url}': {error}; accepted: {_ACCEPTED}") from None
        if "@" in parts.netloc:
            # Not repeated: it would show the password.
            raise UsageError(
                "the url holds a user name or password; accepted: a URL without them, and "
                "--header authorization=VALUE"
            )
        problems = (
            ("://" not in url, "it has no scheme"),
            (parts.scheme not in _SCHEMES, f"unknown scheme '{parts.scheme}'"),
            (not parts.hostname, "it has no host"),
            (port is None, "it has no port"),
            (parts.query or parts.fragment, "it has a query or a fragment"),
            (
                parts.scheme not in _PORTS and parts.path.strip("/"),
                f"it has the path '{parts.path}', which gRPC cannot use",
            ),
        )
        for wrong, problem in problems:
            if wrong:
                raise UsageError(f"url '{url}': {problem}; accepted: {_ACCEPTED}")
        assert parts.hostname is not None
        assert port is not None
        endpoint = cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))
        if protocol not in (None, endpoint.protocol):
            raise UsageError(f"url '{url}' is of {endpoint.protocol}, but protocol is {protocol}")
        return endpoint


@dataclass(frozen=True)
class Tls:
    """How a server is trusted, and how the client shows who it is. Files are PEM.

    Attributes:
        ca: Authorities that are trusted, in place of the system's.
        certificate, key: The client's certificate and its key; the key may be in the same file.
        insecure: Whether any certificate is taken, whoever it is of.
    """

    # As a section of the load tester's configuration.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """For REST; UsageError if a file cannot be used."""
        if self.key and not self.certificate:
            raise UsageError(f"tls key '{self.key}' has no certificate; accepted: both")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise UsageError(f"tls ca '{self.ca}': {error.strerror or error}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except OSError as error:
                name = self.certificate if self.key is None else f"{self.certificate}, {self.key}"
                raise UsageError(f"tls certificate '{name}': {error.strerror or error}") from None
        return context

    def channel(self, endpoint: Endpoint) -> tuple[Any, tuple[tuple[str, str], ...]]:
        """Credentials and options of a gRPC channel; UsageError if a file cannot be used.

        gRPC cannot do without verifying, so with `insecure` the server's own certificate, fetched
        here, is the one that is trusted.
        """
        import grpc

        self.context()
        ca = Path(self.ca).read_bytes() if self.ca else None
        options: tuple[tuple[str, str], ...] = ()
        if self.insecure:
            ca, name = _certificate_of(endpoint)
            options = (("grpc.ssl_target_name_override", name),)
        chain = Path(self.certificate).read_bytes() if self.certificate else None
        key = Path(self.key or str(self.certificate)).read_bytes() if self.certificate else None
        return grpc.ssl_channel_credentials(ca, key, chain), options


def _certificate_of(endpoint: Endpoint) -> tuple[bytes | None, str]:
    """The certificate that a server shows, and a name that it holds; nothing without a server."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        text = ssl.get_server_certificate((endpoint.host, endpoint.port), timeout=10)
    except (OSError, ValueError):
        return None, endpoint.host
    return text.encode(), _name_in(text) or endpoint.host


def _name_in(certificate: str) -> str | None:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate)
        file.flush()
        # The one decoder of certificates that the standard library has.
        decoded = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS"]
    names += [
        value for part in decoded.get("subject", ()) for kind, value in part if kind == "commonName"
    ]
    return next((name.replace("*.", "any.") for name in names), None)
