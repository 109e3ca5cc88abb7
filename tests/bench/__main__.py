"""`python -m tests.bench [--rounds N] [--only hops,tensors,...]`: measures, and prints tables."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from . import (
    batching,
    generation,
    gpu,
    hops,
    huggingface,
    liveness,
    load,
    recommendation,
    tensors,
    testers,
    trace,
    transfer,
    verdicts,
    video,
)

BENCHMARKS = {
    "hops": hops.run,
    "tensors": tensors.run,
    "trace": trace.run,
    "liveness": liveness.run,
    "batching": batching.run,
    "generation": generation.run,
    "gpu": gpu.run,
    "huggingface": huggingface.run,
    "load": load.run,
    "testers": testers.run,
    "transfer": transfer.run,
    "verdicts": verdicts.run,
    "video": video.run,
    "recommendation": recommendation.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds; medians are quoted")
    parser.add_argument(
        "--only", default=",".join(BENCHMARKS), help=f"of {','.join(BENCHMARKS)} (default: all)"
    )
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; accepted: {', '.join(BENCHMARKS)}")
    # Also into a file or a pipe: what is measured is not lost if the run is stopped.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="infergraph-bench-") as folder:
            asyncio.run(BENCHMARKS[name](Path(folder), arguments.rounds))


if __name__ == "__main__":
    main()
