"""What the pipeline `video` gains over its two models called by hand, and where its time goes."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infergraph.devices import Placement
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.classifiers import load_classifier
from infergraph.tasks.vision.detectors import load_detector
from infergraph.tensors.image import MAX_IMAGE_PIXELS, decode_image
from infergraph.tensors.shared_media import sharing_media
from zoo.scenes import Scene, scene

from ..integration.repositories import write_server, write_shipped_routers
from ..integration.server import REPOSITORY, ServerProcess
from ..integration.streets import encoded
from .rounds import table

_FRAMES = 24
_CALLS = 96
_CONCURRENCIES = (1, 8)
_WAYS = ("by-hand", "pipeline")
_OBJECTS = 5
_MODELS = REPOSITORY / "model-settings"


async def run(folder: Path, rounds: int) -> None:
    """Prints frames per second of both ways, and the parts of a frame's time."""
    frames = _frames()
    pictures = folder / "frames"
    pictures.mkdir()
    for index, data in enumerate(encoded(frames)):
        (pictures / f"{index:03}.jpg").write_bytes(data)
    root = write_server(folder / "models")
    write_shipped_routers(root, ["video"], None)
    for model in ("object-detection", "resnet"):
        (root / model).symlink_to(_MODELS / model)
    rates: dict[tuple[str, int], list[float]] = {}
    with ServerProcess(root) as server:
        for number in range(rounds):
            for concurrency in _CONCURRENCIES:
                for way in _WAYS if number % 2 else _WAYS[::-1]:
                    sample = await _measure(server.grpc_port, pictures, way, concurrency)
                    rates.setdefault((way, concurrency), []).append(
                        sample["frames"] / sample["seconds"]
                    )
    print(
        table(
            f"Video: {_FRAMES} frames of {_OBJECTS} objects in turn, Triton's gRPC client",
            ["", *(f"frames/s at {each}" for each in _CONCURRENCIES)],
            [
                [way, *(f"{statistics.median(rates[way, each]):.1f}" for each in _CONCURRENCIES)]
                for way in _WAYS
            ],
        )
    )
    for concurrency in _CONCURRENCIES:
        ratio = statistics.median(
            b / a
            for a, b in zip(
                rates["by-hand", concurrency], rates["pipeline", concurrency], strict=True
            )
        )
        print(f"pipeline / by hand at concurrency {concurrency}: {ratio:.2f} (wanted >= 2.5)")
    _print_parts(frames)


def _frames() -> list[Scene]:
    made = (scene(seed, "held-out") for seed in range(10_000))
    return [each for each in made if len(each.objects) == _OBJECTS][:_FRAMES]


async def _measure(port: int, pictures: Path, way: str, concurrency: int) -> dict[str, Any]:
    command = ["-m", "tests.bench.video_client", str(port), str(pictures), way]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        str(concurrency),
        str(_CALLS),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    sample: dict[str, Any] = json.loads(output)
    return sample


def _print_parts(frames: list[Scene]) -> None:
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
            for data in encoded(frames) * 3:
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
