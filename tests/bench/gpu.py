"""Models on a GPU: throughput by batch, formats, shares of what the device can do, streams.

What the device can do is measured on it as well: how fast it copies from pinned memory, and how
fast it multiplies large matrices. Everything but `run` is the same for any device.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlserver import ModelSettings

from infergraph.runtime import Outputs, Runtime
from zoo.scenes import scene
from zoo.world import reviews

from ..integration.server import REPOSITORY
from ..pictures import encoded
from .bert_base import write_bert_base
from .rounds import table

_MODELS = REPOSITORY / "model-settings"
_SAMPLES = REPOSITORY / "tests" / "samples"
_FORMATS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        batches: Items of a batch.
        rounds: Medians are of so many.
        enlarged: How many times larger than the embedded detector's pictures are, side by side.
        copied: Bytes of a copy.
        matrix: Rows and columns of a matrix.
        bert: The classifier of texts: a folder; None is BERT base, untrained.
    """

    batches: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    rounds: int = 7
    enlarged: int = 3
    copied: int = 2**28
    matrix: int = 8192
    bert: Path | None = None


@dataclass(frozen=True)
class Case:
    """A model, and what it is asked.

    Attributes:
        model: Its folder in model-settings.
        title: Its row.
        inputs: The tensors of each item.
        settings: Beside device and dtype.
        said: Its outputs that must be the same in all formats; of the others differences are told.
    """

    model: str
    title: str
    inputs: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    said: str


async def run(folder: Path, rounds: int) -> None:
    """Prints the tables, or one line where there is no GPU."""
    if not torch.cuda.is_available():
        print("\nGPU: left out; torch sees no CUDA device here")
        return
    await measure(torch.device("cuda:0"), folder, Extent(rounds=rounds))


async def measure(device: torch.device, folder: Path, extent: Extent) -> None:
    """Prints the tables of a device."""
    peaks = {name: _peak(device, name, extent) for name in _FORMATS}
    copies = _bandwidth(device, extent)
    print(
        table(
            f"{_named(device)}, measured",
            ["", "TFLOP/s"],
            [[name, f"{peak / 1e12:.3g}"] for name, peak in peaks.items()],
        )
    )
    print(f"copies from pinned memory: {copies / 1e9:.3g} GB/s")
    bert = extent.bert
    if bert is None:
        bert = folder / "bert-base"
        write_bert_base(bert, "text-classification", _MODELS / "sentiment" / "embedded")
    async with AsyncExitStack() as stack:

        async def load(case: Case, number_format: str) -> Runtime[Any, Any, Any]:
            runtime = await _load(case, device, number_format)
            stack.push_async_callback(runtime.unload)
            return runtime

        cases = _cases(bert, extent)
        runtimes = {}
        for case in cases:
            for name in _FORMATS:
                runtimes[case.title, name] = await load(case, name)
        _report_throughput(cases, runtimes, extent)
        _report_formats(cases, runtimes)
        _report_shares(cases, runtimes, extent, copies, peaks)
        _report_streams(cases, runtimes, extent)


def _cases(bert: Path, extent: Extent) -> list[Case]:
    most = max(extent.batches)
    size = extent.enlarged
    pictures = [
        encoded(
            np.kron(np.array(scene(seed, "held-out").image), np.ones((size, size, 1), np.uint8))
        )
        for seed in range(8)
    ]
    images = [{"image": pictures[index % 8]} for index in range(most)]
    spoken = [(_SAMPLES / f"question-{number}.wav").read_bytes() for number in (1, 2, 3)]
    texts = [text for text, _ in reviews(7, most, "held_out")]
    together = {"max_batch_size": most, "max_queue_size": 2 * most}
    whole = {"variant": "measured", "variants": {"measured": str(bert)}}
    return [
        Case("object-detection", "detector", images, together, "labels"),
        Case("resnet", "classifier of images", images, together, "label"),
        Case(
            "sentiment",
            "classifier of texts",
            [{"text": text} for text in texts],
            {**together, **whole},
            "label",
        ),
        Case(
            "speech-to-text",
            "speech recognition",
            [{"audio": spoken[index % 3]} for index in range(most)],
            together,
            "text",
        ),
    ]


async def _load(case: Case, device: torch.device, number_format: str) -> Runtime[Any, Any, Any]:
    file = json.loads((_MODELS / case.model / "model-settings.json").read_text())
    file["parameters"]["uri"] = str(_MODELS / case.model)
    file["parameters"]["extra"] |= {**case.settings, "device": str(device), "dtype": number_format}
    if case.model in ("object-detection", "resnet"):
        file["parameters"]["extra"]["resize"] = "device"
    settings = ModelSettings(**file)
    runtime: Runtime[Any, Any, Any] = settings.implementation(settings)
    await runtime.load()
    return runtime


def _prepared(case: Case, runtime: Runtime[Any, Any, Any], count: int) -> list[Any]:
    items = [dict(each) for each in case.inputs[:count]]
    prepare = runtime.preparing(items)
    return [prepare(item) for item in items]


