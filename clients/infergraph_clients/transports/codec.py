"""`Codec`: payloads as the bytes of requests (`Template`), and bytes of answers as tensors."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from infergraph.errors import InfergraphError
from infergraph.v2 import Message, Parameter, Tensor, grpc, rest
from infergraph.v2.base64_bytes import CONTENT_TYPE
from infergraph.v2.request import Form
from infergraph.v2.schema import ModelInferResponse, ModelStreamInferResponse

from ..errors import UsageError
from ..payloads import Payload
from .exchange import Exchange
from .headers import joined
from .route import Coding, Route

TRACE = "trace"
_PLACEHOLDER = b"@" * 33
"""Stands where the id goes; all ids are as long."""
_TRACE_PLACEHOLDER = b"@" * 55
_ALL_BITS = 2**64 - 1


@dataclass
class Template:
    """A request that is encoded once and sent often, each time with an id of its own.

    Attributes:
        run: 16 hexadecimal digits that begin all ids, and the trace ids of W3C's `traceparent`.
        head: Of HTTP, but for the line of its length, with `traceparent` or without; empty for
            gRPC.
        body: It holds a placeholder once, where the id goes, or not at all.
        coding: How the body is compressed. The id is stored as it is, in a block of its own, so
            that all else is compressed once.
    """

    run: str
    head: bytes
    body: bytes
    coding: Coding | None = None

    def __post_init__(self) -> None:
        before, placeholder, after = self.body.partition(_PLACEHOLDER)
        self._parts: tuple[bytes, ...] = (before, after) if placeholder else (self.body,)
        self._coded: tuple[bytes, ...] = ()
        if self.coding is not None:
            last = len(self._parts) - 1
            self._coded = tuple(_deflated(part, i == last) for i, part in enumerate(self._parts))
        self._head = self.head
        if self.head:
            size = len(self.body_with(_PLACEHOLDER))
            self._head = b"%sContent-Length: %d\r\n\r\n" % (self.head, size)
        self._id_start = f"{self.run}-".encode() if placeholder else b""
        # Head and body before the id, where nothing else differs between requests.
        fixed = self.coding is None and placeholder and _TRACE_PLACEHOLDER not in self.head
        self._start = self._head + before if fixed else b""

    def id(self, index: int) -> bytes:
        """The id of the request of an index, the same for no other request."""
        start = self._id_start
        return b"%b%016x" % (start, index & _ALL_BITS) if start else b""

    def traceparent(self, index: int) -> str:
        """W3C's `traceparent` of a request: its id is the trace's."""
        return f"00-{self.run}{index & _ALL_BITS:016x}-{(index + 1) & _ALL_BITS or 1:016x}-01"

    def request(self, index: int, request_id: bytes) -> bytes:
        """All bytes of the request."""
        if self._start:
            return self._start + request_id + self._parts[1]
        head = self._head.replace(_TRACE_PLACEHOLDER, self.traceparent(index).encode(), 1)
        return head + self.body_with(request_id)

    def body_with(self, request_id: bytes) -> bytes:
        """The body with an id, compressed where it is."""
        body = request_id.join(self._parts)
        if self.coding is None:
            return body
        # A block that is stored: not the last one, its length, and its complement.
        block = struct.pack("<BHH", 0, len(request_id), 0xFFFF - len(request_id)) + request_id
        stream = block.join(self._coded)
        if self.coding == "gzip":
            end = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
            return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stream + end
        return b"\x78\x9c" + stream + struct.pack(">I", zlib.adler32(body))


def _deflated(part: bytes, last: bool) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    text = compressor.compress(part)
    return text + compressor.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        tensors: The outputs in the server's order. Those of a stream are joined: each output holds
            the rows of all answers.
        parameters: The response's V2 parameters.
        model: The model's name as the server says it, where it was asked for: see `Codec.named`.
        id: The request's id as the server says it, likewise.
    """

    tensors: Sequence[Tensor]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    model: str = ""
    id: str = ""

    @property
    def trace(self) -> dict[str, Any] | None:
        """What each step cost, where the server was asked and tells."""
        text = self.parameters.get(TRACE)
        if not isinstance(text, str):
            return None
        try:
            trace = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return trace if isinstance(trace, dict) else None


