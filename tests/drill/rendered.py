"""What `infergraph manifests` wrote: its objects, and its models in storage to read only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infergraph.cli import main

from .image import ROOT

PIPELINES = sorted(file.stem for file in (ROOT / "pipelines").glob("*.yaml"))
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Object = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """A folder that was rendered.

    Attributes:
        folder: It.
        storage: Its models, where they were uploaded to.
    """

    folder: Path
    storage: Path

    def objects(self, kind: str | None = None) -> list[Object]:
        """Its objects in the order in which they are applied; those of one kind."""
        return [each for each in self._all() if kind is None or each["kind"] == kind]

    def _all(self) -> Iterator[Object]:
        for file in sorted(self.folder.glob("*.yaml")):
            yield from yaml.load_all(file.read_text(), Loader=_LOADER)

    def written(self) -> list[Path]:
        """What is in the storage and was not uploaded."""
        uploaded = {each.relative_to(self.folder / "models") for each in self._files("models")}
        found = (each for each in self.storage.rglob("*") if each.is_file())
        return [each for each in found if each.relative_to(self.storage) not in uploaded]

    def _files(self, name: str) -> Iterator[Path]:
        return (each for each in (self.folder / name).rglob("*") if each.is_file())


def render(target: str, pipelines: Sequence[str], folder: Path, *options: str) -> Rendered:
    """Renders pipelines into a new folder below `folder`, and uploads the models beside it."""
    output = folder / "rendered"
    arguments = ["manifests", *pipelines, "--target", target, "--output", str(output), *options]
    assert main([*arguments, "--models-dir", str(ROOT / "model-settings")]) == 0
    storage = folder / "storage"
    shutil.copytree(output / "models", storage, copy_function=os.link)
    for each in (*storage.rglob("*"), storage):
        each.chmod(0o555 if each.is_dir() else 0o444)
    return Rendered(output, storage)
