"""Servables in this process, and a folder of them on disk, for the router's tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from mlserver.repository.load import load_model_settings

from infergraph.request import RequestContext
from infergraph.router import PipelineRouter
from infergraph.v2 import Message, Tensor

Answer = Callable[[Message, RequestContext], Awaitable[Message]]

CHAIN = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: chain
spec:
  steps:
  - name: double
    inputs: [chain.inputs.x]
  - name: negate
    inputs: [double.outputs.x]
  output:
    steps: [negate.outputs.x]
"""

PARALLEL = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: parallel
spec:
  steps:
  - name: left
  - name: right
  output:
    steps: [left.outputs.a, right.outputs.b]
"""


class Model:
    """A servable; what it was called with is kept."""

    def __init__(self, name: str, answer: Answer) -> None:
        self.name = name
        self._answer = answer
        self.messages: list[Message] = []
        self.contexts: list[RequestContext] = []

    async def infer(self, message: Message, context: RequestContext) -> Message:
        self.messages.append(message)
        self.contexts.append(context)
        return await self._answer(message, context)


def mapping(function: Callable[[Any], Any], name: str = "x") -> Answer:
    """Answers one tensor, a function of the first input."""

    async def answer(message: Message, context: RequestContext) -> Message:
        trace = {"model": "fake", "queue_us": 1, "compute_us": 2, "batch_size": 3}
        tensors = [Tensor.of(name, function(message.tensors[0].data))]
        return Message(tensors, "a model's own", trace=trace if context.trace else None)

    return answer


class Never:
    """A model that answers never; it knows when it was called and when it was cancelled."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.cancelled = False

    async def __call__(self, message: Message, context: RequestContext) -> Message:
        self.called.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError


def values(message: Message) -> dict[str, Any]:
    """Names and values of a message's tensors."""
    return {each.name: each.data.ravel().tolist() for each in message.tensors}


def request(*values: float, **parameters: Any) -> Message:
    data = np.array(values, np.float32).reshape(-1, 1)
    return Message([Tensor.of("x", data)], "7", parameters)


class Workspace:
    """A folder of servables and one of pipelines."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models = root / "model-settings"
        self.pipelines = root / "pipelines"
        self.models.mkdir()
        self.pipelines.mkdir()

    def add_model(self, name: str, **settings: Any) -> Path:
        folder = self.models / name
        folder.mkdir(exist_ok=True)
        content = {"name": name, "implementation": "mlserver.MLModel", **settings}
        (folder / "model-settings.json").write_text(json.dumps(content))
        return folder

    def add_pipeline(self, name: str, text: str, extra: dict[str, Any], **settings: Any) -> Path:
        (self.pipelines / f"{name}.yaml").write_text(text)
        parameters = {"uri": f"../../pipelines/{name}.yaml", "extra": extra}
        return self.add_model(
            name,
            **{
                "implementation": "infergraph.router.PipelineRouter",
                "parameters": parameters,
                **settings,
            },
        )

    def router(self, name: str, text: str, **extra: Any) -> PipelineRouter:
        """The router of a new pipeline, not yet loaded."""
        return router_in(self.add_pipeline(name, text, extra))


def router_in(folder: Path) -> PipelineRouter:
    settings = load_model_settings(str(folder / "model-settings.json"))
    return PipelineRouter(settings)


def tensor(name: str, datatype: str = "FP32", shape: tuple[int, ...] = (-1, 1)) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}
