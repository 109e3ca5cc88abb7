"""`Endpoint`: where a V2 server listens, read from a URL, and what it wants to be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError

ACCEPTED = "grpc://host:port or http://host:port (grpcs and https for TLS)"
_REST_PORTS = {"http": 80, "https": 443}
_SCHEMES = ("grpc", "grpcs", *_REST_PORTS)
_HEADER_NAME = re.compile(r"[a-z0-9_.-]+\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*\Z")
# Those of the connection and of the body, which transports write, and gRPC's own.
_NOT_OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "content-type", "expect", "host"),
        *("inference-header-content-length", "infergraph-timeout-ms", "keep-alive", "te"),
        *("trailer", "transfer-encoding", "upgrade", "user-agent"),
    }
)


def can_travel(name: str, value: object) -> bool:
    """Whether HTTP and gRPC both carry a header; its name is in lower case.

    gRPC would fail the whole call for one that is binary, or not printable ASCII.
    """
    return (
        bool(_HEADER_NAME.match(name))
        and not name.endswith("-bin")
        and isinstance(value, str)
        and bool(_HEADER_VALUE.match(value))
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address.

    Attributes:
        scheme: grpc, grpcs, http or https.
        authority: Host and port; an IPv6 host stands in brackets.
        path: What comes before /v2 in REST paths, without a slash at its end; empty for gRPC.
        headers: Names in lower case and values, sent with each call.
    """

    scheme: str
    authority: str
    path: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def is_grpc(self) -> bool:
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("grpcs", "https")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str] | None = None) -> Endpoint:
        """The endpoint of a URL, and of headers to send with each call.

        Raises:
            ConfigurationError: the URL is no endpoint, or a header cannot be sent; the text says
                what is accepted. A URL that holds credentials is refused, and not repeated, nor is
                a header's value.
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
            parts.scheme,
            f"{host}:{port or _REST_PORTS[parts.scheme]}",
            parts.path.rstrip("/"),
            tuple(_checked(url, headers or {}).items()),
        )


def _checked(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, their names in lower case."""
    checked = {name.lower(): value for name, value in headers.items()}
    for name, value in checked.items():
        if name in _NOT_OURS or name.startswith("grpc-") or not can_travel(name, value):
            raise ConfigurationError(
                f"endpoint '{url}': header '{name}' cannot be set; accepted: a name of letters, "
                "digits, '-', '_' and '.', none of the connection's own and not ending in '-bin', "
                "and a value of printable ASCII"
            )
    return checked


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
