"""Detectors of lines of text: PP-OCRv5 and others whose network gives a map of probabilities."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np
import torch

from ...batching import check_wanted
from ...devices import Placement
from ...errors import ConfigurationError
from .detections import DetectorInput
from .on_device import ResizeOptions
from .quads import bounds
from .text_map import LineRules, find_lines
from .transformers_detector import ProcessedDetector


class TextDetector(ProcessedDetector):
    """Finds lines of text, and how each is turned, by differentiable binarisation."""

    gives_quads = True

    def __init__(
        self,
        checkpoint: str,
        placement: Placement,
        rules: LineRules,
        max_batch_size: int,
        options: ResizeOptions | None = None,
    ) -> None:
        """Loads the image processor and the network.

        Raises:
            ConfigurationError: the checkpoint is no detector of text, or incomplete, or its images
                cannot be resized where the settings say.
        """
        self._rules = rules
        super().__init__(checkpoint, placement, rules.threshold, max_batch_size, options)
        # A map has one kind, whatever a configuration names.
        self.labels = {0: "text"}

    def _check_processor(self, checkpoint: str) -> None:
        decode = getattr(self._processor, "post_process_object_detection", None)
        if decode is None or "unclip_ratio" not in inspect.signature(decode).parameters:
            raise ConfigurationError(
                f"the checkpoint '{checkpoint}' has the image processor "
                f"{type(self._processor).__name__}, which does not detect text; accepted: "
                "detectors such as PP-OCRv5_mobile_det"
            )

    def _detect(self, batch: Sequence[DetectorInput]) -> Sequence[tuple[torch.Tensor, ...]]:
        maps = self._outputs(batch).last_hidden_state[:, 0].float().cpu()
        found = []
        for image, probabilities in zip(batch, maps.numpy(), strict=True):
            check_wanted()
            quads, scores = find_lines(probabilities, self._rules)
            rows, columns = probabilities.shape
            quads *= np.array([image.width / columns, image.height / rows], np.float32)
            boxes, corners = bounds(quads), quads.reshape(-1, 8)
            classes = np.zeros(len(scores), np.float32)
            found.append(tuple(map(torch.from_numpy, (boxes, scores, classes, corners))))
        return found
