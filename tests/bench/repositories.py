"""Model repositories that the benchmarks serve, written to a temporary folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SERVER = {
    "parallel_workers": 0,
    "gzip_enabled": False,
    "debug": False,
    "host": "127.0.0.1",
    "grpc_max_message_length": 67108864,
    "model_repository_implementation": "infergraph.front_door.ModelRepository",
}
STOCK = {"model_repository_implementation": "mlserver.repository.SchemalessModelRepository"}
"""Of plain MLServer, whatever the environment says."""

CHAIN = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: {name}
spec:
  steps:
  - name: first
    inputs: [{name}.inputs.input]
  - name: second
    inputs: [first.outputs.output]
    tensorMap:
      first.outputs.output: input
  output:
    steps: [second.outputs.output]
"""


def tensor(name: str, shape: Sequence[int] = (-1, -1)) -> dict[str, Any]:
    """A declared FP32 tensor; unless told, of any size per item."""
    return {"name": name, "datatype": "FP32", "shape": list(shape)}


def write_server(root: Path, **settings: Any) -> None:
    """The server's settings.json, with changes."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "settings.json").write_text(json.dumps({**SERVER, **settings}))


def write_model(root: Path, name: str, settings: dict[str, Any]) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "model-settings.json").write_text(json.dumps({"name": name, **settings}))


def write_stock(root: Path) -> None:
    """One MLModel of plain MLServer that hands its inputs back; Infergraph is not imported."""
    write_server(root, **STOCK)
    write_model(root, "stock", {"implementation": "tests.bench.stock.StockEcho"})


def write_echo(root: Path, name: str, shape: Sequence[int] = (-1, -1)) -> None:
    write_model(
        root,
        name,
        {
            "implementation": "infergraph.tasks.echo.Echo",
            "inputs": [tensor("input", shape)],
            "outputs": [tensor("output", shape)],
            "parameters": {"extra": {"outputs": {"output": {"input": "input"}}}},
        },
    )


def write_chain(root: Path, name: str, extra: dict[str, Any]) -> None:
    """A pipeline of two echoes, `first` and `second`."""
    file = root / f"{name}.yaml"
    file.write_text(CHAIN.format(name=name))
    write_model(
        root,
        name,
        {
            "implementation": "infergraph.router.PipelineRouter",
            "inputs": [tensor("input")],
            "outputs": [tensor("output")],
            "parameters": {"uri": str(file), "extra": extra},
        },
    )
