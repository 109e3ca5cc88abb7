"""`RestTransport`: a V2 server over HTTP, with raw contents where the server takes them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from ..declaration import ModelDeclaration
from ..errors import StageFailure, StageUnavailable
from ..request import Deadline, RequestContext
from ..tensors import TensorSpec
from ..v2 import Message
from ..v2.rest import EXTENSION, decode_response, encode_request
from ..v2.rest_tensors import LENGTH_HEADER, Body
from . import failures, hop
from .endpoint import Endpoint
from .http_client import CannotConnect, ConnectionBroke, HttpClient

_CONNECT_SECONDS = 10.0
_DRAIN_SECONDS = 30.0
# MLServer compresses answers at level 9, which takes longer than any network saves.
_ENCODING = {"Accept-Encoding": "identity"}


class RestTransport:
    """One pool of connections to one server."""

    kind = "rest"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = str(endpoint)
        self._own = {**_ENCODING, **dict(endpoint.headers)}
        self._client = HttpClient(endpoint, _CONNECT_SECONDS)
        self._path = endpoint.path
        self._extensions = hop.Extensions(self._announced, self.endpoint)
        self._calls = 0
        self._idle = asyncio.Event()

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """See `Transport.infer`."""
        binary = EXTENSION in await self._extensions.get(context)
        parameters = hop.request_parameters(message, context.trace)
        parts, json_size = encode_request(message, parameters, binary)
        remaining = hop.seconds_left(context, self.endpoint)
        headers = hop.headers(model, context, remaining, self._own)
        headers["Content-Type"] = "application/json"
        if json_size is not None:
            headers[LENGTH_HEADER] = str(json_size)
            headers["Content-Type"] = "application/octet-stream"
        answer, length = await self._call(
            "POST",
            f"{_path(model)}/infer",
            remaining,
            context.deadline,
            headers,
            parts,
        )
        try:
            decoded, given = decode_response(answer, length, message.id)
        except ValueError as error:
            raise StageFailure(f"its answer is malformed: {error}") from None
        decoded.parameters, decoded.trace = hop.answer_parameters(given)
        return decoded

    async def _announced(self, seconds: float) -> Iterable[str]:
        body, _ = await self._call("GET", "/v2", seconds, None, dict(self._own))
        try:
            return map(str, orjson.loads(body).get("extensions") or ())
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            raise StageFailure(f"{self.endpoint}: its metadata is not V2") from None

    async def declaration(self, model: str) -> ModelDeclaration:
        """See `Transport.declaration`; waits 3 seconds at most."""
        headers = {hop.SELDON_MODEL_HEADER: model, **self._own}
        body, _ = await self._call("GET", _path(model), hop.METADATA_SECONDS, None, headers)
        try:
            metadata = orjson.loads(body)
            parameters = metadata.get("parameters") or {}
            return ModelDeclaration(
                model,
                _specs(metadata, "inputs", hop.optional_tensors(parameters, "optional_inputs")),
                _specs(metadata, "outputs", hop.optional_tensors(parameters, "optional_outputs")),
            )
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise StageFailure(
                f"{self.endpoint}: its metadata of model '{model}' is not V2"
            ) from None

    async def _call(
        self,
        method: str,
        path: str,
        seconds: float | None,
        deadline: Deadline | None,
        headers: dict[str, str],
        parts: Sequence[Body] = (),
    ) -> tuple[bytes, int | None]:
        self._calls += 1
        try:
            response = await self._client.request(
                method, self._path + path, headers, parts, seconds
            )
        except asyncio.TimeoutError:
            if deadline is not None:
                raise deadline.exceeded(self.endpoint) from None
            raise StageUnavailable(f"{self.endpoint} does not answer in {seconds:g} s") from None
        except CannotConnect as error:
            raise StageUnavailable(f"{self.endpoint} cannot be reached: {error}") from None
        except ConnectionBroke as error:
            raise StageUnavailable(f"{self.endpoint}: the connection broke ({error})") from None
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()
        if response.status != 200:
            raise failures.from_http(
                response.status, response.headers, response.body, self.endpoint, deadline
            )
        length = response.headers.get(LENGTH_HEADER, "")
        return response.body, int(length) if length.isdecimal() else None

    async def close(self) -> None:
        """Closes the connections, once their calls are done or half a minute has passed."""
        if self._calls:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _DRAIN_SECONDS)
        self._client.close()


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _specs(metadata: dict[str, Any], side: str, optional: frozenset[str]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(each["shape"]), each["name"] in optional)
        for each in metadata.get(side) or ()
    )
