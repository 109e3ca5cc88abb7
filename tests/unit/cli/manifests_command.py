"""What tests of `infergraph manifests` share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from infergraph.cli import main

REPOSITORY = Path(__file__).parents[3]
SELDON = ["--target", "seldon-v2", "--storage-uri", "gs://bucket/models"]
SELDON_1 = ["--target", "seldon-v1", "--storage-uri", "pvc://models"]
KUBERNETES = ["--target", "kubernetes", "--storage-uri", "pvc://models"]


def line_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which `infergraph manifests` refuses something; nothing is printed."""
    assert main(["manifests", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line.removeprefix("infergraph manifests: ")


def write_pipeline(root: Path, name: str) -> Path:
    """A workspace with one pipeline of one model, so named."""
    models = root / "model-settings"
    for each in ("echo", name):
        (models / each).mkdir(parents=True)
    shutil.copy(REPOSITORY / "model-settings" / "echo" / "model-settings.json", models / "echo")
    (root / "pipeline.yaml").write_text(
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{steps: [{{name: echo, inputs: [{name}.inputs.a]}}], output: {{steps: [echo]}}}}\n"
    )
    settings = {
        "name": name,
        "implementation": "infergraph.router.PipelineRouter",
        "parameters": {"uri": "../../pipeline.yaml"},
    }
    (models / name / "model-settings.json").write_text(json.dumps(settings))
    (models / name / "request.json").write_text('{"inputs": []}')
    return models
