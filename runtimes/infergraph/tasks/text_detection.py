"""Text detection: input `image`, outputs the lines of text found in it.

The tensors are those of object detection, with one label, `text`, and one output more, which a
declaration may leave out: `quads` FP32 [-1, K, 8], the corners of each line, x y of the text's top
left, top right, bottom right and bottom left, in pixels of the image as shown. They may reach a
little out of the image. `boxes` are the upright boxes around them, which end at its edges.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from .object_detection import ObjectDetection, ObjectDetectionOptions
from .vision.text_detector import TextDetector
from .vision.text_map import LineRules


class TextDetectionOptions(ObjectDetectionOptions):
    """Settings of text detection.

    Attributes:
        threshold: Lines with a higher score are found. The score is the mean of the network's map
            in a line's rectangle.
        map_threshold: What is higher in the map is of a line.
        unclip_ratio: How much larger a line is than what the network marks of it: how far its sides
            are moved outward, in its area divided by its circumference.
        min_side: The least height of a line, in pixels of the map, before it is made larger.
        max_candidates: Most lines that are looked for in an image, the largest ones.
    """

    threshold: float = Field(default=0.6, ge=0, lt=1)
    map_threshold: float = Field(default=0.3, ge=0, lt=1)
    unclip_ratio: float = Field(default=1.5, ge=0, le=10)
    min_side: PositiveFloat = 3.0
    max_detections: PositiveInt = 100
    max_candidates: PositiveInt = 1000


class TextDetection(ObjectDetection):
    """Finds lines of text with PP-OCRv5, or another detector that marks them in a map."""

    settings_class = TextDetectionOptions
    options: TextDetectionOptions

    def load_detector(self) -> TextDetector:
        """What finds lines.

        Raises:
            ConfigurationError: the checkpoint is no detector of text, or incomplete.
        """
        options = self.options
        return TextDetector(
            self.checkpoint,
            self.placement,
            LineRules(
                map_threshold=options.map_threshold,
                threshold=options.threshold,
                unclip_ratio=options.unclip_ratio,
                min_side=options.min_side,
                max_candidates=options.max_candidates,
            ),
            options.max_batch_size,
            options,
        )
