"""What a hop costs: a stock model against a chain of two in process, over gRPC and over REST."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..integration.server import ServerProcess
from . import repositories
from .drivers import GrpcDriver, RestDriver
from .rounds import Target, measure_in_turn, paired_ratio, table

_CALLS = 300
_CONCURRENCY = 16
_TOGETHER = 640
_LARGE = 16_384


async def run(folder: Path, rounds: int) -> None:
    """Prints p50, p99 and throughput of each path, and the ratios that are wanted."""
    repositories.write_stock(folder / "stock")
    stages = folder / "stages"
    repositories.write_server(stages)
    for name in ("first", "second"):
        repositories.write_echo(stages, name)
    repositories.write_chain(stages, "in-process", {})
    with ServerProcess(folder / "stock") as stock, ServerProcess(stages) as local:
        remote = folder / "remote"
        repositories.write_server(remote)
        for kind, endpoint in (
            ("grpc-hops", f"grpc://127.0.0.1:{local.grpc_port}"),
            ("rest-hops", f"http://127.0.0.1:{local.http_port}"),
        ):
            repositories.write_chain(remote, kind, {"endpoints": {"*": endpoint}})
        with ServerProcess(remote) as routers:
            paths = [
                ("stock single model", stock, "stock"),
                ("chain of two in process", local, "in-process"),
                ("chain of two, gRPC hops", routers, "grpc-hops"),
                ("chain of two, REST hops", routers, "rest-hops"),
            ]
            data = {"input": np.arange(16, dtype=np.float32)[None]}
            for front, driver in (("gRPC", GrpcDriver), ("REST", RestDriver)):
                targets = [
                    Target(
                        label,
                        driver(
                            server.grpc_port if front == "gRPC" else server.http_port, model, data
                        ),
                    )
                    for label, server, model in paths
                ]
                await measure_in_turn(
                    targets, rounds, _CALLS, concurrency=_CONCURRENCY, together=_TOGETHER
                )
                _report(front, targets)
                for target in targets:
                    await target.driver.close()
            await _measure_large(routers, rounds)


async def _measure_large(routers: ServerProcess, rounds: int) -> None:
    data = {"input": np.arange(_LARGE, dtype=np.float32)[None]}
    grpc_hops, rest_hops = targets = [
        Target(label, GrpcDriver(routers.grpc_port, model, data))
        for label, model in (("gRPC hops", "grpc-hops"), ("REST hops", "rest-hops"))
    ]
    await measure_in_turn(
        targets, rounds, _CALLS // 10, concurrency=_CONCURRENCY, together=_TOGETHER // 10
    )
    rows = [
        [each.label, f"{each.p50:.2f}", f"{each.p99:.2f}", f"{each.throughput:.0f}"]
        for each in targets
    ]
    title = f"Hops of larger tensors: gRPC front end, chain of two, FP32 [1, {_LARGE}]"
    print(table(title, ["path", "p50 ms", "p99 ms", f"req/s at {_CONCURRENCY}"], rows))
    print(
        "gRPC hops / REST hops, throughput: "
        f"{grpc_hops.throughput / rest_hops.throughput:.2f} (wanted >= 2.5)"
    )
    for target in targets:
        await target.driver.close()


def _report(front: str, targets: list[Target]) -> None:
    stock, in_process, grpc_hops, rest_hops = targets
    print(
        table(
            f"Hops: {front} front end, FP32 [1, 16]",
            ["path", "p50 ms", "p99 ms", f"req/s at {_CONCURRENCY}"],
            [
                [each.label, f"{each.p50:.2f}", f"{each.p99:.2f}", f"{each.throughput:.0f}"]
                for each in targets
            ],
        )
    )
    hop = (grpc_hops.p50 - in_process.p50) / 2
    print(f"in-process chain / stock, p50: {paired_ratio(in_process, stock):.2f} (wanted <= 1.1)")
    print(f"a gRPC hop adds {hop:.2f} ms (wanted <= 1)")
    print(
        "gRPC hops / REST hops, throughput: "
        f"{grpc_hops.throughput / rest_hops.throughput:.2f} (wanted >= 2.5)"
    )
