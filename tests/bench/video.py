"""What the pipeline `video` gains over its two models called by hand, and where its time goes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infergraph.devices import Placement
from infergraph.settings import environment_prefix
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.classifiers import load_classifier
from infergraph.tasks.vision.detectors import load_detector
from infergraph.tensors.image import MAX_IMAGE_PIXELS, decode_image
from infergraph.tensors.shared_media import sharing_media
from zoo.scenes import Scene

from ..integration.repositories import write_server, write_shipped_routers
from ..integration.server import REPOSITORY, ServerProcess
from ..integration.streets import encoded, streets
from .rounds import table

_FRAMES = 24
_CALLS = 48
_CONCURRENCIES = (1, 8)
_OBJECTS = 5
_MODELS = REPOSITORY / "model-settings"
Samples = dict[tuple[str, int], list[dict[str, float]]]
"""Way and concurrency -> what the client says of each round."""
_ENGINES: dict[str, dict[str, str]] = {
    "": {},
    "openvino": {"engine": "openvino"},
    "openvino, bf16": {"engine": "openvino", "dtype": "bf16"},
}
"""What the models compute with in each server; by hand it is the first."""


async def run(folder: Path, rounds: int) -> None:
    """Prints frames per second of all ways, and the parts of a frame's time."""
    frames = streets(_FRAMES, _OBJECTS)
    pictures = folder / "frames"
    pictures.mkdir()
    for index, data in enumerate(encoded(frames)):
        (pictures / f"{index:03}.jpg").write_bytes(data)
    root = write_server(folder / "models")
    write_shipped_routers(root, ["video"], None)
    for model in ("object-detection", "resnet"):
        # No link: the server is awaited for the models that it really has.
        shutil.copytree(_MODELS / model, root / model)
    engines = dict(_ENGINES)
    if importlib.util.find_spec("openvino") is None:
        print("\nVideo with the engine openvino: left out; run: pip install 'infergraph[openvino]'")
        engines = {"": {}}
    with contextlib.ExitStack() as stack:
        servers = {
            engine: stack.enter_context(ServerProcess(root, _environment(settings)))
            for engine, settings in engines.items()
        }
        calls = {"by hand": (servers[""], "by-hand")} | {
            ", ".join(filter(None, ("pipeline", engine))): (server, "pipeline")
            for engine, server in servers.items()
        }
        runs = {
            (way, concurrency): f"{server.grpc_port}:{server.process.pid}:{call}:{concurrency}"
            for way, (server, call) in calls.items()
            for concurrency in _CONCURRENCIES
        }
        samples: Samples = {each: [] for each in runs}
        for number in range(rounds):
            in_turn = list(runs)[:: 1 if number % 2 else -1]
            made = await _measure(pictures, [runs[each] for each in in_turn])
            for each, sample in zip(in_turn, made, strict=True):
                samples[each].append(sample)
    for concurrency in _CONCURRENCIES:
        _report(list(calls), samples, concurrency)
    _print_parts(frames)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{environment_prefix(model)}{name.upper()}": value
        for model in ("object-detection", "resnet")
        for name, value in settings.items()
    }


def _report(ways: Sequence[str], samples: Samples, concurrency: int) -> None:
    def of(way: str, name: str) -> list[float]:
        return [sample[name] for sample in samples[way, concurrency]]

    def gain(way: str, name: str) -> float:
        by_hand = of(ways[0], name)
        return statistics.median(a / b for a, b in zip(of(way, name), by_hand, strict=True))

    print(
        table(
            f"Video: {_FRAMES} frames of {_OBJECTS} objects in turn, {concurrency} in flight, "
            "Triton's gRPC client",
            ["", "frames/s", "of by hand", "ms of a core", "by hand's over these"],
            [
                [
                    way,
                    f"{statistics.median(of(way, 'rate')):.1f}",
                    f"{gain(way, 'rate'):.2f}",
                    f"{statistics.median(of(way, 'processor_ms')):.1f}",
                    f"{1 / gain(way, 'processor_ms'):.2f}",
                ]
                for way in ways
            ],
        )
    )
    print("of by hand: wanted >= 2.5")


async def _measure(pictures: Path, runs: Sequence[str]) -> list[dict[str, float]]:
    command = ["-m", "tests.bench.video_client", str(pictures), str(_CALLS), *runs]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    samples: list[dict[str, float]] = json.loads(output)
    return samples


def _print_parts(frames: Sequence[Scene]) -> None:
    """Times the parts of a frame one by one, in this process, on one thread."""
    cpu = Placement(torch.device("cpu"), torch.float32, compile=False)
    detector = load_detector(
        str(_MODELS / "object-detection" / "embedded"), cpu, threshold=0.5, max_batch_size=16
    )
    classifier = load_classifier(str(_MODELS / "resnet" / "embedded"), cpu)
    parts: dict[str, list[float]] = {}

    def timed(part: str, function: Callable[[], Any]) -> Any:
        # By the thread's own clock, which stands still while others have the core.
        started = time.thread_time()
        result = function()
        parts.setdefault(part, []).append((time.thread_time() - started) * 1e3)
        return result

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for data in encoded(frames):
                _time_frame(timed, data, detector, classifier, cpu)
    finally:
        torch.set_num_threads(threads)
    medians = {part: statistics.median(times) for part, times in parts.items()}
    whole = sum(medians.values())
    print(
        table(
            "Parts of a frame, one thread",
            ["", "ms", "share"],
            [[part, f"{ms:.2f}", f"{ms / whole:.0%}"] for part, ms in medians.items()],
        )
    )
    preparing = sum(ms for part, ms in medians.items() if not part.startswith("network"))
    print(f"preprocessing: {preparing / whole:.0%} of {whole:.1f} ms")


def _time_frame(
    timed: Callable[[str, Callable[[], Any]], Any],
    data: bytes,
    detector: Any,
    classifier: Any,
    cpu: Placement,
) -> None:
    transform = classifier.transform
    with sharing_media():
        image = timed("decode JPEG", lambda: decode_image(data, max_pixels=MAX_IMAGE_PIXELS))
        timed("find it again", lambda: decode_image(data, max_pixels=MAX_IMAGE_PIXELS))
    frame = timed("scale to the detector", lambda: detector.prepare(image))
    (found,) = timed("network: detector", lambda: detector([frame]))
    pieces = timed(
        "crop and resize",
        lambda: [transform.resized(crop(image, np.asarray(box))) for box in found.boxes],
    )
    if pieces:
        pixels = timed("normalise", lambda: transform.normalized(pieces, cpu.device))
        timed("network: classifier", lambda: classifier.network(pixels))
