"""A small workspace for the command: two models and the pipelines over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1, 1]}
ROUTER = "infergraph.router.PipelineRouter"

CHAIN = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: chain
spec:
  steps:
  - name: hear
    inputs: [chain.inputs.text]
  - name: reply
    inputs: [hear.outputs.text]
  output:
    steps: [reply.outputs.text, hear.outputs.text]
    tensorMap:
      hear.outputs.text: heard
"""

OUTER = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: outer
spec:
  steps:
  - name: chain
    inputs: [outer.inputs.text]
  - name: hear
    inputs: [chain.outputs.text]
  output:
    steps: [hear]
"""


def write_workspace(root: Path) -> Path:
    """Writes `model-settings` and `pipelines` below `root`; returns the model folder."""
    models = root / "model-settings"
    write_model(models, "hear", "infergraph.tasks.echo.Echo")
    write_model(models, "reply", "infergraph.tasks.echo.Echo", service_time_ms=1)
    write_model(
        models, "chain", ROUTER, uri="../../pipelines/chain.yaml",
        outputs=[TEXT, {**TEXT, "name": "heard"}],
    )  # fmt: skip
    write_model(models, "outer", ROUTER, uri="../../pipelines/outer.yaml")
    sample = {"inputs": [{**TEXT, "shape": [1, 1], "data": ["hello"]}]}
    (models / "chain" / "request.json").write_text(json.dumps(sample))
    (root / "pipelines").mkdir()
    (root / "pipelines" / "chain.yaml").write_text(CHAIN)
    (root / "pipelines" / "outer.yaml").write_text(OUTER)
    return models


def write_model(
    models: Path,
    name: str,
    implementation: str,
    uri: str | None = None,
    outputs: list[dict[str, Any]] | None = None,
    **extra: Any,
) -> None:
    folder = models / name
    folder.mkdir(parents=True)
    settings = {
        "name": name,
        "implementation": implementation,
        "inputs": [TEXT],
        "outputs": outputs or [TEXT],
        "parameters": {**({"uri": uri} if uri else {}), "extra": extra},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
