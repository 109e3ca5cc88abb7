"""Big tensors: FP32, echoed by stock MLServer, by Infergraph and by Triton, over all wires."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..integration.server import ServerProcess
from . import repositories, triton
from .bare_grpc import BareDriver, bare_server
from .drivers import GrpcDriver, RestDriver
from .rounds import Target, answering, measure_in_turn, paired_ratio, table

_IMAGE, _BATCH = 150_528, 1_228_800
"""Values of an image, 1x3x224x224 (602 KB), and of a batch of 8 such images (4.9 MB)."""
_CASES = (
    ("gRPC", (1, _IMAGE), 40),
    ("gRPC", (_IMAGE,), 5),
    ("gRPC", (1, _BATCH), 5),
    ("binary REST", (1, _IMAGE), 40),
    ("binary REST", (_IMAGE,), 5),
    ("binary REST", (1, _BATCH), 5),
    ("REST", (1, _IMAGE), 3),
)
"""The wire, the tensor's shape, and calls per round."""
_STOCK, _OURS, _TRITON, _BARE = "stock", "infergraph", "Triton", "bare grpc.aio"
_RATIOS = ((_STOCK, _OURS), (_OURS, _TRITON), (_OURS, _BARE))
_WANTED = "over gRPC at most 1.5 times bare grpc.aio, over binary REST at most 1.3 times Triton"

Servers = Mapping[str, ServerProcess]


async def run(folder: Path, rounds: int) -> None:
    """Prints the p50 of each wire and shape, and the ratios of the servers.

    Beside them, what grpc.aio takes for as many bytes without any server of models around it.
    Triton is left out, with a line that says so, where its environment is not installed.
    """
    columns = [_STOCK, _OURS, _TRITON, _BARE]
    rows = []
    with _servers(folder) as servers, bare_server() as bare:
        for wire, shape, calls in _CASES:
            data = np.random.default_rng(0).random(shape, np.float32)
            targets = [
                Target(label, _driver(wire, server, label, data))
                for label, server in servers.items()
            ]
            if wire == "gRPC":
                targets.append(Target(_BARE, BareDriver(bare, data.tobytes())))
            spoken = {target.label: target for target in await answering(wire, targets)}
            await measure_in_turn([*spoken.values()], rounds, calls)
            for target in targets:
                await target.driver.close()
            rows.append(
                [
                    f"{wire}, {list(shape)}",
                    f"{data.nbytes / 1000:.0f} KB",
                    *(f"{spoken[name].p50:.1f}" if name in spoken else "-" for name in columns),
                    *(_ratio(spoken, *pair) for pair in _RATIOS),
                ]
            )
    header = ["wire, shape", "size", *(f"{name} ms" for name in columns)]
    header += [f"{a} / {b}" for a, b in _RATIOS]
    print(table("Echo of an FP32 tensor, p50", header, rows))
    print(f"wanted of infergraph: {_WANTED}")


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    repositories.write_stock(folder / "stock")
    ours = folder / "ours"
    repositories.write_server(ours)
    repositories.write_echo(ours, "first")
    repositories.write_echo(ours, "flat", [-1])
    with contextlib.ExitStack() as stack:
        servers = {
            _STOCK: stack.enter_context(ServerProcess(folder / "stock")),
            _OURS: stack.enter_context(ServerProcess(ours)),
        }
        if triton.MISSING is None:
            server = triton.TritonServer(folder / "triton")
            servers[_TRITON] = stack.enter_context(server)
        else:
            print(f"\nTriton: left out; {triton.MISSING}")
        yield servers


def _driver(wire: str, server: ServerProcess, label: str, data: Any) -> GrpcDriver | RestDriver:
    model = "stock" if label == _STOCK else "first" if data.ndim == 2 else "flat"
    if wire == "gRPC":
        return GrpcDriver(server.grpc_port, model, {"input": data})
    return RestDriver(server.http_port, model, {"input": data}, binary=wire == "binary REST")


def _ratio(spoken: Mapping[str, Target], numerator: str, denominator: str) -> str:
    if numerator not in spoken or denominator not in spoken:
        return "-"
    return f"{paired_ratio(spoken[numerator], spoken[denominator]):.2f}"
