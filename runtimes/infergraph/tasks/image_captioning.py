"""Image captioning: input `image` and perhaps boxes in it, outputs `text` and `score`.

`image` is BYTES [-1, 1] (JPEG, PNG or WebP), `boxes` FP32 [-1, K, 4] (x1 y1 x2 y2, in pixels of the
image as shown) and `num_detections` INT64 [-1, 1], as an object detector gives them. Without boxes,
`text` BYTES [-1, 1] describes the whole image; with them, `text` [-1, K] describes what is in each,
and is "" past `num_detections`. `score` FP32 of the same shape is the probability of the whole
text, 0 past `num_detections`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, PositiveInt

from ..runtime import Item, Outputs
from ..tensors import TensorSpec
from ..tensors.image import Pixels
from .declared_outputs import check_declared
from .vision.boxes import place_of, whole_or_boxes, widened
from .vision.images import BoxOptions, BoxRuntime
from .vision.on_device import kept_parts
from .vision.picture_writer import PictureWriter


class ImageCaptioningOptions(BoxOptions):
    """Settings of image captioning.

    Attributes:
        margin: How much more than a box is described, on each side, as a share of that side's
            length.
        max_new_tokens: Most tokens of a text.
        max_crops: Most pictures in one network call, of all images that run together.
    """

    margin: float = Field(default=0.0, ge=0, le=1)
    max_new_tokens: PositiveInt = 48
    max_crops: PositiveInt = 32


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is described of an image.

    Attributes:
        parts: UINT8 [H, W, 3] of the image, or of each box.
        rows: Rows of the answer.
    """

    parts: Sequence[Pixels]
    rows: int


class ImageCaptioning(BoxRuntime[Pictures, PictureWriter]):
    """Describes images, or what is in boxes of them."""

    settings_class = ImageCaptioningOptions
    options: ImageCaptioningOptions

    def setup(self) -> PictureWriter:
        """Loads the network.

        Raises:
            ConfigurationError: the checkpoint writes no texts of pictures, is incomplete or
                missing, or a setting does not fit it.
        """
        given = [TensorSpec("text", "BYTES", (-1, -1)), TensorSpec("score", "FP32", (-1, -1))]
        check_declared(given, self._output_specs)
        return PictureWriter(
            self.checkpoint,
            self.placement,
            max_new_tokens=self.options.max_new_tokens,
            max_batch_size=self.options.max_crops,
        )

    def prepare(self, item: Item) -> Pictures:
        """Decodes the image, checks the boxes, and cuts them out.

        Raises:
            InvalidInput: `image` is no image, damaged or too large; a box is not finite, empty or
                outside of it, or there are fewer than `num_detections`; or only one of the two
                tensors came.
            Overloaded: there is not enough memory to decode the image now, or to keep its boxes.
        """
        image = self.image_of(item)
        height, width = image.shape[:2]
        boxes, rows = whole_or_boxes(item, height, width)
        wide = [widened(box, self.options.margin, height, width) for box in boxes]
        # Copies, so that a large image does not wait in the queue for the sake of a small box.
        return Pictures(kept_parts(image, [place_of(box, height, width) for box in wide]), rows)

    def length(self, item: Pictures) -> int:
        """The number of pictures."""
        return len(item.parts)

    @property
    def work_limit(self) -> float:
        """Pictures: as many as one network call takes."""
        return self.options.max_crops

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Pictures], parameters: None) -> list[Outputs]:
        """`text` and `score` of each row of each image."""
        readings = iter(self.model([part for item in items for part in item.parts]))
        answers: list[Outputs] = []
        for item in items:
            text = np.full(item.rows, "", object)
            score = np.zeros(item.rows, np.float32)
            for row in range(len(item.parts)):
                reading = next(readings)
                text[row], score[row] = reading.text, reading.probability
            answers.append({"text": text, "score": score})
        return answers
