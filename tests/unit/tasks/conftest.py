"""Loads task runtimes with the declarations of model-settings/ and small checkpoints."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings

from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tensors import Message, Tensor
from tests import checkpoints

MODEL_SETTINGS = Path(__file__).parents[3] / "model-settings"

BUILDERS: dict[str, Callable[[Path], str]] = {
    "wav2vec2-group": checkpoints.wav2vec2,
    "wav2vec2-layer": lambda folder: checkpoints.wav2vec2(folder, norm="layer"),
    "hubert-layer": lambda folder: checkpoints.wav2vec2(folder, norm="layer", family="Hubert"),
    "wavlm-layer": lambda folder: checkpoints.wav2vec2(folder, norm="layer", family="WavLM"),
    "wav2vec2-bert": checkpoints.wav2vec2_bert,
    "wav2vec2-bert-adapter": lambda folder: checkpoints.wav2vec2_bert(folder, adapter=True),
    "speech2text": checkpoints.speech2text,
    "whisper-en": checkpoints.whisper,
    "whisper-multilingual": lambda folder: checkpoints.whisper(folder, multilingual=True),
    "bert-qa": checkpoints.bert_qa,
    "distilbert-qa": checkpoints.distilbert_qa,
    "roberta-qa": checkpoints.roberta_qa,
    "xlm-roberta-qa": checkpoints.xlm_roberta_qa,
}

Serve = Callable[..., Awaitable[Runtime]]
Ask = Callable[..., Awaitable[dict[str, list[Any]]]]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a checkpoint of `BUILDERS`, made once a session."""
    made: dict[str, str] = {}

    def get(name: str) -> str:
        if name not in made:
            made[name] = BUILDERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(task, checkpoint, **settings)`: a loaded runtime of model-settings/task."""
    loaded: list[Runtime] = []

    async def load(task: str, checkpoint: str | None = None, /, **extra: Any) -> Runtime:
        declared = json.loads((MODEL_SETTINGS / task / "model-settings.json").read_text())
        settings = declared["parameters"]["extra"]
        settings["device"] = "cpu"
        if checkpoint is not None:
            settings |= {"variant": "test", "variants": {"test": checkpoint}}
        settings |= extra
        model = ModelSettings(**declared)
        runtime: Runtime = model.implementation(model)
        await runtime.load()
        loaded.append(runtime)
        return runtime

    yield load
    for runtime in loaded:
        await runtime.unload()


@pytest.fixture
def ask() -> Ask:
    """`await ask(runtime, tensor=[item, ...])`: the answer's tensors as lists, texts as str."""

    async def infer(runtime: Runtime, **inputs: Any) -> dict[str, list[Any]]:
        tensors = [_tensor(name, values) for name, values in inputs.items()]
        answer = await runtime.infer(Message(tensors), RequestContext())
        return {tensor.name: _values(tensor) for tensor in answer.tensors}

    return infer


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, np.ndarray):
        return Tensor.of(name, values)
    return Tensor.of_bytes(
        name, [value.encode() if isinstance(value, str) else value for value in values]
    )


def _values(tensor: Tensor) -> list[Any]:
    if tensor.datatype == "BYTES":
        return [value.decode() for value in tensor.data.ravel()]
    values: list[Any] = tensor.data.tolist()
    return [value[0] for value in values] if tensor.shape[1:] == (1,) else values
