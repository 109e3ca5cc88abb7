"""What there is to evaluate, as `infergraph list --json` says it.

The command is run, and nothing of it imported: the tester works without the servers' packages.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import LoadError

_SECONDS = 120.0
REQUEST = "request.json"


@dataclass(frozen=True)
class Servable:
    """A model or pipeline.

    Attributes:
        name: Its name.
        request: Its sample request; None if it has none.
        steps: Names of the models of a pipeline, in the order of its file, each once; empty for a
            model.
        is_pipeline: Whether it is one.
    """

    name: str
    request: Path | None
    steps: tuple[str, ...]
    is_pipeline: bool


def infergraph_command() -> str:
    """The path of `infergraph`: that beside this Python, else on the PATH. LoadError if none is."""
    name = "infergraph"
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise LoadError(
            "there is no command infergraph, which serves what is evaluated; accepted: an "
            "environment with the package infergraph (make env)"
        )
    return found


def read_servables(models_dir: Path | None) -> dict[str, Servable]:
    """All models and pipelines of a model folder, by name.

    Raises:
        LoadError: the command fails, or what it says cannot be read.
    """
    arguments = [infergraph_command(), "list", "--json"]
    if models_dir is not None:
        arguments += ["--models-dir", str(models_dir)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"infergraph list: {error}") from None
    if done.returncode:
        raise LoadError(last_line(done.stderr) or f"infergraph list ended with {done.returncode}")
    try:
        listed = json.loads(done.stdout)
        return {each["name"]: _servable(each) for each in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"what infergraph list --json says cannot be read: {error}") from None


def find_pipeline(servables: dict[str, Servable], name: str) -> Servable:
    """The pipeline, or model, of a name; LoadError, with the accepted names, if there is none."""
    if name in servables:
        return servables[name]
    pipelines = [each.name for each in servables.values() if each.is_pipeline]
    raise LoadError(f"there is no pipeline '{name}'; accepted: {', '.join(pipelines)}")


def models_of(servables: dict[str, Servable], pipeline: Servable) -> list[Servable]:
    """The models of a pipeline, those of pipelines among its steps too, each once."""
    found: dict[str, Servable] = {}
    for name in pipeline.steps:
        step = servables.get(name)
        if step is None:
            # A model of another server.
            continue
        for each in models_of(servables, step) if step.is_pipeline else [step]:
            found.setdefault(each.name, each)
    return list(found.values())


def last_line(text: str) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _servable(listed: dict[str, Any]) -> Servable:
    request = Path(listed["folder"]) / REQUEST
    pipeline = listed["pipeline"]
    steps: tuple[str, ...] = ()
    if pipeline is not None:
        document = yaml.safe_load(Path(pipeline).read_text(encoding="utf-8"))
        steps = tuple(dict.fromkeys(step["name"] for step in document["spec"]["steps"]))
    return Servable(
        listed["name"],
        request if request.exists() else None,
        steps,
        pipeline is not None,
    )