class Codec:
    """Encodes the requests of a route, whose format is settled, and decodes their answers.

    Attributes:
        run: 16 hexadecimal digits, of no other codec; all ids begin with them.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self.run = secrets.token_hex(8)

    def encode(self, payload: Payload, *, trace: bool = False, own_id: bool = False) -> Template:
        """The request that sends a payload.

        Args:
            payload: What is sent.
            trace: Whether the request asks for a trace.
            own_id: Whether the payload's own id is sent, if it has one, and not one for each
                request.

        Raises:
            UsageError: the format cannot carry the payload as it is.
        """
        request_id = payload.id if own_id and payload.id else _PLACEHOLDER.decode()
        parameters = {**payload.parameters, TRACE: True} if trace else dict(payload.parameters)
        message = Message(list(payload.tensors), request_id)
        encode = self._grpc if self.route.endpoint.is_grpc else self._rest
        try:
            return encode(payload, message, parameters)
        except InfergraphError as error:
            raise UsageError(f"payload {payload.name!r}: {error}") from None

    def decode(self, exchange: Exchange) -> Answer:
        """The answer; ValueError if it is none, has no outputs, or contradicts itself."""
        body = exchange.body
        if self.route.endpoint.is_grpc:
            return self.decode_message(body)
        if self.route.stream and not body.lstrip().startswith(b"{"):
            return _merged(
                [self.decode_body(data) for kind, data in events(body) if kind != "error"]
            )
        return self.decode_body(body, exchange.json_size)

    def decode_message(self, body: bytes) -> Answer:
        """The answer in a gRPC message; ValueError as `decode`."""
        message, parameters = grpc.decode_response(body, "", as_given=True)
        return _merged([Answer(message.tensors, parameters)])

    def decode_body(self, body: bytes, json_size: int | None = None) -> Answer:
        """The answer in the body of REST, or the data of an event; ValueError as `decode`."""
        message, parameters = rest.decode_response(body, json_size, "", as_given=True)
        return _merged([Answer(message.tensors, parameters)])

    def named(self, exchange: Exchange, answer: Answer) -> Answer:
        """The answer with the names that the server gives to model and request."""
        body = exchange.body
        if self.route.endpoint.is_grpc:
            said = ModelInferResponse.FromString(body)
            return replace(answer, model=said.model_name, id=said.id)
        if exchange.answers:
            body = next(data for _, data in events(body))
        head = orjson.loads(body if exchange.json_size is None else body[: exchange.json_size])
        model, request_id = (str(head.get(name) or "") for name in ("model_name", "id"))
        return replace(answer, model=model, id=request_id)

    def _grpc(
        self, payload: Payload, message: Message, parameters: dict[str, Parameter]
    ) -> Template:
        route = self.route
        body = grpc.encode_request(
            route.model,
            route.version,
            message,
            parameters,
            route.exact_parameters,
            payload.outputs,
            Form.TYPED if route.format == "typed" else Form.RAW,
        )
        return Template(self.run, b"", body)

    def _rest(
        self, payload: Payload, message: Message, parameters: dict[str, Parameter]
    ) -> Template:
        route = self.route
        binary = route.format == "binary"
        if not binary:
            payload.check_json()
        if route.format == "base64":
            message.tensors = [_as_base64(tensor) for tensor in message.tensors]
        parts, json_size = rest.encode_request(message, parameters, binary, payload.outputs)
        headers = {"Content-Type": "application/json"}
        if json_size is not None:
            headers = {
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(json_size),
            }
        if route.compression is not None:
            headers |= {"Content-Encoding": route.compression, "Accept-Encoding": route.compression}
        if route.traceparent:
            headers["traceparent"] = _TRACE_PLACEHOLDER.decode()
        path = f"{route.path}/{'infer_stream' if route.stream else 'infer'}"
        head = route.head("POST", path, joined([headers, route.headers]))
        return Template(self.run, head, b"".join(parts), route.compression)


def _as_base64(tensor: Tensor) -> Tensor:
    if tensor.datatype != "BYTES":
        return tensor
    return replace(tensor, parameters={**(tensor.parameters or {}), "content_type": CONTENT_TYPE})


def _merged(answers: Sequence[Answer]) -> Answer:
    """Answers as one: outputs of a name are joined along their first dimension."""
    if not any(answer.tensors for answer in answers):
        raise ValueError("the answer has no outputs")
    if len(answers) == 1:
        names = [tensor.name for tensor in answers[0].tensors]
        if len(set(names)) == len(names):
            return answers[0]
    grouped: dict[str, list[Tensor]] = {}
    parameters: dict[str, Parameter] = {}
    for answer in answers:
        parameters |= answer.parameters
        for tensor in answer.tensors:
            grouped.setdefault(tensor.name, []).append(tensor)
    tensors = [
        each[0] if len(each) == 1 else replace(each[0], data=np.concatenate([t.data for t in each]))
        for each in grouped.values()
    ]
    return Answer(tensors, parameters)


def events(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Kind and data of each whole server-sent event of a text; comments are left out."""
    for block in text.replace(b"\r\n", b"\n").split(b"\n\n"):
        kind, data = "message", []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
            elif name == b"event":
                kind = value.strip().decode("ascii", "replace")
        if data:
            yield kind, b"\n".join(data)


def unwrapped(message: bytes) -> tuple[bytes, str]:
    """The ModelInferResponse in a message of a gRPC stream, and the text of its error.

    Triton and Infergraph wrap answers in a ModelStreamInferResponse; MLServer does not.

    Raises:
        ValueError: it is neither.
    """
    try:
        if ModelInferResponse.FromString(message).outputs:
            return message, ""
    except DecodeError:
        pass
    try:
        wrapped = ModelStreamInferResponse.FromString(message)
    except DecodeError as error:
        raise ValueError(f"the message of a stream is not V2: {error}") from None
    return wrapped.infer_response.SerializeToString(), wrapped.error_message
