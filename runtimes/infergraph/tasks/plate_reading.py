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
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt

from ..checkpoints import locate, source_for
from ..errors import ConfigurationError, InvalidInput
from ..runtime import Item, Outputs
from ..tensors import TensorSpec
from ..tensors.image import Pixels
from .declared_outputs import check_declared
from .vision.boxes import Boxes, crop, whole_or_boxes, widened
from .vision.detections import Detector, DetectorInput
from .vision.detectors import load_detector
from .vision.images import BoxOptions, BoxRuntime
from .vision.on_device import kept_parts
from .vision.picture_writer import ENCODER_DECODER, PictureWriter


class PlateReadingOptions(BoxOptions):
    """Settings of plate reading. The variants are readers: TrOCR and others made alike.

    Attributes:
        locator: What finds the plate in a vehicle's box: a folder in the model's folder, or the id
            of any detector; or these by variant, `*` for any other. None reads the whole box.
        locator_threshold: A plate's score is above it.
        locator_labels: Which of the locator's labels are plates; empty is all.
        margin: How much more than the plate is read, on each side, as a share of that side's
            length.
        max_new_tokens: Most tokens of a text.
        upper_case: Whether texts are answered in upper case.
        max_crops: Most pieces of images in one network call, of all images that run together.
    """

    locator: str | dict[str, str] | None = None
    locator_threshold: float = Field(default=0.5, ge=0, lt=1)
    locator_labels: list[str] = Field(default_factory=list)
    margin: float = Field(default=0.0, ge=0, le=1)
    max_new_tokens: PositiveInt = 16
    upper_case: bool = False
    max_crops: PositiveInt = 32


@dataclass(frozen=True, slots=True)
class Window:
    """The part of an image in which a box's plate may lie; what else there was of it is freed.

    Attributes:
        pixels: UINT8 [H, W, 3].
        left: Where it begins in the image.
        top: Where it begins in the image.
        image_size: Width and height of the image.
    """

    pixels: Pixels
    left: int
    top: int
    image_size: tuple[int, int]

    def crop(self, region: Boxes) -> Pixels:
        """The part that a box of the image touches, which lies within the window."""
        offset = np.array([self.left, self.top, self.left, self.top], np.float32)
        return crop(self.pixels, region - offset)


@dataclass(frozen=True, slots=True)
class Vehicles:
    """The boxes of an image.

    Attributes:
        boxes: FP32 [boxes, 4], in pixels of the image.
        rows: Rows of the answer.
        searched: Of each box the locator's input, None where no plate can be; empty without one.
        windows: The pixels of each box.
    """

    boxes: Boxes
    rows: int
    searched: Sequence[DetectorInput | None]
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Locator:
    """What finds plates.

    Attributes:
        detector: Finds objects.
        plates: The numbers of the classes that are plates.
    """

    detector: Detector
    plates: Sequence[int]


@dataclass(frozen=True, slots=True)
class Readers:
    """The networks: what finds plates, if there is one, and what reads them."""

    locator: Locator | None
    reader: PictureWriter


