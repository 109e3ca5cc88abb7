"""A detector whose answers a test knows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch

from infergraph.devices import Placement
from infergraph.tasks.vision.detections import Detector, DetectorInput

Found = tuple[int, float, tuple[float, float, float, float]]
"""Class, score, box."""


class KnownDetector(Detector):
    """Finds in each image what is listed for an image of its size; the others of a call are noted.

    Attributes:
        calls: The sizes (height, width) of the images of each network call.
    """

    def __init__(
        self,
        labels: Sequence[str],
        found: Mapping[tuple[int, int], Sequence[Found]],
        max_batch_size: int = 8,
    ) -> None:
        cpu = Placement(torch.device("cpu"), torch.float32, False)
        super().__init__(dict(enumerate(labels)), cpu, 0.5, max_batch_size)
        self.found = found
        self.calls: list[list[tuple[int, int]]] = []

    def _shape(self, height: int, width: int) -> Hashable:
        return (3, height, width)

    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        return {"pixels": pixels}, tuple(pixels.shape)

    def _detect(
        self, batch: Sequence[DetectorInput]
    ) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        sizes = [(image.height, image.width) for image in batch]
        self.calls.append(sizes)
        return [_tensors(self.found.get(size, [])) for size in sizes]


def _tensors(found: Sequence[Found]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.tensor([box for _, _, box in found], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for _, score, _ in found], dtype=torch.float32),
        torch.tensor([number for number, _, _ in found], dtype=torch.int64),
    )
