"""Big tensors: FP32 over gRPC, echoed by stock MLServer and by Infergraph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..integration.server import ServerProcess
from . import repositories
from .bare_grpc import BareDriver, bare_server
from .drivers import GrpcDriver
from .rounds import Target, measure_in_turn, paired_ratio, table

_SIZES = ((150_528, 40, 2.5), (1_228_800, 5, 20.0))
"""Values per tensor, calls per round, and how many times faster it is wanted."""


async def run(folder: Path, rounds: int) -> None:
    """Prints the p50 of both and their ratio, at 602 KB (1x3x224x224) and 4.9 MB.

    Beside them, what grpc.aio takes for as many bytes without any server of models around it.
    """
    repositories.write_stock(folder / "stock")
    ours = folder / "ours"
    repositories.write_server(ours)
    repositories.write_echo(ours, "first")
    rows = []
    with (
        ServerProcess(folder / "stock") as stock,
        ServerProcess(ours) as local,
        bare_server() as port,
    ):
        for values, calls, wanted in _SIZES:
            data = {"input": np.random.default_rng(0).random((1, values), np.float32)}
            targets = [
                Target("stock", GrpcDriver(stock.grpc_port, "stock", data)),
                Target("infergraph", GrpcDriver(local.grpc_port, "first", data)),
                Target("bare", BareDriver(port, data["input"].tobytes())),
            ]
            await measure_in_turn(targets, rounds, calls)
            for target in targets:
                await target.driver.close()
            ratio = paired_ratio(targets[0], targets[1])
            rows.append(
                [
                    f"{values * 4 / 1000:.0f} KB",
                    f"{targets[0].p50:.1f}",
                    f"{targets[1].p50:.1f}",
                    f"{targets[2].p50:.1f}",
                    f"{ratio:.1f}x",
                    f">= {wanted}x",
                ]
            )
    print(
        table(
            "Echo of an FP32 tensor over gRPC, p50",
            ["size", "stock ms", "infergraph ms", "bare grpc.aio ms", "faster", "wanted"],
            rows,
        )
    )