def _answers(runtime: Runtime[Any, Any, Any], items: Sequence[Any]) -> list[Outputs]:
    """As the model's thread computes them; they are on the CPU, so that the device has ended."""
    parameters: Any = None
    if runtime.parameters_class is not None:
        parameters = runtime.accept(runtime.parameters_class())
    with runtime.placement.computing():
        answers: list[Any] = list(runtime.predict_batch(items, parameters))
    return answers


def _seconds(rounds: int, call: Callable[[], Any]) -> float:
    """What a call takes, the median; the first is not counted."""
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def _report_throughput(
    cases: Sequence[Case], runtimes: Mapping[tuple[str, str], Any], extent: Extent
) -> None:
    rows = []
    for case in cases:
        for name in _FORMATS:
            runtime = runtimes[case.title, name]
            row = [f"{case.title}, {name}"]
            for batch in extent.batches:
                items = _prepared(case, runtime, batch)
                seconds = _seconds(extent.rounds, lambda: _answers(runtime, items))  # noqa: B023
                row.append(f"{batch / seconds:.1f}")
            rows.append(row)
    print(table("Items a second, by batch", ["", *map(str, extent.batches)], rows))


def _report_formats(cases: Sequence[Case], runtimes: Mapping[tuple[str, str], Any]) -> None:
    rows = []
    for case in cases:
        found = {
            name: _answers(
                runtimes[case.title, name],
                _prepared(case, runtimes[case.title, name], len(case.inputs)),
            )
            for name in _FORMATS
        }
        row = [case.title]
        for name in _FORMATS[1:]:
            pairs = list(zip(found[name], found["fp32"], strict=True))
            same = sum(_same(mine[case.said], theirs[case.said]) for mine, theirs in pairs)
            row.append(f"{same} of {len(pairs)}")
        rows.append(row)
    print(table("Answers that are those of fp32", ["", *_FORMATS[1:]], rows))


def _same(mine: Any, theirs: Any) -> bool:
    return bool(np.array_equal(np.asarray(mine), np.asarray(theirs)))


def _report_shares(
    cases: Sequence[Case],
    runtimes: Mapping[tuple[str, str], Any],
    extent: Extent,
    copies: float,
    peaks: Mapping[str, float],
) -> None:
    """How much of the device's copies images need, and of its multiplications texts."""
    detector, _, texts, _ = cases
    for name in _FORMATS:
        runtime = runtimes[detector.title, name]
        items = _prepared(detector, runtime, max(extent.batches))
        seconds = _seconds(extent.rounds, lambda: _answers(runtime, items))  # noqa: B023
        moved = sum(item.inputs.nbytes for item in items) / seconds
        print(
            f"{detector.title}, {name}, {len(items)} images of {items[0].width} x "
            f"{items[0].height}: {moved / 1e9:.3g} GB/s of pixels, "
            f"{moved / copies:.1%} of the copies"
        )
    for name in _FORMATS:
        runtime = runtimes[texts.title, name]
        items = _prepared(texts, runtime, max(extent.batches))
        seconds = _seconds(extent.rounds, lambda: _answers(runtime, items))  # noqa: B023
        tokens = sum(runtime.length(item) for item in items)
        layers = [
            each.weight.numel()
            for each in runtime.model.network.modules()
            if isinstance(each, torch.nn.Linear)
        ]
        # Two operations for each weight of a linear layer and each token that is no padding.
        speed = 2 * sum(layers) * tokens / seconds
        print(
            f"{texts.title}, {name}, {len(items)} texts of {tokens} tokens: {speed / 1e12:.3g} "
            f"TFLOP/s, {speed / peaks[name]:.1%} of the matrix peak"
        )


def _report_streams(
    cases: Sequence[Case], runtimes: Mapping[tuple[str, str], Any], extent: Extent
) -> None:
    """Two models in a thread of their own each, one after the other and at once."""
    pair = [cases[0], cases[2]]
    work = []
    for case in pair:
        runtime = runtimes[case.title, "bf16"]
        items = _prepared(case, runtime, min(8, max(extent.batches)))
        work.append(lambda runtime=runtime, items=items: _answers(runtime, items))
    alone = [_seconds(extent.rounds, each) for each in work]

    def together() -> None:
        threads = [threading.Thread(target=each) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    both = _seconds(extent.rounds, together)
    print(
        f"{pair[0].title} and {pair[1].title} at once take {both / sum(alone):.0%} of what they "
        f"take one after the other; {max(alone) / sum(alone):.0%} is the longer one's share"
    )


def _peak(device: torch.device, number_format: str, extent: Extent) -> float:
    """Operations a second of a product of large matrices."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[number_format]
    size = extent.matrix
    matrix = torch.randn(size, size, device=device, dtype=dtype)

    def multiply() -> None:
        matrix @ matrix
        _wait(device)

    return 2 * size**3 / _seconds(extent.rounds, multiply)


def _bandwidth(device: torch.device, extent: Extent) -> float:
    """Bytes a second from pinned memory."""
    source = torch.empty(extent.copied, dtype=torch.uint8, pin_memory=device.type == "cuda")
    target = torch.empty(extent.copied, dtype=torch.uint8, device=device)

    def copy() -> None:
        target.copy_(source, non_blocking=True)
        _wait(device)

    return extent.copied / _seconds(extent.rounds, copy)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
