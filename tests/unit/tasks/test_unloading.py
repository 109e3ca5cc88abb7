"""An unloaded model holds none of its networks, whatever its task."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from torch import nn

from infergraph.request import RequestContext
from infergraph.v2 import Message, Tensor
from tests.exhaustive import one_in
from tests.pictures import encoded as picture
from tests.pictures import pattern
from tests.sounds import chirps
from tests.sounds import encoded as sound

from .conftest import Ask, Serve

IMAGE, AUDIO = [picture(pattern(64, 48))], [sound(chirps(1.0, 1))]
BOX = {
    "boxes": np.array([[[0, 0, 60, 40]]], np.float32),
    "num_detections": np.array([[1]]),
}
QUESTION = {"question": ["Where is the lamp?"], "context": ["The lamp is in the keep."]}
TEXT = {"text": ["the lamp"]}
ROWS = {"dense": np.ones((2, 13), np.float32), "indices": np.zeros((2, 39), np.int64)}

# Task, checkpoint, what is asked.
TASKS: list[tuple[str, str, dict[str, Any]]] = [
    ("sentiment", "bert", TEXT),
    ("token-classification", "bert-ner", TEXT),
    ("question-answering", "bert-qa", QUESTION),
    ("translation-fr-en", "marian", TEXT),
    ("summarization", "t5", TEXT),
    ("speech-to-text", "wav2vec2-bert", {"audio": AUDIO}),
    ("speech-to-text", "whisper-en", {"audio": AUDIO}),
    ("vehicle-classification", "vit", {"image": IMAGE, **BOX}),
    ("vehicle-classification", "timm-resnet", {"image": IMAGE, **BOX}),
    ("vehicle-classification", "torchvision-resnet", {"image": IMAGE, **BOX}),
    ("object-detection", "yolos", {"image": IMAGE}),
    ("object-detection", "compact-fcos", {"image": IMAGE}),
    ("plate-reading", "trocr", {"image": IMAGE, **BOX}),
    ("image-captioning", "captioner", {"image": IMAGE, **BOX}),
    ("text-detection", "pp-ocr-mobile-det", {"image": IMAGE}),
    ("text-recognition", "pp-ocr-mobile-rec", {"image": IMAGE, **BOX}),
    ("digit-reading", "torchvision-lenet", {"image": IMAGE, **BOX}),
    ("dlrm", "dlrm", ROWS),
    ("text-to-speech", "fastspeech2", TEXT),
    ("text-to-speech", "fastspeech2-hifigan", TEXT),
]


def networks() -> Iterator[nn.Module]:
    """All modules with parameters of their own that are alive."""
    gc.collect()
    for each in gc.get_objects():
        # Not isinstance, for which lazy modules and proxies load what they stand for.
        if issubclass(type(each), nn.Module) and each._parameters:
            yield each


@pytest.mark.parametrize(("task", "family", "asked"), one_in(3, TASKS))
async def test_of_every_task_the_weights_are_freed(
    task: str,
    family: str,
    asked: dict[str, Any],
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    folder = checkpoint(family)
    settings: dict[str, Any] = {}
    if task == "plate-reading":
        settings = {"locator": checkpoint("plates"), "locator_threshold": 0.01}
    if task == "object-detection":
        settings = {"declared": {"outputs": []}, "groups": {}, "labels": {}, "optional_outputs": []}
    before = weakref.WeakSet(networks())

    runtime = await serve(task, folder, **settings)
    await ask(runtime, **asked)
    if task == "translation-fr-en":
        stream = runtime.infer_stream(
            Message([Tensor.of_bytes("text", [b"gulls"])]), RequestContext()
        )
        await anext(stream)
        await stream.aclose()
    loaded = [weakref.ref(each) for each in networks() if each not in before]
    await runtime.unload()

    assert loaded
    gc.collect()
    assert [type(each).__name__ for ref in loaded if (each := ref()) is not None] == []
    assert not hasattr(runtime, "model")
