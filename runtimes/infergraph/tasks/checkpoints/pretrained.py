"""Loads the parts of a transformers checkpoint in a folder.

Nothing here calls a network: ids of a hub were resolved to folders before, see `checkpoints`.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ...devices import Placement
from ...errors import ConfigurationError
from ...weights import SAFETENSORS, loading, weights_in
from .stoppable import stoppable

logger = logging.getLogger(__name__)

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def load_config(checkpoint: str) -> Any:
    """The checkpoint's configuration; raises ConfigurationError when there is none."""
    return _load(AutoConfig, checkpoint, "configuration")


def load_tokenizer(checkpoint: str) -> Any:
    """The checkpoint's tokenizer; raises ConfigurationError when there is none."""
    return _load(AutoTokenizer, checkpoint, "tokenizer")


def load_feature_extractor(checkpoint: str) -> Any:
    """The checkpoint's feature extractor; raises ConfigurationError when there is none."""
    return _load(AutoFeatureExtractor, checkpoint, "feature extractor")


def load_image_processor(checkpoint: str) -> Any:
    """The checkpoint's image processor; raises ConfigurationError when there is none."""
    return _load(AutoImageProcessor, checkpoint, "image processor")


def load_network(
    auto_class: Any,
    checkpoint: str,
    placement: Placement,
    unused: tuple[str, ...] = (),
    *,
    of_images: bool = False,
) -> Any:
    """The checkpoint's network, placed, in evaluation mode and stoppable.

    Without safetensors, `.bin` files are read as tensors only (`weights_only`), which is logged. No
    code of the checkpoint's is run.

    Args:
        auto_class: The transformers `AutoModelFor...` class of the task.
        checkpoint: A folder's path.
        placement: The device and dtype.
        unused: Beginnings of the names of weights that the task does not need: a checkpoint may
            lack them.
        of_images: Whether it convolves images, see `Placement.place`.

    Raises:
        ConfigurationError: there is no such checkpoint, its weights are missing or damaged, its
            architecture is not one of the task's, or it was not trained for the task.
    """
    weights = weights_in(checkpoint)
    if not weights.startswith(SAFETENSORS):
        logger.info(
            "the checkpoint '%s' has no safetensors: %s is read as tensors only (weights_only)",
            checkpoint,
            weights,
        )
    # While it builds a network in another dtype than fp32, transformers makes that the default of
    # the whole process, also of models that are loaded or compute at the same time.
    network, found = _load(
        auto_class,
        checkpoint,
        "network",
        use_safetensors=weights.startswith(SAFETENSORS),
        weights_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    # transformers would fill them at random, and only log it.
    body = f"{network.base_model_prefix}."
    untrained = sorted(
        name for name in found["missing_keys"] if not name.startswith((body, *unused))
    )
    if untrained:
        raise ConfigurationError(
            f"the checkpoint '{checkpoint}' was not trained as a {type(network).__name__}: "
            f"it lacks {', '.join(untrained)}"
        )
    return stoppable(placement.place(network, of_images=of_images))


def _load(auto_class: Any, checkpoint: str, part: str, **arguments: Any) -> Any:
    with loading(part, checkpoint):
        return auto_class.from_pretrained(
            checkpoint, trust_remote_code=False, local_files_only=True, **arguments
        )
