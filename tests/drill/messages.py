"""The messages that samples make on Seldon Core 2, measured: `make messages` writes them anew."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from mlserver.grpc import dataplane_pb2 as pb

from infergraph.graph.executor import GraphExecutor
from infergraph.manifests.broker import MESSAGES, REQUEST, sample_size
from infergraph.request import RequestContext
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor
from infergraph.v2.tensor import is_text
from tests.manifests import examples

from . import samples
from .image import ROOT
from .rendered import PIPELINES

Ask = Callable[[str, samples.Request], Awaitable[Any]]
"""Gives a model's answer to a request as JSON."""


async def measure(pipeline: str, ask: Ask) -> dict[str, int]:
    """The bytes of each message of a pipeline's sample, of items the largest."""
    sizes: dict[str, int] = {}

    def note(name: str, tensors: Iterable[Tensor]) -> None:
        sizes[name] = max(sizes.get(name, 0), _size(tensors))

    async def infer(step: str, message: Message, *_: Any) -> Message:
        note(f"what step '{step}' is sent", message.tensors)
        answer = await ask(step, {"inputs": [_written(each) for each in message.tensors]})
        found = Message([Tensor.of(name, array) for name, array in answer.outputs])
        note(f"what step '{step}' answers", found.tensors)
        return found

    parsed = examples.parsed(pipeline)
    request = samples.sample(pipeline)
    for each in samples.items(request) if parsed.per_item else [request]:
        tensors = [_read(tensor) for tensor in each["inputs"]]
        note(REQUEST, tensors)
        answer = await GraphExecutor(parsed).execute(Message(tensors), RequestContext(), infer)
        note("its answer", answer.tensors)
    return sizes


def recorded(pipeline: str) -> dict[str, int]:
    """The sizes that the repository has."""
    found: dict[str, int] = json.loads(_file(pipeline).read_text())["messages"]
    return found


def write(pipeline: str, sizes: dict[str, int]) -> None:
    sample = ROOT / "model-settings" / pipeline / "request.json"
    content = {"sample": sample_size(sample), "messages": dict(sorted(sizes.items()))}
    _file(pipeline).write_text(json.dumps(content, indent=2) + "\n")


def _file(pipeline: str) -> Path:
    return ROOT / "model-settings" / pipeline / MESSAGES


def _size(tensors: Iterable[Tensor]) -> int:
    """As typed contents, which REST becomes; media stay base64."""
    message = pb.ModelInferRequest(model_name="m" * 20, id="0" * 36)
    for each in tensors:
        written = message.inputs.add(
            name=each.name, datatype=each.datatype, shape=list(each.data.shape)
        )
        values: list[Any] = each.data.ravel().tolist()
        if each.datatype == "BYTES" and not is_text(each):
            values = [base64.b64encode(value) for value in values]
            written.parameters["content_type"].string_param = "base64"
        getattr(written.contents, samples.CONTENTS[each.datatype]).extend(values)
    return int(message.ByteSize())


def _read(tensor: dict[str, Any]) -> Tensor:
    if tensor["datatype"] != "BYTES":
        array = np.array(tensor["data"], NUMPY_DTYPES[tensor["datatype"]])
        return Tensor.of(tensor["name"], array.reshape(tensor["shape"]))
    is_base64 = (tensor.get("parameters") or {}).get("content_type") == "base64"
    values = [base64.b64decode(each) if is_base64 else each.encode() for each in tensor["data"]]
    return Tensor.of_bytes(tensor["name"], values, tensor["shape"])


def _written(tensor: Tensor) -> dict[str, Any]:
    values: list[Any] = tensor.data.ravel().tolist()
    head = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.data.shape)}
    if tensor.datatype != "BYTES":
        return {**head, "data": values}
    if is_text(tensor):
        return {**head, "data": [each.decode() for each in values]}
    encoded = [base64.b64encode(each).decode() for each in values]
    return {**head, "parameters": {"content_type": "base64"}, "data": encoded}


async def _measure_all(ask: Ask) -> None:
    for pipeline in PIPELINES:
        write(pipeline, await measure(pipeline, ask))


def main() -> None:
    """Measures all pipelines with one local server of everything, and writes their files."""
    from .conftest import Images, one_server

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        images = Images(stack, Path(folder))
        reference = stack.enter_context(one_server(images))
        asyncio.run(_measure_all(reference.answer))


if __name__ == "__main__":
    sys.exit(main())
