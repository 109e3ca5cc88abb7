"""What a text model's time goes into, measured in this process on the runtime itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .drivers import measure

_ROUNDS = 3


@dataclass(frozen=True)
class Shares:
    """Where the work goes.

    Attributes:
        tokens: The fewest and the most tokens of a request.
        padding: The share of padding among the tokens that the network computes.
        tokenizer_ms: What the tokenizer takes of a request, alone.
        tokenizer: Its share of the time of tokenizer and network together, in batches.
    """

    tokens: tuple[int, int]
    padding: float
    tokenizer_ms: float
    tokenizer: float


async def measure_shares(
    settings: Mapping[str, Any], requests: Sequence[Mapping[str, str]], concurrency: int
) -> Shares:
    """Loads a model and sends it the requests, `concurrency` at once.

    Args:
        settings: Its model-settings.json, of a runtime whose `prepare` tokenizes.
        requests: The texts of each request by tensor.
        concurrency: How many are sent at once, and timed as one batch.
    """
    from mlserver import ModelSettings

    from infergraph.request import RequestContext
    from infergraph.v2 import Message, Tensor

    declared = ModelSettings(name="shares", **settings)
    runtime: Any = declared.implementation(declared)
    await runtime.load()
    try:
        computed: list[tuple[int, int]] = []
        observe = runtime.observe_padding
        runtime.observe_padding = lambda *tokens: computed.append(tokens)
        turn = itertools.cycle(requests)

        async def call() -> None:
            tensors = [Tensor.of_bytes(name, [text.encode()]) for name, text in next(turn).items()]
            await runtime.infer(Message(tensors), RequestContext())

        await measure(call, 2 * len(requests), concurrency)
        runtime.observe_padding = observe
        real_tokens, all_tokens = (sum(each) for each in zip(*computed, strict=True))

        started = time.perf_counter()
        for _ in range(_ROUNDS):
            items = [runtime.prepare(dict(request)) for request in requests]
        tokenizer = (time.perf_counter() - started) / _ROUNDS
        started = time.perf_counter()
        for _ in range(_ROUNDS):
            for first in range(0, len(items), concurrency):
                runtime.predict_batch(items[first : first + concurrency], None)
        network = (time.perf_counter() - started) / _ROUNDS
        lengths = [runtime.length(item) for item in items]
    finally:
        await runtime.unload()
    return Shares(
        tokens=(min(lengths), max(lengths)),
        padding=1 - real_tokens / all_tokens,
        tokenizer_ms=tokenizer * 1e3 / len(requests),
        tokenizer=tokenizer / (tokenizer + network),
    )
