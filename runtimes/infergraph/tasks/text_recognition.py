"""Text recognition: inputs `image` and lines of text in it, outputs `text` and `score`.

`image` is BYTES [-1, 1] (JPEG, PNG or WebP). Its lines are `quads` FP32 [-1, K, 8] (x y of the
text's top left, top right, bottom right and bottom left, in pixels of the image as shown) or
`boxes` FP32 [-1, K, 4] (x1 y1 x2 y2), and `num_detections` INT64 [-1, 1], as text detection gives
them; of an item that has both, quads are read. `text` BYTES [-1, K] and `score` FP32 [-1, K] (0 to
1) are for the same rows; "" and 0 where nothing is read, and past `num_detections`. An item with an
image alone is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, PositiveInt

from ..errors import InvalidInput
from ..runtime import Item, Outputs
from ..tensors import TensorSpec
from .declared_outputs import check_declared
from .vision.boxes import item_boxes
from .vision.images import BoxOptions, BoxRuntime
from .vision.quads import Quads, item_quads, quads_of, size_of, straightened
from .vision.text_reader import Line, TextReader

_WAYS = "'image', or 'image' with 'num_detections' and 'quads' or 'boxes'"


class TextRecognitionOptions(BoxOptions):
    """Settings of text recognition.

    Attributes:
        min_score: A text with a lower score is answered as "", with its score.
        tall: A line that is higher than so many times its width may be written from bottom to top
            or from top to bottom: it is read as it stands and turned both ways, and the best score
            counts.
        max_batch_pixels: Most pixels of the lines that run together, of all images, at the
            network's size and with what they are filled up with; a longer line runs alone.
    """

    min_score: float = Field(default=0.0, ge=0, le=1)
    tall: float = Field(default=1.5, ge=1)
    max_batch_pixels: PositiveInt = 2**19


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an image.

    Attributes:
        rows: Rows of the answer.
        ways: Of each line the ways in which it may be read.
    """

    rows: int
    ways: Sequence[Sequence[Line]]


class TextRecognition(BoxRuntime[Lines, TextReader]):
    """Straightens lines of text and reads them with a CTC recogniser.

    Lines of all images of a batch that are about as wide are read together.
    """

    settings_class = TextRecognitionOptions
    engines = ("torch", "openvino")
    options: TextRecognitionOptions

    def setup(self) -> TextReader:
        """Loads the recogniser.

        Raises:
            ConfigurationError: the checkpoint is no recogniser or incomplete, or the declared
                outputs are not those of text recognition.
        """
        given = [TensorSpec("text", "BYTES", (-1, -1)), TensorSpec("score", "FP32", (-1, -1))]
        check_declared(given, self._output_specs)
        return TextReader(
            self.checkpoint,
            self.placement,
            max_batch_pixels=self.options.max_batch_pixels,
            observe=self.observe_padding,
        )

    def prepare(self, item: Item) -> Lines:
        """Decodes the image, and straightens and scales each line in it.

        Raises:
            InvalidInput: `image` is no image, damaged or too large; a quad or box is not finite,
                empty or outside of it, or there are fewer than `num_detections`; or the tensors
                that came do not go together.
            Overloaded: there is not enough memory to decode the image now, or to keep its lines.
        """
        _check_ways(item)
        image = self.image_of(item)
        quads, rows = _quads(item, *image.shape[:2])
        return Lines(rows, [self._ways(straightened(image, quad), quad) for quad in quads])

    def _ways(self, picture: np.ndarray, quad: np.ndarray) -> list[Line]:
        width, height = size_of(quad)
        turns = (0, 1, 3) if height > self.options.tall * width else (0,)
        return [self.model.prepare(np.ascontiguousarray(np.rot90(picture, turn))) for turn in turns]

    def length(self, item: Lines) -> int:
        """Pixels that the network looks at."""
        return sum(line.pixels for ways in item.ways for line in ways)

    @property
    def work_limit(self) -> float:
        """Pixels: as many as one network call takes."""
        return self.options.max_batch_pixels

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Lines], parameters: None) -> list[Outputs]:
        """`text` and `score` of each row of each image's lines."""
        readings = iter(self.model([line for item in items for ways in item.ways for line in ways]))
        answers: list[Outputs] = []
        for item in items:
            text, score = np.full(item.rows, "", object), np.zeros(item.rows, np.float32)
            for row, ways in enumerate(item.ways):
                best = max([next(readings) for _ in ways], key=lambda reading: reading.score)
                score[row] = best.score
                if best.score >= self.options.min_score:
                    text[row] = best.text
            answers.append({"text": text, "score": score})
        return answers


def _check_ways(item: Item) -> None:
    came = item.keys() - {"image"}
    if came and ("num_detections" not in came or len(came) == 1):
        listed = ", ".join(f"'{name}'" for name in item)
        raise InvalidInput(f"the tensors {listed} came; accepted: {_WAYS}")


def _quads(item: Item, height: int, width: int) -> tuple[Quads, int]:
    """The lines of an item, and how many rows its answer has."""
    if "quads" in item:
        return item_quads(item, height, width), len(item["quads"])
    if "boxes" in item:
        return quads_of(item_boxes(item, height, width)), len(item["boxes"])
    return quads_of(np.array([[0, 0, width, height]], np.float32)), 1
