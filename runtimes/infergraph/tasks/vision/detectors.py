"""Loads the detector of a checkpoint: of torchvision, or of transformers."""

from __future__ import annotations

import numpy as np

from ...devices import Placement
from ...errors import ConfigurationError, InvalidInput
from ..checkpoints.image_library import timm_config
from .detections import Detector
from .on_device import ResizeOptions
from .torchvision_detector import load_torchvision
from .transformers_detector import TransformersDetector


def load_detector(
    checkpoint: str,
    placement: Placement,
    *,
    threshold: float,
    max_batch_size: int,
    options: ResizeOptions | None = None,
) -> Detector:
    """The detector of a checkpoint.

    Args:
        checkpoint: A folder's path, or an id `torchvision/<name>`.
        placement: Device and dtype.
        threshold: Objects with a higher score are found.
        max_batch_size: Most images of one network call.
        options: Where images are resized; None is where they are prepared.

    Raises:
        ConfigurationError: the checkpoint is no detector, incomplete, or cannot be had; or its
            images cannot be resized where the settings say.
    """
    found: Detector | None = load_torchvision(
        checkpoint,
        placement,
        threshold,
        max_batch_size,
        on_device=options is not None
        and options.resizes_on_device(placement, can=True, checkpoint=checkpoint),
    )
    if found is None and timm_config(checkpoint) is not None:
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': timm's networks classify whole images; accepted: "
            "detectors of transformers, or torchvision/<name>"
        )
    if found is None:
        found = TransformersDetector(checkpoint, placement, threshold, max_batch_size, options)
    try:
        # What cannot scale this would say of any image that it is too narrow.
        found.prepare(np.zeros((64, 64, 3), np.uint8))
    except InvalidInput as error:
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': its preprocessing fails ({error.__cause__})"
        ) from error
    return found
