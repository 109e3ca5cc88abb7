"""What texts gain that join and leave between tokens: translations, 16 requests in flight."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mlserver import ModelSettings
from transformers import StoppingCriteria, StoppingCriteriaList

from infergraph.request import RequestContext
from infergraph.runtime import Outputs
from infergraph.tasks.text.decoding import Search
from infergraph.tasks.text.encoder import Ids
from infergraph.tasks.text.sources import Source
from infergraph.tasks.translation import Translation
from infergraph.v2 import Message, Tensor
from zoo.world import parallel

from ..integration.server import REPOSITORY
from .rounds import table

_MODEL = "translation-fr-en"
_IN_FLIGHT = 16
_REQUESTS = 160
_SHORT, _LONG = 8, 96
_SEED = 5


def _mixed(ids: Sequence[int] | Ids) -> int:
    """How many tokens the answer to a text is made to have: a quarter of them are long."""
    return _LONG if sum(ids) % 4 == 0 else _SHORT


class _Lengths(StoppingCriteria):
    """Ends each text of a batch at a length of its own."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = torch.tensor(lengths)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> torch.Tensor:
        return input_ids.shape[1] > self._lengths


class WholeBatches(Translation):
    """Batches as transformers generates them: all rows run until the longest ends."""

    @property
    def continuous(self) -> bool:
        return False

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Source], parameters: Search) -> list[Outputs]:
        generator, encoder = self.model.generator, self.model.encoder
        ids = [item.ids[0] for item in items]
        given: dict[str, Any] = {}
        if parameters.min_new_tokens:
            lengths = [_mixed(each) for each in ids]
            longest = max(lengths)
            given = {
                "stopping_criteria": StoppingCriteriaList([_Lengths(lengths)]),
                "min_new_tokens": longest,
                "max_new_tokens": longest,
            }
        tokens = generator.network.generate(**encoder.batch(ids, self.placement.device), **given)
        return [{"text": generator.decoded(row)} for row in tokens]


class _Load:
    """What is asked of a model, and how many tokens a second it has written in each round."""

    def __init__(self, label: str, model: Translation, texts: Sequence[str], mixed: bool) -> None:
        self.label = label
        self.rates: list[float] = []
        self.waits: list[float] = []
        self._model = model
        self._asked: list[tuple[Message, int]] = []
        for text in texts:
            length = _mixed(model.prepare({"text": text}).ids[0])
            parameters = {"min_new_tokens": length, "max_new_tokens": length} if mixed else {}
            message = Message([Tensor.of_bytes("text", [text.encode()])], parameters=parameters)
            self._asked.append((message, length if mixed else 0))

    async def measure(self) -> None:
        """Asks everything, 16 requests at a time."""
        asked = iter(self._asked)
        tokens, waits = 0, []

        async def ask() -> None:
            nonlocal tokens
            for message, length in asked:
                began = time.perf_counter()
                answer = await self._model.infer(message, RequestContext())
                waits.append(time.perf_counter() - began)
                text = answer.tensors[0].data.item().decode()
                tokens += length or self._written(text)

        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(_IN_FLIGHT)))
        self.rates.append(tokens / (time.perf_counter() - began))
        self.waits.append(statistics.mean(waits) * 1e3)

    def _written(self, text: str) -> int:
        return len(self._model.model.generator.tokenizer(text_target=text)["input_ids"])


async def run(folder: Path, rounds: int) -> None:
    """Prints tokens per second and waits, of both ways, and their ratios."""
    del folder
    file = json.loads((REPOSITORY / "model-settings" / _MODEL / "model-settings.json").read_text())
    file["parameters"]["uri"] = str(REPOSITORY / "model-settings" / _MODEL)
    file["parameters"]["extra"] |= {"device": "cpu", "split_sentences": False}
    texts = [source for source, _ in parallel(_SEED, _REQUESTS, "held_out", "fr", "en")]
    models = [kind(ModelSettings(**file)) for kind in (WholeBatches, Translation)]
    for model in models:
        await model.load()
    for title, mixed in (("sentences", False), (f"{_SHORT} or {_LONG} tokens", True)):
        whole, continuous = (
            _Load(label, model, texts, mixed)
            for label, model in zip(("whole batches", "texts join and leave"), models, strict=True)
        )
        for number in range(rounds + 1):
            for load in (whole, continuous) if number % 2 else (continuous, whole):
                await load.measure()
        for load in (whole, continuous):
            # The first round warms up.
            del load.rates[0], load.waits[0]
        print(
            table(
                f"Generation: {_MODEL}, {title}, {_IN_FLIGHT} in flight",
                ["", "tokens/s", "mean wait ms"],
                [
                    [
                        load.label,
                        f"{statistics.median(load.rates):.0f}",
                        f"{statistics.median(load.waits):.0f}",
                    ]
                    for load in (whole, continuous)
                ],
            )
        )
        ratio = statistics.median(b / a for a, b in zip(whole.rates, continuous.rates, strict=True))
        wanted = " (wanted >= 2)" if mixed else ""
        print(f"texts join and leave / whole batches: {ratio:.2f}{wanted}")
    for model in models:
        await model.unload()
