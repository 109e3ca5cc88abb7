"""Object detection: input `image`, outputs the boxes found in it, and by groups of their labels.

`image` is BYTES [-1, 1]: JPEG, PNG or WebP. With K = `max_detections`:

- `num_detections` INT64 [-1, 1]: how many of the K rows are objects; 0 is fine
- `boxes` FP32 [-1, K, 4]: x1 y1 x2 y2, in pixels of the image as shown (after EXIF rotation)
- `scores` FP32 [-1, K], from 0 to 1, best first
- `classes` INT64 [-1, K], the network's own numbers, and `labels` BYTES [-1, K], their names
- `num_found` INT64 [-1, 1]: all objects over the threshold, those beyond K too

Rows past `num_detections` hold zeros, class -1 and an empty label. With the setting `groups`,
`<group>_num_detections`, `<group>_boxes`, `<group>_scores` and `<group>_labels` are the same for
the objects of the group, and given only for images that have at least one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, PositiveInt

from ..runtime import Item, Outputs
from ..tensors import TensorSpec
from .declared_outputs import check_declared, check_groups
from .vision.detections import Detections, Detector, DetectorInput
from .vision.detectors import load_detector
from .vision.images import ImageOptions, ImageRuntime
from .vision.on_device import ResizeOptions

_GROUP_OUTPUTS = ("num_detections", "boxes", "quads", "scores", "labels")


class ObjectDetectionOptions(ResizeOptions, ImageOptions):
    """Settings of object detection.

    Attributes:
        threshold: Objects with a higher score are found.
        max_detections: K, the most objects answered for an image; the best ones.
        labels: The checkpoint's name of a label -> the name in answers; a label that is not named
            keeps its own. Names that the checkpoint does not have are for other variants.
        groups: Group -> labels (as in answers). A group's objects are the K best of its own, also
            where better objects of other groups leave no row for them in `boxes`.
        max_batch_pixels: Most pixels of the images that run together, at the network's size; a
            larger image runs alone.
    """

    threshold: float = Field(default=0.5, ge=0, lt=1)
    max_detections: PositiveInt = 16
    labels: dict[str, str] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    max_batch_pixels: PositiveInt = 2**23


@dataclass(frozen=True, slots=True)
class Finder:
    """A detector, and how its objects are answered.

    Attributes:
        detector: Finds objects.
        labels: The network's number of a class -> its name in answers.
        groups: Group -> the numbers of its classes.
        given: The names of the outputs.
    """

    detector: Detector
    labels: Mapping[int, str]
    groups: Mapping[str, Sequence[int]]
    given: AbstractSet[str]


class ObjectDetection(ImageRuntime[DetectorInput, Finder]):
    """Finds objects with any detector of transformers or torchvision."""

    settings_class = ObjectDetectionOptions
    engines = ("torch", "openvino")
    options: ObjectDetectionOptions

    def setup(self) -> Finder:
        """Loads the detector.

        Raises:
            ConfigurationError: the checkpoint is no detector or incomplete, or a setting does not
                fit its labels or the declared outputs.
        """
        options = self.options
        detector = self.load_detector()
        detector.max_batch_pixels = options.max_batch_pixels
        labels = {
            number: options.labels.get(label, label) for number, label in detector.labels.items()
        }
        check_groups(options.groups, list(labels.values()))
        groups = {
            group: [number for number, label in labels.items() if label in members]
            for group, members in options.groups.items()
        }
        # What need not be declared is not given: a declaration may leave out what nobody reads.
        undeclared = {
            *("num_found", "quads"),
            *(f"{group}_{name}" for group in groups for name in ("scores", "labels", "quads")),
        }
        given = _specs(options.max_detections, groups, quads=detector.gives_quads)
        check_declared(given, self._output_specs, undeclared=undeclared)
        names = {spec.name for spec in self._output_specs or given}
        return Finder(detector, labels, groups, names)

    def load_detector(self) -> Detector:
        """What finds objects.

        Raises:
            ConfigurationError: the checkpoint is no detector or incomplete.
        """
        return load_detector(
            self.checkpoint,
            self.placement,
            threshold=self.options.threshold,
            max_batch_size=self.options.max_batch_size,
            options=self.options,
        )

    def prepare(self, item: Item) -> DetectorInput:
        """Decodes the image and scales it, unless the device does.

        Raises:
            InvalidInput: `image` is no image, damaged, too large, or too narrow.
            Overloaded: there is not enough memory to decode it now.
        """
        return self.model.detector.prepare(self.image_of(item))

    def length(self, item: DetectorInput) -> int:
        """Pixels that the network looks at."""
        return item.pixels

    @property
    def work_limit(self) -> float:
        """Pixels."""
        return self.options.max_batch_pixels

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[DetectorInput], parameters: None) -> list[Outputs]:
        """The objects of each image."""
        answers: list[Outputs] = []
        given = self.model.given
        for found in self.model.detector(items):
            answer = self._rows(found) | {"num_found": len(found)}
            for group, members in self.model.groups.items():
                of_group = found.of(np.isin(found.classes, members))
                if len(of_group):
                    rows = self._rows(of_group)
                    answer |= {
                        f"{group}_{name}": rows[name] for name in _GROUP_OUTPUTS if name in rows
                    }
            answers.append({name: value for name, value in answer.items() if name in given})
        return answers

    def _rows(self, found: Detections) -> Outputs:
        size = self.options.max_detections
        count = min(len(found), size)
        boxes = np.zeros((size, 4), np.float32)
        scores = np.zeros(size, np.float32)
        classes = np.full(size, -1, np.int64)
        boxes[:count], scores[:count] = found.boxes[:count], found.scores[:count]
        classes[:count] = found.classes[:count]
        labels = np.full(size, "", object)
        labels[:count] = [
            self.model.labels.get(number, str(number)) for number in found.classes[:count].tolist()
        ]
        rows: Outputs = {
            "num_detections": count,
            "boxes": boxes,
            "scores": scores,
            "classes": classes,
            "labels": labels,
        }
        if self.model.detector.gives_quads:
            quads = np.zeros((size, 8), np.float32)
            quads[:count] = found.quads[:count]
            rows["quads"] = quads
        return rows


def _specs(size: int, groups: Iterable[str], *, quads: bool) -> list[TensorSpec]:
    specs = [
        TensorSpec("num_detections", "INT64", (-1, 1)),
        TensorSpec("boxes", "FP32", (-1, size, 4)),
        *([TensorSpec("quads", "FP32", (-1, size, 8))] if quads else []),
        TensorSpec("scores", "FP32", (-1, size)),
        TensorSpec("classes", "INT64", (-1, size)),
        TensorSpec("labels", "BYTES", (-1, size)),
    ]
    of_groups = [
        TensorSpec(f"{group}_{spec.name}", spec.datatype, spec.shape, optional=True)
        for group in groups
        for spec in specs
        if spec.name in _GROUP_OUTPUTS
    ]
    return [*specs, TensorSpec("num_found", "INT64", (-1, 1)), *of_groups]
