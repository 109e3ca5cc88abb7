"""Loads the detector of a checkpoint: of torchvision, or of transformers."""

from __future__ import annotations

from ..devices import Placement
from ..errors import ConfigurationError
from .detections import Detector
from .torchvision_detector import load_torchvision
from .transformers_detector import TransformersDetector


def load_detector(
    checkpoint: str, placement: Placement, *, threshold: float, max_batch_size: int
) -> Detector:
    """The detector of a checkpoint.

    Args:
        checkpoint: A folder's path, an id `torchvision/<name>`, or a Hugging Face id.
        placement: Device and dtype.
        threshold: Objects with a higher score are found.
        max_batch_size: Most images of one network call.

    Raises:
        ConfigurationError: the checkpoint is no detector, incomplete, or cannot be had.
    """
    found = load_torchvision(checkpoint, placement, threshold, max_batch_size)
    if found is not None:
        return found
    if checkpoint.startswith("timm/"):
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': timm's networks classify whole images; accepted: "
            "detectors of transformers, or torchvision/<name>"
        )
    return TransformersDetector(checkpoint, placement, threshold, max_batch_size)
