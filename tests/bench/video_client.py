"""Frames through `video`, or through its two models called one by one, with Triton's client.

python -m tests.bench.video_client FOLDER FRAMES PORT:PID:pipeline|by-hand:CONCURRENCY ...

A process of its own, because Triton's gRPC client and MLServer cannot be in one. Makes the runs one
after the other, and prints one line of JSON, of each: the frames per second; what a frame took of
the processor in client and server (PID is the latter's), in ms; the objects that were classified.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import tritonclient.grpc.aio as triton
from PIL import Image


def image_input(data: bytes) -> triton.InferInput:
    tensor = triton.InferInput("image", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[data]], dtype=object))
    return tensor


async def through_pipeline(client: triton.InferenceServerClient, frame: bytes) -> int:
    answer = await client.infer("video", [image_input(frame)])
    count = int(answer.as_numpy("num_detections")[0, 0])
    objects = answer.as_numpy("objects")[0]
    assert all(objects[:count])
    return count


async def by_hand(client: triton.InferenceServerClient, frame: bytes) -> int:
    """As a client would without pipelines: detect, crop, encode each crop, one call per crop."""
    found = await client.infer("object-detection", [image_input(frame)])
    count = int(found.as_numpy("num_detections")[0, 0])
    image = Image.open(io.BytesIO(frame)).convert("RGB")
    crops = []
    for x1, y1, x2, y2 in found.as_numpy("boxes")[0, :count].tolist():
        file = io.BytesIO()
        box = (int(x1), int(y1), max(int(x2 + 1), int(x1) + 1), max(int(y2 + 1), int(y1) + 1))
        image.crop(box).save(file, "JPEG", quality=90)
        crops.append(file.getvalue())
    answers = await asyncio.gather(*(client.infer("resnet", [image_input(crop)]) for crop in crops))
    assert all(answer.as_numpy("label")[0, 0] for answer in answers)
    return count


WAYS: dict[str, Callable[[triton.InferenceServerClient, bytes], Awaitable[int]]] = {
    "pipeline": through_pipeline,
    "by-hand": by_hand,
}


async def run(
    port: int, server: int, frames: Sequence[bytes], way: str, concurrency: int, total: int
) -> dict[str, float]:
    call = WAYS[way]
    turn = itertools.islice(itertools.cycle(frames), total)
    objects = 0

    async def caller(client: triton.InferenceServerClient) -> None:
        nonlocal objects
        for frame in turn:
            objects += await call(client, frame)

    async with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        for frame in frames[:4]:
            await call(client, frame)
        started, taken = time.perf_counter(), _processor_seconds(server)
        await asyncio.gather(*(caller(client) for _ in range(concurrency)))
        seconds, taken = time.perf_counter() - started, _processor_seconds(server) - taken
    return {"rate": total / seconds, "processor_ms": taken / total * 1e3, "objects": objects}


def _processor_seconds(server: int) -> float:
    """What this process and the server have taken of the processor."""
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    _, folder, total, *runs = sys.argv
    pictures = [file.read_bytes() for file in sorted(Path(folder).glob("*.jpg"))]
    made = []
    for each in runs:
        port, pid, way, concurrency = each.split(":")
        made.append(
            asyncio.run(run(int(port), int(pid), pictures, way, int(concurrency), int(total)))
        )
    print(json.dumps(made))
