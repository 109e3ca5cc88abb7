"""Loads task runtimes with the declarations of model-settings/ and small checkpoints."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings

from infergraph.batching import BatchAbandoned
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.v2 import Message, Tensor
from tests import checkpoints
from tests.checkpoints import detectors, images, readers, recommenders, text_lines, voices

MODEL_SETTINGS = Path(__file__).parents[3] / "model-settings"

LABELS = dict(enumerate(["en", "fr", "es", "de", "it"]))
TAGS = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]))
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
    "distilbert-qa": partial(checkpoints.distilbert, head="QuestionAnswering"),
    "roberta-qa": partial(checkpoints.roberta, head="QuestionAnswering"),
    "xlm-roberta-qa": partial(checkpoints.xlm_roberta, head="QuestionAnswering"),
    "bert": partial(checkpoints.bert, id2label=LABELS),
    "distilbert": partial(checkpoints.distilbert, id2label=LABELS),
    "roberta": partial(checkpoints.roberta, id2label=LABELS),
    "xlm-roberta": partial(checkpoints.xlm_roberta, id2label=LABELS),
    **{
        f"{family}-ner": partial(builder, head="TokenClassification", id2label=TAGS)
        for family, builder in (
            ("bert", checkpoints.bert),
            ("distilbert", checkpoints.distilbert),
            ("roberta", checkpoints.roberta),
            ("xlm-roberta", checkpoints.xlm_roberta),
        )
    },
    "marian": checkpoints.marian,
    "m2m100": checkpoints.m2m100,
    "nllb": checkpoints.nllb,
    "mbart": checkpoints.mbart,
    "mbart50": partial(checkpoints.mbart, fifty=True),
    "bart": checkpoints.bart,
    "pegasus": checkpoints.pegasus,
    "t5": checkpoints.t5,
    "vit": images.vit,
    "deit": images.deit,
    "beit": images.beit,
    "swin": images.swin,
    "resnet": images.resnet,
    "convnext": images.convnext,
    "timm-resnet": images.timm_resnet,
    "timm-mobilenet": images.timm_mobilenet,
    "timm-inception": images.timm_inception,
    "torchvision-alexnet": images.torchvision_alexnet,
    "torchvision-lenet": images.torchvision_lenet,
    "torchvision-resnet": images.torchvision_resnet,
    "torchvision-googlenet": images.torchvision_googlenet,
    "torchvision-inception": images.torchvision_inception,
    "dlrm": recommenders.dlrm,
    "yolos": detectors.yolos,
    "detr": detectors.detr,
    "conditional-detr": detectors.conditional_detr,
    "deformable-detr": detectors.deformable_detr,
    "rt-detr": detectors.rt_detr,
    "rt-detr-v2": partial(detectors.rt_detr, second=True),
    "d-fine": detectors.d_fine,
    "compact-fcos": detectors.compact_fcos,
    "plates": partial(detectors.compact_fcos, labels=["plate"]),
    "plate-reader": readers.plate_reader,
    "trocr": readers.trocr,
    "trocr-small": readers.trocr_small,
    "captioner": readers.captioner,
    "vit-gpt2": readers.vit_gpt2,
    "blip": readers.blip,
    "git": readers.git,
    "pp-ocr-mobile-det": text_lines.mobile_detector,
    "pp-ocr-server-det": text_lines.server_detector,
    "pp-ocr-mobile-rec": text_lines.mobile_reader,
    "pp-ocr-server-rec": text_lines.server_reader,
    "fastspeech2": voices.fastspeech2,
    "fastspeech2-hifigan": voices.fastspeech2_with_hifigan,
    "hifigan": voices.hifigan,
    "speecht5": voices.speecht5,
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
    """`await serve(task, checkpoint, **settings)`: a loaded runtime of model-settings/task.

    `declared={"inputs": [...]}` replaces what its model-settings.json declares.
    """
    loaded: list[Runtime] = []

    async def load(
        task: str,
        checkpoint: str | None = None,
        /,
        *,
        declared: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> Runtime:
        file = json.loads((MODEL_SETTINGS / task / "model-settings.json").read_text())
        file |= declared or {}
        settings = file["parameters"]["extra"]
        settings["device"] = "cpu"
        if checkpoint is not None:
            settings |= {"variant": "test", "variants": {"test": checkpoint}}
        settings |= extra
        model = ModelSettings(**file)
        runtime: Runtime = model.implementation(model)
        await runtime.load()
        loaded.append(runtime)
        return runtime

    yield load
    for runtime in loaded:
        await runtime.unload()


@pytest.fixture
def ask() -> Ask:
    """`await ask(runtime, tensor=[item, ...])`: the answer's tensors as lists, texts as str.

    Sound stays bytes.

    `await ask(runtime, {"num_beams": 4}, text=[...])` sends parameters along.
    """

    async def infer(
        runtime: Runtime, parameters: Mapping[str, Any] | None = None, /, **inputs: Any
    ) -> dict[str, list[Any]]:
        tensors = [_tensor(name, values) for name, values in inputs.items()]
        message = Message(tensors, parameters=dict(parameters or {}))
        answer = await runtime.infer(message, RequestContext())
        return {tensor.name: _values(tensor) for tensor in answer.tensors}

    return infer


class Checks:
    """Stands for the check that a batch is still wanted, in the thread that made it.

    Attributes:
        made: How often it was checked.
        abandoned_at: Which check raises BatchAbandoned, counted from 1; None is none of them.
        at_each: Called at each check, before it is counted.
    """

    def __init__(self) -> None:
        self.made = 0
        self.abandoned_at: int | None = None
        self.at_each: Callable[[], None] = lambda: None
        self._thread = threading.get_ident()

    def __call__(self) -> None:
        if threading.get_ident() != self._thread:
            return
        self.at_each()
        self.made += 1
        if self.made == self.abandoned_at:
            raise BatchAbandoned

    def restart(self, abandoned_at: int | None = None) -> None:
        self.made, self.abandoned_at = 0, abandoned_at


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """The checks that tasks make, instead of the real ones."""
    made = Checks()
    for name in (
        "vision.picture_writer",
        "question_answering",
        "checkpoints.stoppable",
    ):
        module = importlib.import_module(f"infergraph.tasks.{name}")
        monkeypatch.setattr(module, "check_wanted", made)
    return made


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, np.ndarray):
        return Tensor.of(name, values)
    return Tensor.of_bytes(
        name, [value.encode() if isinstance(value, str) else value for value in values]
    )


def _values(tensor: Tensor) -> list[Any]:
    values: list[Any]
    if tensor.datatype == "BYTES":
        values = tensor.data.ravel().tolist()
        return values if tensor.name == "audio" else [value.decode() for value in values]
    values = tensor.data.tolist()
    return [value[0] for value in values] if tensor.shape[1:] == (1,) else values
