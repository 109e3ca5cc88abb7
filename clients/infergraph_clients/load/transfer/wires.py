"""`Wire`: a way of V2 to carry a tensor, over REST or gRPC."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import grpc

from ...transports.base import Transport
from ...transports.endpoint import Endpoint
from ...transports.grpc_transport import GrpcTransport
from ...transports.rest import RestTransport, http_head, model_path
from ..v2.grpc_codec import decode_grpc, encode_grpc
from ..v2.json_codec import decode_json, encode_json
from ..v2.payload import Answer, Payload
from .encodings import Encoding

Protocol = Literal["rest", "grpc"]
_GZIP_BITS = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Wire:
    """A way to carry a tensor.

    Attributes:
        name: As reports and `--formats` call it.
        title: What it is.
        protocol: rest or grpc.
        base64: REST: numbers too go as base64, of their raw contents.
        typed: gRPC: in the fields of their datatype rather than as raw contents.
        gzip: Whether requests are compressed, and compressed answers asked for.
        carries: What it is for: `numbers`, `media`, `text`.
    """

    name: str
    title: str
    protocol: Protocol
    base64: bool = False
    typed: bool = False
    gzip: bool = False
    carries: tuple[str, ...] = ("numbers", "media", "text")

    def takes(self, encoding: Encoding) -> bool:
        """Whether it carries an encoding: typed contents have no field for FP16."""
        return encoding.role in self.carries and not (self.typed and encoding.datatype == "FP16")


WIRES = (
    Wire("rest-json", "REST, JSON lists and texts", "rest", carries=("numbers", "text")),
    Wire("rest-base64", "REST, base64", "rest", base64=True),
    Wire("rest-gzip", "REST, gzip of JSON (of base64 for files)", "rest", gzip=True),
    Wire("grpc-raw", "gRPC, raw contents", "grpc"),
    Wire("grpc-bytes", "gRPC, bytes_contents", "grpc", typed=True, carries=("media", "text")),
    Wire(
        "grpc-typed", "gRPC, fp32_contents and the like", "grpc", typed=True, carries=("numbers",)
    ),
    Wire("grpc-gzip", "gRPC, raw contents, gzip", "grpc", gzip=True),
)
WIRE_NAMES = tuple(each.name for each in WIRES)


class Codec:
    """Makes requests of one wire to one model, and reads answers.

    Args:
        wire: How.
        endpoint: Where the request goes.
        model: The model.
        headers: Sent along.
        gzip_level: REST: 1 (fast) to 9. gRPC's own is always 6.
    """

    def __init__(
        self,
        wire: Wire,
        endpoint: Endpoint,
        model: str,
        headers: Mapping[str, str],
        gzip_level: int,
    ) -> None:
        self._wire, self._endpoint, self._model = wire, endpoint, model
        self._level = gzip_level
        self._headers = dict(headers)
        if wire.gzip:
            # Servers see no more of a compressed gRPC call than this.
            self._headers["accept-encoding"] = "gzip"
        if wire.protocol == "rest":
            coding = {"content-encoding": "gzip"} if wire.gzip else {}
            self._head = http_head(
                "POST",
                f"{model_path(endpoint, model, None)}/infer",
                endpoint,
                {"content-type": "application/json", **coding, **self._headers},
            )

    def encode(self, payload: Payload) -> bytes:
        """What is sent: over REST the head too; over gRPC the message, which gRPC compresses."""
        wire = self._wire
        if wire.protocol == "grpc":
            return encode_grpc(payload, "1", self._model, None, trace=False, typed=wire.typed)
        body = encode_json(
            payload, "1", all_base64=wire.base64, trace=False, base64_numbers=wire.base64
        )
        if wire.gzip:
            stream = zlib.compressobj(self._level, zlib.DEFLATED, _GZIP_BITS)
            body = stream.compress(body) + stream.flush()
        return b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)

    def decode(self, body: bytes) -> Answer:
        """The answer; ValueError if it is none."""
        return decode_grpc(body) if self._wire.protocol == "grpc" else decode_json(body)

    def transport(self) -> Transport:
        """A transport of one connection to the endpoint."""
        if self._wire.protocol == "grpc":
            compression = (
                grpc.Compression.Gzip if self._wire.gzip else grpc.Compression.NoCompression
            )
            return GrpcTransport(
                self._endpoint, self._model, None, self._headers, compression, channels=1
            )
        return RestTransport(self._endpoint, model_path(self._endpoint, self._model, None), 1)
