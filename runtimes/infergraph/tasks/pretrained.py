"""Loads the parts of a Hugging Face checkpoint, from a folder or from the hub."""

from __future__ import annotations

import threading
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ..devices import Placement
from ..errors import ConfigurationError
from .stoppable import stoppable

_UNLOADABLE = (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError)

# transformers changes itself while it builds a network (no weights are tied, for one): of two that
# are loaded in two threads, one would be left in pieces.
_LOADING = threading.Lock()

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

    Only safetensors are read, and no code of the checkpoint's is run.

    Args:
        auto_class: The transformers `AutoModelFor...` class of the task.
        checkpoint: A folder's path or a hub id.
        placement: The device and dtype.
        unused: Beginnings of the names of weights that the task does not need: a checkpoint may
            lack them.
        of_images: Whether it convolves images, see `Placement.place`.

    Raises:
        ConfigurationError: there is no such checkpoint, it has no safetensors or a damaged one,
            its architecture is not one of the task's, or it was not trained for the task.
    """
    network, loading = _load(
        auto_class,
        checkpoint,
        "network",
        use_safetensors=True,
        dtype=placement.dtype,
        output_loading_info=True,
    )
    # transformers would fill them at random, and only log it.
    body = f"{network.base_model_prefix}."
    untrained = sorted(
        name for name in loading["missing_keys"] if not name.startswith((body, *unused))
    )
    if untrained:
        raise ConfigurationError(
            f"the checkpoint '{checkpoint}' was not trained as a {type(network).__name__}: "
            f"it lacks {', '.join(untrained)}"
        )
    return stoppable(placement.place(network, of_images=of_images))


def _load(auto_class: Any, checkpoint: str, part: str, **arguments: Any) -> Any:
    try:
        with _LOADING:
            return auto_class.from_pretrained(checkpoint, trust_remote_code=False, **arguments)
    except _UNLOADABLE as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"cannot load the {part} of the checkpoint '{checkpoint}': {reason}"
        ) from error
