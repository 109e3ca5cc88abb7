"""What the micro-batcher gains: speech-to-text with 16 requests at once against one at a time."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path

from ..integration.server import REPOSITORY, ServerProcess
from .drivers import GrpcDriver, measure
from .rounds import table

_CONCURRENCY = 16
_CALLS = 96
SAMPLES = REPOSITORY / "tests" / "samples"


async def run(folder: Path, rounds: int) -> None:
    """Prints transcripts per second at concurrency 1 and 16, and their ratio."""
    del folder
    samples = json.loads((SAMPLES / "samples.json").read_text())
    audio = [
        (SAMPLES / sample["audio"]).read_bytes()
        for sample in samples
        if sample["audio"].endswith(".wav")
    ]
    with ServerProcess(REPOSITORY / "model-settings" / "speech-to-text") as server:
        drivers = [
            GrpcDriver(server.grpc_port, "speech-to-text", {"audio": each}) for each in audio
        ]
        turn = itertools.cycle(drivers)

        async def call() -> None:
            await next(turn)()

        await measure(call, _CONCURRENCY * 2, _CONCURRENCY)
        alone, together = [], []
        for _ in range(rounds):
            alone.append((await measure(call, _CALLS // 2, 1)).throughput)
            together.append((await measure(call, _CALLS, _CONCURRENCY)).throughput)
        for driver in drivers:
            await driver.close()
    ratio = statistics.median(b / a for a, b in zip(alone, together, strict=True))
    print(
        table(
            f"Micro-batching: speech-to-text, {len(audio)} questions in turn, gRPC",
            ["concurrency", "transcripts/s"],
            [
                ["1", f"{statistics.median(alone):.1f}"],
                [str(_CONCURRENCY), f"{statistics.median(together):.1f}"],
            ],
        )
    )
    print(f"16 at once / one at a time: {ratio:.2f} (wanted >= 2)")
