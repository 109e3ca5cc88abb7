"""`Stage`: a model, and into which of its inputs each encoding goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson

from ...transports.endpoint import Endpoint
from ...transports.exchange import Exchange, now_ns
from ...transports.rest import RestTransport, http_head, model_path
from ..errors import LoadError
from ..outcome import Outcome
from ..v2.payload import Payload, Tensor
from .contents import Content, Kind
from .encodings import Encoding, Role

_ANSWER_SECONDS = 30.0
_FILL = b"Who is it?"
"""For required texts beside the one that is measured: a question, for example."""
_PREFERRED: dict[tuple[Kind, Role], tuple[str, ...]] = {
    ("audio", "media"): ("audio",),
    ("audio", "numbers"): ("samples",),
    ("image", "media"): ("image",),
    ("image", "numbers"): ("pixels",),
    ("text", "text"): ("context", "text"),
}
_ECHOED = {"audio": "samples", "image": "pixels", "text": "text"}


@dataclass(frozen=True)
class Input:
    """An input that a model declares.

    Attributes:
        name, datatype, shape: As declared; -1 is any size.
        optional: Whether it may be absent.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Stage:
    """A model that is sent contents.

    Attributes:
        model: Its name.
        echoes: Whether it answers with what it gets.
        inputs: What it declares; an echo declares nothing.
        headers: Sent with each request.
    """

    model: str
    echoes: bool
    inputs: tuple[Input, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def input_of(self, encoding: Encoding) -> Input | None:
        """Where an encoding goes; None if the model takes no such form."""
        if self.echoes:
            name = _ECHOED[encoding.kind] if encoding.role != "media" else encoding.kind
            return Input(name, encoding.datatype, (-1,))
        names = _PREFERRED[encoding.kind, encoding.role]
        found = {each.name: each for each in self.inputs}
        wanted = next((found[name] for name in names if name in found), None)
        if wanted is None and encoding.role != "numbers":
            texts = [each for each in self.inputs if each.datatype == "BYTES"]
            wanted = texts[0] if len(texts) == 1 else None
        if wanted is None:
            return None
        accepted = (wanted.datatype, "FP16" if wanted.datatype == "FP32" else wanted.datatype)
        return wanted if encoding.datatype in accepted else None

    def fitted(self, encoding: Encoding, content: Content) -> Content:
        """The content as the input wants it: pixels of the declared height and width."""
        target = self.input_of(encoding)
        if encoding.kind != "image" or encoding.role != "numbers" or target is None:
            return content
        height, width = target.shape[-2:] if len(target.shape) == 4 else (-1, -1)
        if min(height, width) < 1 or content.value.shape[:2] == (height, width):
            return content
        from PIL import Image

        scaled = Image.fromarray(content.value).resize((width, height), Image.Resampling.BILINEAR)
        return replace(content, value=np.asarray(scaled, np.uint8))

    def payload(self, encoding: Encoding, content: Content) -> Payload:
        """The request: the content encoded, and what else the model requires."""
        target = self.input_of(encoding)
        assert target is not None
        tensors = [encoding.tensor(target.name, self.fitted(encoding, content))]
        for each in self.inputs:
            if each.name == "sampling_rate" and encoding.role == "numbers":
                rate = np.array([content.rate], np.int64)
                tensors.append(Tensor(each.name, "INT64", (1, 1), rate))
            elif each.name != target.name and not each.optional and each.datatype == "BYTES":
                tensors.append(Tensor(each.name, "BYTES", (1, 1), [_FILL]))
        return Payload(encoding.name, tuple(tensors))


async def ask_stage(
    endpoint: Endpoint, model: str, echoes: bool, headers: Mapping[str, str]
) -> Stage | None:
    """The stage of a model, or None if the server has no such model, or it is not ready.

    Raises:
        LoadError: the server cannot be reached, or says something else than V2.
    """
    path = model_path(endpoint, model, None)
    if await _get(endpoint, f"{path}/ready", headers) is None:
        return None
    body = await _get(endpoint, path, headers)
    if body is None:
        return None
    try:
        document = orjson.loads(body)
        optional = orjson.loads((document.get("parameters") or {}).get("optional_inputs", "[]"))
        inputs = tuple(_input(each, optional) for each in document.get("inputs") or ())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LoadError(f"the metadata of model '{model}' are not V2: {error}") from None
    return Stage(model, echoes, inputs, headers)


def _input(document: Any, optional: list[str]) -> Input:
    name = document["name"]
    shape = tuple(int(size) for size in document["shape"])
    return Input(name, document["datatype"], shape, name in optional)


async def _get(endpoint: Endpoint, path: str, headers: Mapping[str, str]) -> bytes | None:
    """The body of a GET, or None if the status is not 200; LoadError without an answer."""
    ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    exchange = Exchange(0, 0, False, now_ns(), ended.set_result)
    transport = RestTransport(endpoint, path, 1)
    try:
        transport.send(http_head("GET", path, endpoint, headers) + b"\r\n", exchange)
        await asyncio.wait({ended}, timeout=_ANSWER_SECONDS)
        exchange.give_up(Outcome.TIMEOUT, f"no answer within {_ANSWER_SECONDS:g} s")
    finally:
        await transport.close()
    if exchange.outcome is Outcome.OK:
        return exchange.body
    if exchange.status > 0:
        return None
    raise LoadError(
        f"server '{endpoint.scheme}://{endpoint.authority}' cannot be reached: {exchange.error}"
    )
