"""What a hop costs: single models and chains of two, in process and over hops, beside Triton's."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..integration.server import ServerProcess
from . import repositories, triton
from .drivers import GrpcDriver, RestDriver
from .rounds import Driver, Target, answering, measure_in_turn, paired_ratio, table

_CALLS = 300
_CONCURRENCY = 16
_TOGETHER = 640
_LARGE = 16_384
_FRONT_ENDS: dict[str, Callable[..., Driver]] = {
    "gRPC": GrpcDriver,
    "REST": RestDriver,
    "binary REST": partial(RestDriver, binary=True),
}
_STOCK, _SINGLE, _IN_PROCESS = "stock single", "single", "chain of two in process"
_GRPC_HOPS, _REST_HOPS = "chain of two, gRPC hops", "chain of two, REST hops"
_TRITON, _ENSEMBLE, _BLS = "Triton single", "Triton ensemble of two", "Triton BLS chain of two"
_WANTED = (
    ("single / stock single, p50", _SINGLE, _STOCK, "p50", "<= 0.8"),
    ("in-process chain / stock single, p50", _IN_PROCESS, _STOCK, "p50", "<= 1.1"),
    ("gRPC hops / Triton's BLS chain, throughput", _GRPC_HOPS, _BLS, "throughput", ">= 1.5"),
    ("REST hops / Triton's BLS chain, throughput", _REST_HOPS, _BLS, "throughput", ">= 1.5"),
)
"""What is said below a table: two rows of it, what of them, and the ratio that is wanted."""

Way = tuple[str, ServerProcess, str]
"""Its row in the table, the server, and the model or pipeline there."""


async def run(folder: Path, rounds: int) -> None:
    """Prints p50, p99 and throughput of each way, and the ratios that are wanted.

    Triton's rows are left out, with a line that says so, where its environment is not installed.
    """
    with _servers(folder) as (ways, routers):
        data = {"input": np.arange(16, dtype=np.float32)[None]}
        for front, driver in _FRONT_ENDS.items():
            targets = [
                Target(label, driver(_port(server, front), model, data))
                for label, server, model in ways
            ]
            spoken = await answering(front, targets)
            await measure_in_turn(
                spoken, rounds, _CALLS, concurrency=_CONCURRENCY, together=_TOGETHER
            )
            _report(front, spoken)
            for target in targets:
                await target.driver.close()
        await _measure_large(routers, rounds)


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[tuple[list[Way], ServerProcess]]:
    """All ways, and the server of the routers whose steps are hops."""
    repositories.write_stock(folder / "stock")
    stages, remote = folder / "stages", folder / "remote"
    repositories.write_server(stages)
    for name in ("first", "second"):
        repositories.write_echo(stages, name)
    repositories.write_chain(stages, "in-process", {})
    with contextlib.ExitStack() as stack:
        stock = stack.enter_context(ServerProcess(folder / "stock"))
        local = stack.enter_context(ServerProcess(stages))
        repositories.write_server(remote)
        for kind, endpoint in (("grpc-hops", local.grpc_url), ("rest-hops", local.url)):
            repositories.write_chain(remote, kind, {"endpoints": {"*": endpoint}})
        routers = stack.enter_context(ServerProcess(remote))
        ways: list[Way] = [
            (_STOCK, stock, "stock"),
            (_SINGLE, local, "first"),
            (_IN_PROCESS, local, "in-process"),
            (_GRPC_HOPS, routers, "grpc-hops"),
            (_REST_HOPS, routers, "rest-hops"),
        ]
        if triton.MISSING is None:
            server = stack.enter_context(triton.TritonServer(folder / "triton"))
            ways += [
                (_TRITON, server, triton.SINGLE),
                (_ENSEMBLE, server, triton.ENSEMBLE),
                (_BLS, server, triton.BLS),
            ]
        else:
            print(f"\nTriton: left out; {triton.MISSING}")
        yield ways, routers


def _port(server: ServerProcess, front: str) -> int:
    return server.grpc_port if front == "gRPC" else server.http_port


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
    print(f"gRPC hops / REST hops, throughput: {grpc_hops.throughput / rest_hops.throughput:.2f}")
    for target in targets:
        await target.driver.close()


def _report(front: str, targets: Sequence[Target]) -> None:
    by_label = {each.label: each for each in targets}
    yardsticks = [by_label[label] for label in (_STOCK, _TRITON) if label in by_label]
    print(
        table(
            f"Hops: {front} front end, FP32 [1, 16]",
            [
                *("path", "p50 ms", "p99 ms", f"req/s at {_CONCURRENCY}"),
                *(f"p50 / {each.label}" for each in yardsticks),
            ],
            [
                [
                    *(each.label, f"{each.p50:.2f}", f"{each.p99:.2f}", f"{each.throughput:.0f}"),
                    *(f"{paired_ratio(each, yardstick):.2f}" for yardstick in yardsticks),
                ]
                for each in targets
            ],
        )
    )
    for text, first, second, of, wanted in _WANTED:
        if first in by_label and second in by_label:
            ratio = (paired_ratio if of == "p50" else _throughput_ratio)(
                by_label[first], by_label[second]
            )
            print(f"{text}: {ratio:.2f} (wanted {wanted})")
    for kind, label in (("gRPC", _GRPC_HOPS), ("REST", _REST_HOPS)):
        if label in by_label:
            hop = (by_label[label].p50 - by_label[_IN_PROCESS].p50) / 2
            print(f"a {kind} hop adds {hop:.2f} ms (wanted <= 0.8)")


def _throughput_ratio(numerator: Target, denominator: Target) -> float:
    return statistics.median(
        a.throughput / b.throughput
        for a, b in zip(numerator.together, denominator.together, strict=True)
    )
