"""Models that are not ours: they get MLServer's own types, as its own servers make them."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from mlserver.codecs.json import encode_to_json_bytes
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.handlers import DataPlane
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import extract_headers, insert_headers
from pydantic import ValidationError

from ..errors import MalformedRequest
from ..mlserver_types import read_response, write_request
from ..v2 import rest
from ..v2.json_text import loads
from ..v2.request import InferRequest, Limits
from ..v2.rest_tensors import Body
from ..v2.values import plain
from .desk import ASIDE_BYTES, aside

_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4096}\Z")
_MOST_PROBLEMS = 5


class StockModel:
    """One request's way through MLServer's data plane.

    Args:
        data_plane: MLServer's.
        name: The model's name.
        version: As the caller gave it, or None.
        headers: The request's, which a stock model finds in its parameters.
    """

    def __init__(
        self, data_plane: DataPlane, name: str, version: str | None, headers: dict[str, str]
    ) -> None:
        self._data_plane = data_plane
        self._name = name
        self._version = version
        self._headers = headers

    async def answer_rest(
        self, body: bytes, json_size: int | None, limits: Limits
    ) -> tuple[list[Body], int | None, dict[str, str]]:
        """The parts of an answer's body, the length of its JSON, and headers for the answer."""
        payload, binary = await self.read_rest(body, json_size, limits)
        response = await self._data_plane.infer(payload, self._name, self._version)
        headers = _carried(extract_headers(response))
        if binary is None:
            return [await aside_if(len(body) > ASIDE_BYTES, to_json, response)], None, headers
        parts, size = await aside(_write_binary, response, binary)
        return parts, size, headers

    async def read_rest(
        self, body: bytes, json_size: int | None, limits: Limits
    ) -> tuple[InferenceRequest, InferRequest | None]:
        """MLServer's request of a body; and ours where raw contents came, which go back."""
        large = len(body) > ASIDE_BYTES
        if json_size is not None:
            request = await aside_if(large, rest.decode_request, body, json_size, limits)
            payload = write_request(request, request.message.parameters, self._headers)
            return payload, request
        payload = await aside_if(large, _read_json, body, limits)
        insert_headers(payload, self._headers)
        return payload, None

    async def stream_rest(self, payload: InferenceRequest) -> AsyncGenerator[bytes, None]:
        """The JSON of each answer of a stream."""

        async def payloads() -> AsyncIterator[InferenceRequest]:
            yield payload

        async with aclosing(self._responses(payloads())) as responses:
            async for response in responses:
                yield to_json(response)

    async def answer_grpc(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """A serialised ModelInferResponse, and metadata for the answer."""
        large = len(body) > ASIDE_BYTES
        payload, raw = await aside_if(large, _read_message, body)
        insert_headers(payload, self._headers)
        response = await self._data_plane.infer(payload, self._name, self._version)
        headers = _carried(extract_headers(response))
        return await aside_if(large, _write_message, response, raw), headers

    async def stream_grpc(self, bodies: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The serialised answers to the messages of a stream."""
        raw = False

        async def payloads() -> AsyncIterator[InferenceRequest]:
            nonlocal raw
            async for body in bodies:
                payload, raw = await aside_if(len(body) > ASIDE_BYTES, _read_message, body)
                insert_headers(payload, self._headers)
                yield payload

        async with aclosing(self._responses(payloads())) as responses:
            async for response in responses:
                extract_headers(response)
                yield _write_message(response, raw)

    async def _responses(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncGenerator[InferenceResponse, None]:
        responses: Any = self._data_plane.infer_stream(payloads, self._name, self._version)
        try:
            async for response in responses:
                yield response
        finally:
            # MLServer takes a context variable back, which fails where gRPC closes a cancelled
            # stream: in another task than began it.
            with suppress(ValueError):
                await responses.aclose()


async def aside_if(heavy: bool, function: Any, *arguments: Any) -> Any:
    """A function's result; from a thread where it takes long."""
    return await aside(function, *arguments) if heavy else function(*arguments)


def to_json(response: InferenceResponse) -> bytes:
    """A response as MLServer writes it."""
    content: bytes = encode_to_json_bytes(response.model_dump())  # type: ignore[no-untyped-call]
    return content


def _read_json(body: bytes, limits: Limits) -> InferenceRequest:
    try:
        content = plain(loads(body))
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON: {error}") from None
    try:
        payload: InferenceRequest = InferenceRequest.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)[:_MOST_PROBLEMS]
        shown = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
        raise MalformedRequest(f"the body is not a V2 inference request: {shown}") from None
    outline = [(each.name, str(each.datatype), each.shape) for each in payload.inputs]
    limits.check(outline, len(payload.outputs or ()))
    return payload


def _read_message(body: bytes) -> tuple[InferenceRequest, bool]:
    message = pb.ModelInferRequest.FromString(body)
    try:
        payload: InferenceRequest = ModelInferRequestConverter.to_types(message)
    except (struct.error, LookupError, ValueError) as error:
        raise MalformedRequest(
            f"the contents of a tensor are not what its shape and datatype say: {error}"
        ) from None
    return payload, bool(message.raw_input_contents)


def _write_message(response: InferenceResponse, raw: bool) -> bytes:
    message = ModelInferResponseConverter.from_types(response, use_raw=raw)
    content: bytes = message.SerializeToString()
    return content


def _write_binary(
    response: InferenceResponse, request: InferRequest
) -> tuple[list[Body], int | None]:
    message, parameters = read_response(response)
    if request.outputs:
        message.tensors = message.selected([each.name for each in request.outputs])
    return rest.encode_response(
        response.model_name, response.model_version, message, parameters, request
    )


def _carried(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Headers that HTTP and gRPC can carry: an id may hold what they cannot."""
    return {
        name.lower(): value
        for name, value in (headers or {}).items()
        if isinstance(value, str) and _HEADER_VALUE.match(value)
    }
