"""What runs together is bounded by its work, however few items it is; the answers are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from infergraph.runtime import Runtime
from tests.pictures import encoded as picture
from tests.pictures import pattern
from tests.sounds import chirps
from tests.sounds import encoded as sound

from .conftest import Ask, Serve
from .text_families import TEXTS, WORDS

LONG = " ".join(WORDS * 12)


class Seen:
    """What a model computes: the work of the items of each batch, and the inputs of its network."""

    def __init__(self, runtime: Runtime, network: torch.nn.Module, patch: pytest.MonkeyPatch):
        self.batches: list[list[int]] = []
        self.calls: list[torch.Size] = []
        compute = runtime.predict_batch

        def predict_batch(items: Sequence[Any], parameters: Any) -> Any:
            self.batches.append([runtime.length(item) for item in items])
            return compute(items, parameters)

        def call(module: Any, inputs: Any, named: dict[str, Any]) -> None:
            given = [each for each in (*inputs, *named.values()) if isinstance(each, torch.Tensor)]
            self.calls.append(given[0].shape)

        patch.setattr(runtime, "predict_batch", predict_batch)
        network.register_forward_pre_hook(call, with_kwargs=True)

    def check(self, most: float) -> None:
        """Batches and calls of several pieces are within their limit; no limit was idle."""
        assert len(self.batches) > 1
        assert all(len(batch) == 1 or sum(batch) <= most for batch in self.batches)
        assert any(len(batch) > 1 for batch in self.batches)
        assert all(rows == 1 or rows * size <= most for rows, size, *_ in self.calls)


@pytest.mark.parametrize(
    ("task", "family", "asked"),
    [
        ("sentiment", "bert", {"text": [*TEXTS, *TEXTS[::-1]]}),
        (
            "question-answering",
            "bert-qa",
            {"question": ["who?"] * 7, "context": [*TEXTS, LONG]},
        ),
    ],
)
async def test_tokens(
    task: str,
    family: str,
    asked: dict[str, Any],
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = {"doc_stride": 8, "max_answer_tokens": 4} if task == "question-answering" else {}
    free: Any = await serve(task, checkpoint(family), **small)
    bound: Any = await serve(task, checkpoint(family), max_batch_tokens=70, **small)
    seen = Seen(bound, bound.model.network, monkeypatch)

    expected, answer = await ask(free, **asked), await ask(bound, **asked)

    assert answer.pop("score") == pytest.approx(expected.pop("score"), abs=1e-4)
    assert answer == expected
    seen.check(70)


async def test_tokens_of_sentences(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    texts = [". ".join(["The lamp", "Seven gulls", "The keep"][: 1 + n % 3]) for n in range(12)]
    free: Any = await serve("translation-fr-en", checkpoint("marian"))
    bound: Any = await serve("translation-fr-en", checkpoint("marian"), max_batch_tokens=60)
    for runtime in (free, bound):
        runtime.model.generator.network.double()
    # Rows, and the most tokens that one of them has read, each beam a row.
    seen: list[tuple[int, int]] = []
    bound.model.generator.network.get_decoder().register_forward_pre_hook(
        lambda module, inputs, named: seen.append(tuple(named["encoder_hidden_states"].shape[:2])),
        with_kwargs=True,
    )
    search = {"num_beams": 2, "max_new_tokens": 5}

    expected, answer = await ask(free, search, text=texts), await ask(bound, search, text=texts)

    assert answer == expected
    assert all(rows <= 2 or rows * size <= 60 for rows, size in seen)
    assert max(rows for rows, _ in seen) > 2


async def test_pixels(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"outputs": []}
    settings: dict[str, Any] = {"groups": {}, "labels": {}, "optional_outputs": []}
    folder = checkpoint("yolos")
    free: Any = await serve("object-detection", folder, declared=declared, **settings)
    image = free.prepare({"image": picture(pattern(64, 48))})
    most = 2 * image.pixels + 1
    bound: Any = await serve(
        "object-detection", folder, declared=declared, max_batch_pixels=most, **settings
    )
    seen = Seen(bound, bound.model.detector._network, monkeypatch)
    images = [picture(pattern(64, 48, seed=seed)) for seed in range(5)]

    expected, answer = await ask(free, image=images), await ask(bound, image=images)

    assert answer["num_found"] == expected["num_found"]
    assert np.array(answer["boxes"]) == pytest.approx(np.array(expected["boxes"]), abs=0.01)
    assert [len(batch) for batch in seen.batches] == [2, 2, 1]
    assert [call[0] for call in seen.calls] == [2, 2, 1]


async def test_boxes(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime: Any = await serve("plate-reading", checkpoint("trocr"), locator=None, max_crops=4)
    seen = Seen(runtime, runtime.model.reader._network.get_encoder(), monkeypatch)
    boxes = np.tile(np.array([0, 0, 60, 40], np.float32), (4, 6, 1))
    asked = {
        "image": [picture(pattern(64, 48))] * 4,
        "boxes": boxes,
        "num_detections": np.array([[6], [1], [2], [1]]),
    }

    await ask(runtime, **asked)

    assert sorted(map(sorted, seen.batches)) == [[1, 1, 2], [6]]
    assert max(call[0] for call in seen.calls) == 4


async def test_seconds(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime: Any = await serve(
        "speech-to-text", checkpoint("wav2vec2-bert"), max_batch_audio_seconds=3, chunk_seconds=2
    )
    batches: list[int] = []
    compute = runtime.predict_batch
    monkeypatch.setattr(
        runtime,
        "predict_batch",
        lambda items, parameters: batches.append(len(items)) or compute(items, parameters),
    )

    # Each with 0.7 s of silence around it.
    await ask(runtime, audio=[sound(chirps(seconds, 1)) for seconds in (0.5, 0.7, 0.9, 5)])

    assert sorted(batches) == [1, 1, 2]


async def test_what_is_read_is_padded_and_what_is_written_is_not(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(Runtime, "observe_padding", lambda _, *counts: read.append(counts))
    monkeypatch.setattr(Runtime, "observe_step", lambda _, *counts: steps.append(counts))
    runtime: Any = await serve("translation-fr-en", checkpoint("marian"))
    texts = [" ".join(WORDS[:5]), " ".join(WORDS[7:14])]
    lengths = [len(runtime.model.encoder(text, "text")) for text in texts]
    written = []
    for text in texts:
        await ask(runtime, {"num_beams": 1}, text=[text])
        written.append(steps[-1][1])
    del read[:], steps[:]

    await ask(runtime, {"num_beams": 1}, text=texts)

    assert max(lengths) > min(lengths)
    assert read == [(sum(lengths), 2 * max(lengths))]
    assert max(written) == len(steps) + 1
    assert sum(tokens for _, tokens in steps) == sum(written)
    # The first token of each is written when it is read.
    assert sum(rows for rows, _ in steps) == sum(written) - 2
