"""How requests reach a server: V2 over REST, on sockets of our own, or over gRPC."""

from .codec import Answer, Codec, Template
from .endpoint import PROTOCOLS, Endpoint, Protocol, Tls
from .exchange import UNKNOWN, Exchange, now_ns
from .headers import check_headers, masked, parse_headers
from .outcome import Outcome
from .route import CODINGS, FORMATS, Coding, Format, Route
from .transport import Client, Reply, Transport, make_transport

__all__ = [
    "CODINGS",
    "FORMATS",
    "PROTOCOLS",
    "UNKNOWN",
    "Answer",
    "Client",
    "Codec",
    "Coding",
    "Endpoint",
    "Exchange",
    "Format",
    "Outcome",
    "Protocol",
    "Reply",
    "Route",
    "Template",
    "Tls",
    "Transport",
    "check_headers",
    "make_transport",
    "masked",
    "now_ns",
    "parse_headers",
]
