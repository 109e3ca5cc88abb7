"""`Route`: which model of which server is called, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

from infergraph.v2 import rest

from ..errors import UsageError
from ..payloads import Metadata
from .endpoint import Endpoint, Tls
from .headers import check_headers

Coding = Literal["gzip", "deflate"]
CODINGS: tuple[Coding, ...] = ("gzip", "deflate")
Format = Literal["auto", "json", "base64", "binary", "raw", "typed"]
FORMATS: dict[str, tuple[Format, ...]] = {
    "rest": ("json", "base64", "binary"),
    "grpc": ("raw", "typed"),
}
_EXACT = "parameters"
"""The extension of servers whose messages hold fractions, which MLServer's do not."""


@dataclass(frozen=True)
class Route:
    """The way to one model.

    Attributes:
        endpoint: The server.
        model: A model or pipeline.
        version: Its version; empty for the server's choice.
        headers: Sent with every call, as HTTP headers or gRPC metadata.
        format: How tensors travel. REST: `json` (BYTES as text where they are UTF-8, as base64
            where not), `base64` (all BYTES) or `binary` (raw contents behind the JSON). gRPC: `raw`
            or `typed` contents. `auto` is raw; or binary, if the server's metadata announce it,
            else json.
        compression: Of requests; answers are asked to be the same.
        stream: Whether a request is answered in parts: ModelStreamInfer, or a stream of events.
        traceparent: Whether each request begins a trace of its own, by W3C's header.
        tls: How the server is trusted.
        connections: REST: most connections, else as many as there are requests at a time. gRPC:
            channels, else 1.
        exact_parameters: Whether gRPC messages may hold fractions; else they go as text.
        connect_s: How long a connection may take to be made; None for as long as the system waits.
    """

    endpoint: Endpoint
    model: str
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    format: Format = "auto"
    compression: Coding | None = None
    stream: bool = False
    traceparent: bool = False
    tls: Tls = field(default_factory=Tls)
    connections: int | None = None
    exact_parameters: bool = False
    connect_s: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError where it contradicts itself."""
        check_headers(self.headers)
        accepted = FORMATS[self.endpoint.protocol]
        if self.format not in ("auto", *accepted):
            raise UsageError(
                f"format is '{self.format}', but {self.endpoint.scheme} sends "
                f"{' or '.join(accepted)}"
            )
        if not self.endpoint.is_secure and self.tls != Tls():
            raise UsageError(
                f"tls options need https:// or grpcs://, but the url is '{self.endpoint}'"
            )

    def settled(self, metadata: Metadata) -> Route:
        """The same, with what a server's metadata decide: the format, and how parameters go."""
        extensions = metadata.extensions
        form = self.format
        if form == "auto" and not self.endpoint.is_grpc:
            form = "binary" if rest.EXTENSION in extensions and not self.stream else "json"
        elif form == "auto":
            form = "raw"
        return replace(self, format=form, exact_parameters=_EXACT in extensions)

    @property
    def path(self) -> str:
        """The model's path, of REST."""
        path = f"{self.endpoint.path}/v2/models/{quote(self.model, safe='')}"
        return f"{path}/versions/{quote(self.version, safe='')}" if self.version else path

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of an HTTP request, all but the empty line at its end."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.endpoint.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
