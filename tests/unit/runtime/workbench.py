"""Small models, loaded without a server, and requests to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mlserver import ModelSettings
from mlserver.settings import ModelParameters
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    RequestOutput,
    TensorData,
)

from infergraph.errors import InfergraphError, InvalidInput
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.v2 import NUMPY_DTYPES

Kind = TypeVar("Kind", bound=Runtime)
NUMBERS = {"x": ("INT64", [-1, 1])}
DOUBLED = {"y": ("INT64", [-1, 1])}


async def settle() -> None:
    """Lets everything that is ready on the event loop happen."""
    for _ in range(12):
        await asyncio.sleep(0)


class Doubler(Runtime):
    """Doubles numbers; refuses negative ones, one by one, and fails for 666."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.batches: list[list[int]] = []

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        values = [int(item["x"][0]) for item in items]
        self.batches.append(values)
        if 666 in values:
            raise ValueError("secret of another request")
        return [
            {"y": 2 * value}
            if value >= 0
            else InvalidInput(f"tensor 'x': {value} is negative; accepted: from 0")
            for value in values
        ]


class HeldDoubler(Doubler):
    """Waits in each batch for `released`; `entered` says that a batch has begun."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.entered = threading.Event()
        self.released = threading.Event()

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        self.entered.set()
        assert self.released.wait(timeout=60)
        return super().predict_batch(items, parameters)


def build(
    kind: type[Kind],
    *,
    name: str = "model",
    inputs: Mapping[str, tuple[str, list[int]]] = NUMBERS,
    outputs: Mapping[str, tuple[str, list[int]]] = DOUBLED,
    folder: Path | None = None,
    version: str | None = None,
    **extra: Any,
) -> Kind:
    """A model that has not been loaded; `extra` is `parameters.extra`."""
    return kind(
        ModelSettings(
            name=name,
            implementation=kind,
            inputs=_metadata(inputs),
            outputs=_metadata(outputs),
            parameters=ModelParameters(
                uri=None if folder is None else str(folder),
                version=version,
                extra={"device": "cpu", **extra},
            ),
        )
    )


async def load(kind: type[Kind], **settings: Any) -> Kind:
    model = build(kind, **settings)
    assert await model.load() is True
    return model


def rest(
    data: Mapping[str, list[Any]] | list[Any],
    *,
    datatype: str = "INT64",
    outputs: Sequence[str] = (),
    **parameters: Any,
) -> InferenceRequest:
    """A request as over REST: one row per value."""
    tensors = data if isinstance(data, Mapping) else {"x": data}
    return InferenceRequest(
        id="request-1",
        parameters=Parameters(**parameters) if parameters else None,
        inputs=[
            RequestInput(name=name, datatype=datatype, shape=[len(values), 1], data=values)
            for name, values in tensors.items()
        ],
        outputs=[RequestOutput(name=name) for name in outputs] or None,
    )


def raw(values: list[Any], datatype: str = "INT64", name: str = "x") -> InferenceRequest:
    """A request as over gRPC with raw contents, after the fast path."""
    array = np.array(values, NUMPY_DTYPES[datatype])
    tensor = RequestInput.model_construct(
        name=name,
        datatype=datatype,
        shape=[len(values), 1],
        data=TensorData.model_construct(root=array),
    )
    return InferenceRequest(id="request-1", inputs=[tensor])


def values(response: InferenceResponse) -> dict[str, list[Any]]:
    """Output name -> flat values."""
    return {output.name: list(output.data.root) for output in response.outputs}


def _metadata(tensors: Mapping[str, tuple[str, list[int]]]) -> list[MetadataTensor]:
    return [
        MetadataTensor(name=name, datatype=datatype, shape=shape)
        for name, (datatype, shape) in tensors.items()
    ]
