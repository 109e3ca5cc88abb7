"""`Detector`: finds objects in images, whichever library the network is of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...devices import Placement
from ...errors import InvalidInput
from ...finite import check_finite
from ...tensors.image import Pixels, writable
from ..minibatches import equal_batches
from .on_device import WHOLE, kept_parts


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects found in an image, best first.

    Attributes:
        boxes: FP32 [N, 4], x1 y1 x2 y2 in pixels of the image, within it and not empty.
        scores: FP32 [N], from 0 to 1.
        classes: INT64 [N], the network's own numbers.
        quads: FP32 [N, 8], see `quads`, where the detector gives them; they may reach out of the
            image. Else FP32 [N, 0].
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    quads: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, kept: npt.NDArray[Any]) -> Detections:
        """Those that a mask or indices choose."""
        return Detections(self.boxes[kept], self.scores[kept], self.classes[kept], self.quads[kept])


@dataclass(frozen=True, slots=True)
class DetectorInput:
    """An image as a detector takes it.

    Attributes:
        inputs: What the network is given, by name, for the detector alone; or the image as it is,
            UINT8 [H, W, 3], where the device resizes it.
        shape: Images of equal shape share a network call.
        height: Pixels of the image itself.
        width: Pixels of the image itself.
    """

    inputs: Mapping[str, torch.Tensor] | Pixels
    shape: Hashable
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Those that the network looks at: of the last two dimensions of the shape."""
        shape: Any = self.shape
        return math.prod(shape[-2:])


class Detector(ABC):
    """A network with its preprocessing and postprocessing.

    Images share a network call only where they reach it in equal shape, so that what is found in
    one does not depend on the others.

    Attributes:
        labels: The name of each class.
        gives_quads: Whether it says how objects are turned.
        on_device: Whether images are resized on the device, rather than where they are prepared.
        max_batch_pixels: Most pixels of the images of a network call, at the size in which they
            reach it; None is no limit. A larger image is alone.
    """

    gives_quads: bool = False
    max_batch_pixels: int | None = None

    def __init__(
        self,
        labels: Mapping[int, str],
        placement: Placement,
        threshold: float,
        max_batch_size: int,
        *,
        on_device: bool = False,
    ) -> None:
        self.labels = labels
        self.on_device = on_device
        self._placement = placement
        self._threshold = threshold
        self._max_batch_size = max_batch_size

    def prepare(self, image: Pixels) -> DetectorInput:
        """An image for the network; it may be called in several threads at once.

        Args:
            image: UINT8 [H, W, 3].

        Raises:
            InvalidInput: the image is so narrow that scaled to the network's size nothing is left.
            Overloaded: too much of other images waits.
        """
        height, width = image.shape[:2]
        inputs: Mapping[str, torch.Tensor] | Pixels
        try:
            if self.on_device:
                shape = self._shape(height, width)
            else:
                inputs, shape = self._prepare(torch.from_numpy(writable(image)).permute(2, 0, 1))
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            raise InvalidInput(
                f"tensor 'image': an image of {width}x{height} pixels, of which nothing is left at "
                "the network's size; accepted: images that are not as narrow"
            ) from error
        if self.on_device:
            (inputs,) = kept_parts(image, [WHOLE], self._placement.device)
        return DetectorInput(inputs, shape, height, width)

    def __call__(self, images: Sequence[DetectorInput]) -> list[Detections]:
        """The objects of each image whose score is above the threshold, best first.

        Raises:
            StageFailure: a box or score of one of them is no number.
        """
        found: list[Detections | None] = [None] * len(images)
        for indices in equal_batches(
            [image.shape for image in images],
            self._max_batch_size,
            sizes=[image.pixels for image in images],
            most=self.max_batch_pixels,
        ):
            batch = [images[index] for index in indices]
            detected = self._detect(batch)
            for index, image, detections in zip(indices, batch, _on_host(detected), strict=True):
                found[index] = _tidy(detections, image)
        return [each for each in found if each is not None]

    def try_out(self) -> None:
        """Looks at noise of different shapes."""
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        self([self.prepare(noise)] * 2)
        self([self.prepare(noise.swapaxes(0, 1))])

    @abstractmethod
    def _shape(self, height: int, width: int) -> Hashable:
        """The shape in which an image of this size reaches the network."""

    @abstractmethod
    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        """UINT8 [3, H, W] as the network's inputs, and the shape in which they reach it.

        The pixels are a view of an image that may be much larger: what is kept of them is copied.
        """

    @abstractmethod
    def _detect(self, batch: Sequence[DetectorInput]) -> Sequence[tuple[torch.Tensor, ...]]:
        """Boxes, scores and classes above the threshold, for each image of a batch.

        And quads, FP32 [n, 8], from one that gives them.
        """


def _on_host(found: Sequence[tuple[torch.Tensor, ...]]) -> list[Detections]:
    """Boxes, scores, classes and quads of each image; all come from the device at once.

    Raises:
        StageFailure: one of them is no number.
    """
    rows = [torch.column_stack([each.float() for each in columns]) for columns in found]
    together = torch.cat(rows).cpu()
    check_finite(together)
    values = together.numpy()
    ends = np.cumsum([len(each) for each in rows])
    return [
        Detections(each[:, :4], each[:, 4], each[:, 5].astype(np.int64), each[:, 6:])
        for each in np.split(values, ends[:-1])
    ]


def _tidy(detections: Detections, image: DetectorInput) -> Detections:
    """Best first, and within the image: networks give boxes that reach out of it, or are empty."""
    limits = np.array([image.width, image.height] * 2, np.float32)
    boxes = np.clip(detections.boxes, 0, limits)
    order = np.argsort(-detections.scores, kind="stable")
    sound: npt.NDArray[np.bool_] = np.all(boxes[:, :2] < boxes[:, 2:], axis=1)
    kept = order[sound[order]]
    return replace(detections, boxes=boxes).of(kept)
