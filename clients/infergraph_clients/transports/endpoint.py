"""`Endpoint`: where a server listens, read from a URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ..load.errors import LoadError

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
    def is_grpc(self) -> bool:
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("https", "grpcs")

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """The endpoint of a URL; LoadError if it is none."""
        problem = ""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError as error:
            raise LoadError(f"url '{url}': {error}; accepted: {_ACCEPTED}") from None
        if parts.scheme not in _SCHEMES:
            problem = f"unknown scheme '{parts.scheme}'" if parts.scheme else "it has no scheme"
        elif not parts.hostname:
            problem = "it has no host"
        elif parts.username or parts.password:
            raise LoadError(f"the url holds a user name or password; accepted: {_ACCEPTED}")
        elif port is None:
            problem = "it has no port"
        if problem:
            raise LoadError(f"url '{url}': {problem}; accepted: {_ACCEPTED}")
        assert parts.hostname is not None
        assert port is not None
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))
