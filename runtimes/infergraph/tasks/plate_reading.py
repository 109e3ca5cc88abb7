"""Plate reading: inputs `image` and the boxes of vehicles in it, outputs `text` and `score`.

`image` is BYTES [-1, 1] (JPEG, PNG or WebP), `boxes` FP32 [-1, K, 4] (x1 y1 x2 y2, in pixels of the
image as shown) and `num_detections` INT64 [-1, 1], as an object detector gives them. `text` BYTES
[-1, K] and `score` FP32 [-1, K] (0 to 1) are for the same rows; "" and 0 where no plate is found,
and past `num_detections`. Where a model declares both as optional and neither comes, the whole
image is the only box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt

from ..errors import ConfigurationError, InvalidInput
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from ..tensors.image import MAX_IMAGE_PIXELS, decode_image
from .boxes import Boxes, crop, item_boxes
from .declared_outputs import check_declared
from .detections import Detector, DetectorInput, Pixels
from .detectors import load_detector
from .plate_reader import PlateReader


class PlateReadingOptions(RuntimeOptions):
    """Settings of plate reading. The variants are readers: TrOCR and others made alike.

    Attributes:
        locator: What finds the plate in a vehicle's box: a folder in the model's folder, or the id
            of any detector; None reads the whole box.
        locator_threshold: A plate's score is above it.
        locator_labels: Which of the locator's labels are plates; empty is all.
        margin: How much more than the plate is read, on each side, as a share of that side's
            length.
        max_new_tokens: Most tokens of a text.
        upper_case: Whether texts are answered in upper case.
        max_crops: Most pieces of images in one network call, of all images that run together.
        max_image_pixels: The largest image accepted, width times height.
    """

    locator: str | None = None
    locator_threshold: float = Field(default=0.5, ge=0, lt=1)
    locator_labels: list[str] = Field(default_factory=list)
    margin: float = Field(default=0.0, ge=0, le=1)
    max_new_tokens: PositiveInt = 16
    upper_case: bool = False
    max_crops: PositiveInt = 32
    max_image_pixels: PositiveInt = MAX_IMAGE_PIXELS


class PlateReading(Runtime):
    """Finds a plate in each vehicle's box, and reads it.

    All boxes of a batch are searched together, and then all plates read together.
    """

    settings_class = PlateReadingOptions
    options: PlateReadingOptions

    def setup(self) -> None:
        """Loads the locator and the reader.

        Raises:
            ConfigurationError: one of the checkpoints is of another kind, incomplete or missing,
                or a setting does not fit them.
        """
        options = self.options
        given = [TensorSpec("text", "BYTES", (-1, -1)), TensorSpec("score", "FP32", (-1, -1))]
        check_declared(given, self._output_specs)
        self.locator: Detector | None = None
        if options.locator is not None:
            self.locator = load_detector(
                self._locator_checkpoint(options.locator),
                self.placement,
                threshold=options.locator_threshold,
                max_batch_size=options.max_crops,
            )
            self.plates = _classes(self.locator, options.locator_labels)
        self.reader = PlateReader(
            self.checkpoint,
            self.placement,
            max_new_tokens=options.max_new_tokens,
            max_batch_size=options.max_crops,
        )

    def prepare(self, item: Item) -> Item:
        """Decodes the image, checks the boxes, and scales what is in them for the locator.

        Raises:
            InvalidInput: `image` is no image, damaged or too large; a box is not finite, empty or
                outside of it, or there are fewer than `num_detections`; or only one of the two
                tensors came.
        """
        image = decode_image(item["image"], max_pixels=self.options.max_image_pixels)
        boxes, rows = _boxes(item, *image.shape[:2])
        searched: list[DetectorInput | None] = []
        if self.locator is not None:
            searched = [_searchable(self.locator, crop(image, box)) for box in boxes]
        return {"image": image, "boxes": boxes, "rows": rows, "searched": searched}

    def length(self, item: Item) -> int:
        """The number of boxes."""
        return len(item["boxes"])

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        """`text` and `score` of each row of each image's boxes."""
        answers: list[Outputs] = [
            {"text": np.full(item["rows"], "", object), "score": np.zeros(item["rows"], np.float32)}
            for item in items
        ]
        places: list[tuple[int, int]] = []
        pictures: list[Pixels] = []
        for index, (item, regions) in enumerate(zip(items, self._regions(items), strict=True)):
            for row, region in enumerate(regions):
                if region is not None:
                    places.append((index, row))
                    pictures.append(crop(item["image"], region))
        for (index, row), reading in zip(places, self.reader(pictures), strict=True):
            if reading.text:
                text = reading.text.upper() if self.options.upper_case else reading.text
                answers[index]["text"][row] = text
                answers[index]["score"][row] = reading.score
        return answers

    def _regions(self, items: Sequence[Item]) -> list[list[Boxes | None]]:
        """For each box of each item, the part of the image to read; None where no plate is."""
        if self.locator is None:
            return [list(item["boxes"]) for item in items]
        found = iter(
            self.locator([each for item in items for each in item["searched"] if each is not None])
        )
        regions: list[list[Boxes | None]] = []
        for item in items:
            regions.append([])
            for box, searched in zip(item["boxes"], item["searched"], strict=True):
                region = None
                if searched is not None:
                    detections = next(found)
                    plates = detections.boxes[np.isin(detections.classes, self.plates)]
                    if len(plates):
                        region = _region(plates[0], box, item["image"], self.options.margin)
                regions[-1].append(region)
        return regions

    def _locator_checkpoint(self, locator: str) -> str:
        local = (self.folder / locator).resolve()
        if local.exists():
            return str(local)
        if locator.startswith((".", "/")):
            raise ConfigurationError(
                f"setting 'locator' = '{locator}': there is no such folder in the model's folder; "
                f"train it with `make checkpoint MODEL={self.name}`, or name a detector's id"
            )
        return locator


def _boxes(item: Item, height: int, width: int) -> tuple[Boxes, int]:
    """The boxes of an item, and how many rows its answer has."""
    came = [name for name in ("boxes", "num_detections") if name in item]
    if not came:
        return np.array([[0, 0, width, height]], np.float32), 1
    if len(came) == 1:
        raise InvalidInput(
            f"of the tensors 'boxes' and 'num_detections' only '{came[0]}' came; accepted: both, "
            "or neither"
        )
    return item_boxes(item, height, width), len(item["boxes"])


def _classes(locator: Detector, labels: Sequence[str]) -> list[int]:
    unknown = sorted(set(labels) - set(locator.labels.values()))
    if unknown:
        raise ConfigurationError(
            f"setting 'locator_labels': the locator has no label {', '.join(unknown)}; accepted: "
            f"{', '.join(dict.fromkeys(locator.labels.values()))}"
        )
    return [number for number, label in locator.labels.items() if not labels or label in labels]


def _searchable(locator: Detector, picture: Pixels) -> DetectorInput | None:
    """The locator's input; None of a box so narrow that no plate can be in it."""
    try:
        return locator.prepare(picture)
    except InvalidInput:
        return None


def _region(
    plate: npt.NDArray[np.float32], box: npt.NDArray[np.float32], image: Pixels, margin: float
) -> Boxes:
    """A plate found in a box, with the margin, as a box of the image."""
    left, top = math.floor(box[0]), math.floor(box[1])
    sides = plate + np.array([left, top, left, top], np.float32)
    width, height = sides[2:] - sides[:2]
    more = np.array([width, height], np.float32) * margin
    limits = np.array([image.shape[1], image.shape[0]], np.float32)
    return np.concatenate([np.maximum(sides[:2] - more, 0), np.minimum(sides[2:] + more, limits)])
