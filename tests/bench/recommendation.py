"""What cutting DLRM into four servables costs: fused and in parts, in process and over hops."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from zoo.clicks import held_out

from ..integration.repositories import write_shipped_routers
from ..integration.server import REPOSITORY, ServerProcess
from .drivers import GrpcDriver
from .rounds import Target, answering, measure_in_turn, paired_ratio, table

# Rows -> calls of a round: with all three sizes, about a minute of calls on two idle cores.
_CALLS = {1: 30, 128: 20, 2048: 5}
_FUSED, _GRAPH = "recommendation", "recommendation-graph"
_MODELS = ("dlrm", "bottom-mlp", "embedding-bags", "interaction", "top-mlp")

Way = tuple[str, ServerProcess, str]
"""Its row in the table, the server, and the pipeline there."""


async def run(folder: Path, rounds: int) -> None:
    """Prints p50 of each way and batch, and its ratio to the fused network in process."""
    drawn = held_out(max(_CALLS))
    with _servers(folder) as ways:
        for batch, calls in _CALLS.items():
            data = {"dense": drawn.dense[:batch], "indices": drawn.indices[:batch]}
            targets = [
                Target(label, GrpcDriver(server.grpc_port, pipeline, data))
                for label, server, pipeline in ways
            ]
            spoken = await answering("gRPC", targets)
            await measure_in_turn(spoken, rounds, calls)
            rows = [
                [
                    each.label,
                    *(f"{value:.2f}" for value in (each.p50, paired_ratio(each, spoken[0]))),
                ]
                for each in spoken
            ]
            title = f"Recommendation: gRPC front end, {batch} rows"
            print(table(title, ["path", "p50 ms", f"p50 / {spoken[0].label}"], rows))
            for target in targets:
                await target.driver.close()


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[list[Way]]:
    """A server of the models and both pipelines, and two whose steps are hops to it."""
    stages = write_shipped_routers(folder / "stages", (_FUSED, _GRAPH), None)
    for name in _MODELS:
        shutil.copytree(REPOSITORY / "model-settings" / name, stages / name)
    with contextlib.ExitStack() as stack:
        local = stack.enter_context(ServerProcess(stages))
        ways = [("fused, in process", local, _FUSED), ("parts, in process", local, _GRAPH)]
        for kind, endpoint in (("gRPC", local.grpc_url), ("REST", local.url)):
            root = write_shipped_routers(folder / kind, (_FUSED, _GRAPH), endpoint)
            server = stack.enter_context(ServerProcess(root))
            ways += [
                (f"fused, {kind} hop", server, _FUSED),
                (f"parts, {kind} hops", server, _GRAPH),
            ]
        yield ways
