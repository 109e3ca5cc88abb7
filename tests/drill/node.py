"""`Node`: where containers run, with what was applied there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .image import Image
from .network import Network
from .rendered import Rendered, render

NAMESPACE = "drill"
"""That of all pods."""
ON_KUBERNETES = ("--storage-uri", "pvc://models", "--namespace", NAMESPACE)
"""Options of what runs as pods."""


@dataclass(frozen=True)
class Node:
    """Where containers run.

    Attributes:
        images: By name.
        network: Their addresses and names.
        rendered: What was applied, and the models that were uploaded.
        scratch: An empty folder, for what containers write.
    """

    images: Mapping[str, Image]
    network: Network
    rendered: Rendered
    scratch: Path

    def image(self, reference: str) -> Image:
        """The image that a manifest names."""
        name = reference.rpartition("/")[2]
        for role in ("models", "router"):
            if name.startswith(f"infergraph-{role}:"):
                return self.images[role]
        assert name.endswith("-huggingface"), f"no image {reference}"
        return self.images["huggingface"]


@contextmanager
def applied(
    images: Mapping[str, Image], root: Path, target: str, pipelines: Sequence[str], *options: str
) -> Iterator[Node]:
    """A node to which pipelines were applied; `options` are those of `infergraph manifests`."""
    rendered = render(target, pipelines, root, *options)
    network = Network(root / "names")
    try:
        yield Node(images, network, rendered, root / "scratch")
    finally:
        network.close()
