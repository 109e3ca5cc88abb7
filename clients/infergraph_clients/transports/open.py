"""What a `Target` asks for: its transport, and how payloads and answers are coded for it."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import grpc

from ..load.configuration import Target
from ..load.errors import LoadError
from ..load.v2.grpc_codec import decode_grpc, encode_grpc
from ..load.v2.json_codec import decode_json, encode_json
from ..load.v2.payload import Answer, Payload
from .base import Transport
from .endpoint import Endpoint
from .grpc_transport import GrpcTransport
from .rest import RestTransport, http_head, model_path

_TIMEOUT_HEADER = "infergraph-timeout-ms"
_GZIP_LEVEL = 6


def make_transport(target: Target) -> Transport:
    """The transport; nothing is connected yet. LoadError if the target contradicts itself."""
    endpoint = _checked(target)
    if endpoint.is_grpc:
        compression = grpc.Compression.Gzip if target.compression == "gzip" else None
        return GrpcTransport(
            endpoint,
            target.model,
            target.version,
            _headers(target),
            compression or grpc.Compression.NoCompression,
            target.connections or 1,
        )
    path = model_path(endpoint, target.model, target.version)
    return RestTransport(endpoint, path, target.connections)


def encoder(target: Target) -> Callable[[Payload, str, bool], bytes]:
    """What makes (payload, request id, whether it is traced) the bytes that are sent."""
    endpoint = _checked(target)
    if endpoint.is_grpc:
        return lambda payload, request_id, trace: encode_grpc(
            payload, request_id, target.model, target.version, trace=trace
        )
    path = f"{model_path(endpoint, target.model, target.version)}/infer"
    headers = {"Content-Type": "application/json", **_headers(target)}
    if target.compression == "gzip":
        headers |= {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    head = http_head("POST", path, endpoint, headers)

    def encode(payload: Payload, request_id: str, trace: bool) -> bytes:
        all_base64 = target.format == "base64"
        body = encode_json(payload, request_id, all_base64=all_base64, trace=trace)
        if target.compression == "gzip":
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)

    return encode


def decoder(target: Target) -> Callable[[bytes], Answer]:
    """What parses the bodies of answers."""
    return decode_grpc if Endpoint.parse(target.url).is_grpc else decode_json


def _headers(target: Target) -> dict[str, str]:
    headers = dict(target.headers)
    if target.deadline_ms is not None:
        headers[_TIMEOUT_HEADER] = f"{target.deadline_ms:g}"
    for name, value in headers.items():
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            raise LoadError(f"header {name!r} is {value!r}; accepted: printable ASCII")
    return headers


def _checked(target: Target) -> Endpoint:
    endpoint = Endpoint.parse(target.url)
    accepted = ("raw",) if endpoint.is_grpc else ("json", "base64")
    if target.format not in ("auto", *accepted):
        raise LoadError(
            f"format is '{target.format}', but {endpoint.scheme} sends {' or '.join(accepted)}"
        )
    return endpoint
