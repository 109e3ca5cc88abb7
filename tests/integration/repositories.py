"""Model repositories that tests write and real servers serve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .server import REPOSITORY

ECHO = "infergraph.tasks.echo.Echo"
ROUTER = "infergraph.router.PipelineRouter"
_MODELS = "tests.integration.models"

Declared = Mapping[str, tuple[str, list[int]]]
"""Tensor name -> datatype and shape."""

TEXT: Declared = {"text": ("BYTES", [-1, 1])}


def write_server(root: Path, **settings: Any) -> Path:
    """The server's settings.json, as the repository ships it, with changes; returns `root`."""
    root.mkdir(parents=True, exist_ok=True)
    defaults = {
        "debug": False, "host": "127.0.0.1", "parallel_workers": 0, "gzip_enabled": False,
        "grpc_max_message_length": 268435456,
        "model_repository_implementation": "infergraph.front_door.ModelRepository",
    }  # fmt: skip
    (root / "settings.json").write_text(json.dumps({**defaults, **settings}))
    return root


def write_model(
    root: Path,
    name: str,
    implementation: str,
    inputs: Declared,
    outputs: Declared,
    extra: Mapping[str, Any] | None = None,
    uri: Path | None = None,
) -> None:
    """The folder of one servable; `extra` and `uri` are its parameters."""
    folder = root / name
    folder.mkdir(parents=True)
    parameters: dict[str, Any] = {"extra": dict(extra or {})}
    if uri is not None:
        parameters["uri"] = str(uri)
    settings = {
        "name": name,
        "implementation": implementation,
        "inputs": _declared(inputs),
        "outputs": _declared(outputs),
        "parameters": parameters,
    }
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=2))


def write_echo(
    root: Path, name: str, inputs: Declared, outputs: Declared, extra: Mapping[str, Any]
) -> None:
    write_model(root, name, ECHO, inputs, outputs, extra)


def write_test_model(
    root: Path,
    name: str,
    kind: str,
    inputs: Declared,
    outputs: Declared,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """A model of `tests/integration/models.py`."""
    write_model(root, name, f"{_MODELS}.{kind}", inputs, outputs, extra)


def write_gated(root: Path, name: str, files: Path, **extra: Any) -> None:
    """A `Gated` model whose gate and ledger are in the folder `files`; see `Gate`."""
    gate = Gate(files, name)
    held = {"ledger": str(gate.ledger), "gate": str(gate.file)}
    write_test_model(root, name, "Gated", TEXT, TEXT, {**held, **extra})


def write_pipeline(
    root: Path,
    name: str,
    file: Path,
    inputs: Declared,
    outputs: Declared,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """The router of a pipeline file, which several repositories may share."""
    write_model(root, name, ROUTER, inputs, outputs, extra, uri=file)


def write_shipped_routers(root: Path, names: Sequence[str], endpoint: str | None) -> Path:
    """The repository's own pipelines; returns `root`.

    Every step is at the endpoint; without one, the models are to be served from `root` as well.
    """
    root.mkdir(parents=True, exist_ok=True)
    shipped = REPOSITORY / "model-settings"
    (root / "settings.json").write_text((shipped / "settings.json").read_text())
    for name in names:
        settings = json.loads((shipped / name / "model-settings.json").read_text())
        settings["parameters"]["uri"] = str(REPOSITORY / "pipelines" / f"{name}.yaml")
        if endpoint is not None:
            settings["parameters"].setdefault("extra", {})["endpoints"] = {"*": endpoint}
        (root / name).mkdir()
        (root / name / "model-settings.json").write_text(json.dumps(settings))
    return root


def pipeline_text(name: str, body: str, annotations: Sequence[str] = ()) -> str:
    """A Pipeline resource; `body` is what stands below `spec:`, from the first column on."""
    head = [
        "apiVersion: mlops.seldon.io/v1alpha1",
        "kind: Pipeline",
        "metadata:",
        f"  name: {name}",
    ]
    if annotations:
        head += ["  annotations:", *(f"    {each}" for each in annotations)]
    lines = [f"  {line}" if line else "" for line in body.strip("\n").splitlines()]
    return "\n".join([*head, "spec:", *lines, ""])


class Gate:
    """A test's hold on a `Gated` model: what it did, and when it may go on."""

    def __init__(self, files: Path, model: str) -> None:
        self.file = files / f"{model}.open"
        self.ledger = files / f"{model}.ledger"

    def close(self) -> None:
        """Holds the model, and forgets what it did so far."""
        self.file.unlink(missing_ok=True)
        self.ledger.write_text("")

    def open(self) -> None:
        """Lets batches pass."""
        self.file.touch()

    def noted(self, event: str) -> list[str]:
        """The subjects of an event (arrived, ran, cancelled), in order."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == event]


def _declared(tensors: Declared) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, (datatype, shape) in tensors.items()
    ]
