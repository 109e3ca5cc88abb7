"""`Endpoint`: where a V2 server listens, read from a URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError

ACCEPTED = "grpc://host:port or http://host:port (grpcs and https for TLS)"
_REST_PORTS = {"http": 80, "https": 443}
_SCHEMES = ("grpc", "grpcs", *_REST_PORTS)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address.

    Attributes:
        scheme: grpc, grpcs, http or https.
        authority: Host and port; an IPv6 host stands in brackets.
        path: What comes before /v2 in REST paths, without a slash at its end; empty for gRPC.
    """

    scheme: str
    authority: str
    path: str = ""

    @property
    def is_grpc(self) -> bool:
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("grpcs", "https")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """The endpoint of a URL.

        Raises:
            ConfigurationError: the URL is no endpoint; the text says what is accepted. A URL that
                holds credentials is refused, and not repeated.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"endpoint '{url}': {error}; accepted: {ACCEPTED}") from None
        if "@" in parts.netloc:
            raise ConfigurationError(
                f"an endpoint holds a user name or password; accepted: {ACCEPTED}"
            )
        problem = _problem(parts, port)
        if problem:
            raise ConfigurationError(f"endpoint '{url}': {problem}; accepted: {ACCEPTED}")
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        return cls(
            parts.scheme, f"{host}:{port or _REST_PORTS[parts.scheme]}", parts.path.rstrip("/")
        )


def _problem(parts: SplitResult, port: int | None) -> str | None:
    if parts.scheme not in _SCHEMES:
        # Python 3.10 takes the host of host:port for a scheme where it begins with a digit.
        named = parts.scheme[:1].isalpha()
        return f"unknown scheme '{parts.scheme}'" if named else "it has no scheme"
    if not parts.hostname:
        return "it has no host"
    if parts.query or parts.fragment:
        return "it has a query or fragment"
    if parts.scheme in _REST_PORTS:
        return None
    if not port:
        return "it has no port"
    if parts.path.rstrip("/"):
        return f"it has a path, '{parts.path}', which gRPC has no use for"
    return None
