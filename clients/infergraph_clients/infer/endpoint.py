"""`Endpoint`: a V2 server's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from .errors import UsageError

Protocol = Literal["rest", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("rest", "grpc")
DEFAULT_AUTHORITY = {"rest": "127.0.0.1:8080", "grpc": "127.0.0.1:8081"}
_SCHEMES: dict[str, tuple[Protocol, bool]] = {
    "http": ("rest", False),
    "https": ("rest", True),
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
}
_ACCEPTED = "grpc://host:port or http://host:port (grpcs and https for TLS)"


@dataclass(frozen=True)
class Endpoint:
    """Where a V2 server listens.

    Attributes:
        protocol: rest or grpc.
        authority: Host and port.
        path: What comes before /v2, for REST.
        secure: Whether it speaks TLS.
    """

    protocol: Protocol
    authority: str
    path: str = ""
    secure: bool = False

    def __str__(self) -> str:
        scheme = {"rest": "http", "grpc": "grpc"}[self.protocol] + "s" * self.secure
        return f"{scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, url: str | None, protocol: Protocol | None) -> Endpoint:
        """The endpoint of a URL; its scheme and `protocol` may each stand for the other.

        Raises:
            UsageError: it is none, or the scheme is not of the protocol.
        """
        if url is None:
            chosen = protocol or "grpc"
            return cls(chosen, DEFAULT_AUTHORITY[chosen])
        if "://" not in url:
            if protocol is None:
                raise UsageError(f"--url {url!r}: it has no scheme; accepted: {_ACCEPTED}")
            url = {"rest": "http", "grpc": "grpc"}[protocol] + "://" + url
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"--url {url!r}: {error}; accepted: {_ACCEPTED}") from None
        if "@" in parts.netloc:
            # Not repeated: it would show the password.
            raise UsageError("--url holds a user name; send --header authorization=VALUE instead")
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"--url {url!r} is no endpoint; accepted: {_ACCEPTED}")
        spoken, secure = _SCHEMES[parts.scheme]
        if protocol not in (None, spoken):
            raise UsageError(f"--url {url!r} is of {spoken}, but --protocol says {protocol}")
        path = parts.path.rstrip("/")
        if spoken == "grpc" and (path or not port):
            problem = f"has the path {path!r}, of no use to gRPC" if path else "has no port"
            raise UsageError(f"--url {url!r} {problem}; accepted: {_ACCEPTED}")
        return cls(spoken, parts.netloc, path, secure)
