"""What a trace costs: the in-process chain with it and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..integration.server import ServerProcess
from . import repositories
from .drivers import GrpcDriver
from .rounds import Target, measure_in_turn, paired_ratio, table

_CALLS = 400


async def run(folder: Path, rounds: int) -> None:
    """Prints the p50 of both over gRPC, and what the trace adds."""
    repositories.write_server(folder)
    for name in ("first", "second"):
        repositories.write_echo(folder, name)
    repositories.write_chain(folder, "in-process", {})
    data = {"input": np.arange(16, dtype=np.float32)[None]}
    with ServerProcess(folder) as server:
        targets = [
            Target("trace off", GrpcDriver(server.grpc_port, "in-process", data)),
            Target("trace on", GrpcDriver(server.grpc_port, "in-process", data, trace=True)),
        ]
        # The difference is small beside the noise of one round, so there are more of them.
        await measure_in_turn(targets, rounds * 3, _CALLS)
        for target in targets:
            await target.driver.close()
    print(
        table(
            "Trace: chain of two in process, gRPC front end",
            ["", "p50 ms", "p99 ms"],
            [[each.label, f"{each.p50:.3f}", f"{each.p99:.3f}"] for each in targets],
        )
    )
    added = (paired_ratio(targets[1], targets[0]) - 1) * 100
    print(f"trace adds {added:.1f}% of p50 (wanted <= 3%)")