class PlateReading(BoxRuntime[Vehicles, Readers]):
    """Finds a plate in each vehicle's box, and reads it.

    All boxes of a batch are searched together, and then all plates read together.
    """

    settings_class = PlateReadingOptions
    options: PlateReadingOptions

    def setup(self) -> Readers:
        """Loads the locator and the reader.

        Raises:
            ConfigurationError: one of the checkpoints is of another kind, incomplete or missing,
                or a setting does not fit them.
        """
        options = self.options
        given = [TensorSpec("text", "BYTES", (-1, -1)), TensorSpec("score", "FP32", (-1, -1))]
        check_declared(given, self._output_specs)
        try:
            source = source_for(options.locator, options.variant)
            found = None if source is None else locate(source, self.folder)
        except ConfigurationError as error:
            raise error.prefixed("setting 'locator'") from None
        locator = None
        if found is not None:
            detector = load_detector(
                found.path,
                # Detectors are convolutions mostly, which int8 is not for.
                replace(self.placement, quantized=False),
                threshold=options.locator_threshold,
                max_batch_size=options.max_crops,
            )
            locator = Locator(detector, _classes(detector, options.locator_labels))
        reader = PictureWriter(
            self.checkpoint,
            self.placement,
            max_new_tokens=options.max_new_tokens,
            max_batch_size=options.max_crops,
            families=[ENCODER_DECODER],
        )
        return Readers(locator, reader)

    def prepare(self, item: Item) -> Vehicles:
        """Decodes the image, checks the boxes, and scales what is in them for the locator.

        Raises:
            InvalidInput: `image` is no image, damaged or too large; a box is not finite, empty or
                outside of it, or there are fewer than `num_detections`; or only one of the two
                tensors came.
            Overloaded: there is not enough memory to decode the image now, or to keep its boxes.
        """
        image = self.image_of(item)
        boxes, rows = whole_or_boxes(item, *image.shape[:2])
        searched: list[DetectorInput | None] = []
        locator = self.model.locator
        if locator is not None:
            searched = [_searchable(locator.detector, crop(image, box)) for box in boxes]
        windows = _windows(image, boxes, 0.0 if locator is None else self.options.margin)
        return Vehicles(boxes, rows, searched, windows)

    def length(self, item: Vehicles) -> int:
        """The number of boxes."""
        return len(item.boxes)

    @property
    def work_limit(self) -> float:
        """Boxes: as many as one network call takes."""
        return self.options.max_crops

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Vehicles], parameters: None) -> list[Outputs]:
        """`text` and `score` of each row of each image's boxes."""
        answers: list[Outputs] = [
            {"text": np.full(item.rows, "", object), "score": np.zeros(item.rows, np.float32)}
            for item in items
        ]
        places: list[tuple[int, int]] = []
        pictures: list[Pixels] = []
        for index, (item, regions) in enumerate(zip(items, self._regions(items), strict=True)):
            for row, region in enumerate(regions):
                if region is not None:
                    places.append((index, row))
                    pictures.append(item.windows[row].crop(region))
        for (index, row), reading in zip(places, self.model.reader(pictures), strict=True):
            if reading.text:
                text = reading.text.upper() if self.options.upper_case else reading.text
                answers[index]["text"][row] = text
                answers[index]["score"][row] = reading.score
        return answers

    def _regions(self, items: Sequence[Vehicles]) -> list[list[Boxes | None]]:
        """For each box of each item, the part of the image to read; None where no plate is."""
        locator = self.model.locator
        if locator is None:
            return [list(item.boxes) for item in items]
        found = iter(
            locator.detector([each for item in items for each in item.searched if each is not None])
        )
        regions: list[list[Boxes | None]] = []
        for item in items:
            regions.append([])
            for box, searched, window in zip(item.boxes, item.searched, item.windows, strict=True):
                region = None
                if searched is not None:
                    detections = next(found)
                    plates = detections.boxes[np.isin(detections.classes, locator.plates)]
                    if len(plates):
                        region = _region(plates[0], box, window.image_size, self.options.margin)
                regions[-1].append(region)
        return regions


def _windows(image: Pixels, boxes: Boxes, margin: float) -> list[Window]:
    """For each box its part of the image, wider by the margin on each side.

    They are copies, so that a large image does not wait in the queue for the sake of a small box.

    Raises:
        Overloaded: too much of other images waits.
    """
    height, width = image.shape[:2]
    limits = [width, height, width, height]
    places: list[tuple[slice, slice]] = []
    for box in boxes:
        sides = box[2:] - box[:2] + 2
        more = np.ceil(np.concatenate([-sides, sides]) * margin)
        # A box is rounded outward before a plate is searched in it: hence the pixel on each side.
        wide = np.concatenate([np.floor(box[:2]) - 1, np.ceil(box[2:]) + 1]) + more
        left, top, right, bottom = (int(side) for side in np.clip(wide, 0, limits))
        places.append((slice(top, bottom), slice(left, right)))
    return [
        Window(pixels, columns.start, rows.start, (width, height))
        for pixels, (rows, columns) in zip(kept_parts(image, places), places, strict=True)
    ]


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
    plate: npt.NDArray[np.float32],
    box: npt.NDArray[np.float32],
    image_size: tuple[int, int],
    margin: float,
) -> Boxes:
    """A plate found in a box, with the margin, as a box of the image."""
    left, top = math.floor(box[0]), math.floor(box[1])
    found = plate + np.array([left, top, left, top], np.float32)
    width, height = image_size
    return widened(found, margin, height, width)
