"""`RestTransport`: a V2 server over HTTP and JSON."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from ..declaration import ModelDeclaration
from ..errors import StageFailure, StageUnavailable
from ..request import Deadline, RequestContext
from ..tensors import TensorSpec
from ..v2 import Message
from . import failures, hop
from .endpoint import Endpoint
from .rest_codec import decode_answer, encode_request

_CONNECT_SECONDS = 10.0
_LARGE_BODY = 2**20
"""Bytes above which aiohttp wants a body as a file, and warns of anything else."""
_METADATA_SECONDS = 3.0
_DRAIN_SECONDS = 30.0
# Uvicorn closes a connection that was idle for 5 seconds; one that is reused later would be lost.
_IDLE_SECONDS = 4.0
_HEADERS = {
    "Content-Type": "application/json",
    # MLServer compresses answers at level 9, which takes longer than any network saves.
    "Accept-Encoding": "identity",
}


class RestTransport:
    """One pool of connections to one server."""

    kind = "rest"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = str(endpoint)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        self._calls = 0
        self._idle = asyncio.Event()

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """See `Transport.infer`."""
        body = encode_request(message, context.trace)
        remaining = hop.seconds_left(context, self.endpoint)
        headers = {**hop.headers(model, context, remaining), **_HEADERS}
        answer = await self._call(
            "POST", f"{_path(model)}/infer", remaining, context.deadline, headers, body
        )
        return decode_answer(answer, message.id)

    async def declaration(self, model: str) -> ModelDeclaration:
        """See `Transport.declaration`; waits 3 seconds at most."""
        headers = {hop.SELDON_MODEL_HEADER: model}
        body = await self._call("GET", _path(model), _METADATA_SECONDS, None, headers)
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
        body: bytes | None = None,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(
            total=seconds, sock_connect=_CONNECT_SECONDS, ceil_threshold=float("inf")
        )
        self._calls += 1
        try:
            async with self._session.request(
                method,
                self.endpoint + path,
                data=io.BytesIO(body) if body and len(body) > _LARGE_BODY else body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except aiohttp.ServerTimeoutError:
            raise StageUnavailable(
                f"{self.endpoint} cannot be reached: no connection in {_CONNECT_SECONDS:g} s"
            ) from None
        except asyncio.TimeoutError:
            if deadline is not None:
                raise deadline.exceeded(self.endpoint) from None
            raise StageUnavailable(f"{self.endpoint} does not answer in {seconds:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise StageUnavailable(f"{self.endpoint} cannot be reached: {error.strerror}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise StageUnavailable(
                f"{self.endpoint}: the connection broke ({type(error).__name__})"
            ) from error
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()
        if response.status != 200:
            raise failures.from_http(
                response.status, response.headers, content, self.endpoint, deadline
            )
        return content

    async def close(self) -> None:
        """Closes the connections, once their calls are done or half a minute has passed."""
        if self._calls:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _DRAIN_SECONDS)
        await self._session.close()


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _specs(metadata: dict[str, Any], side: str, optional: frozenset[str]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(each["shape"]), each["name"] in optional)
        for each in metadata.get(side) or ()
    )
