"""Loads the parts of a transformers checkpoint in a folder.

Nothing here calls a network: ids of a hub were resolved to folders before, see `checkpoints`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
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

_ONLY_TRAINED_WITH = ("masked_spec_embed", "mask_token", "num_batches_tracked")
"""How the names of weights end that nothing but training looks at: old checkpoints lack some."""
_SHOWN = 4


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
    check_whole(network, found["missing_keys"], checkpoint, unused)
    return stoppable(placement.place(network, of_images=of_images))


def check_whole(
    network: Any, missing: Iterable[str], checkpoint: str | Path, unused: tuple[str, ...] = ()
) -> None:
    """Checks that a network has all its weights: transformers fills others at random, and logs it.

    Args:
        network: As it was loaded.
        missing: The names of weights that its checkpoint lacks, as transformers says.
        checkpoint: Names it in the error text.
        unused: As of `load_network`.

    Raises:
        ConfigurationError: it lacks weights that answers are made of.
    """
    lacking = sorted(
        name
        for name in missing
        if not (
            name.startswith(unused)
            or name.endswith(_ONLY_TRAINED_WITH)
            or _follows_a_rule(network, name)
        )
    )
    if not lacking:
        return
    kind, body = type(network).__name__, f"{network.base_model_prefix}."
    head = [name for name in lacking if not name.startswith(body)]
    shown = (head or lacking)[:_SHOWN]
    more = len(lacking) - len(shown)
    raise ConfigurationError(
        f"the checkpoint '{checkpoint}' "
        + (f"was not trained as a {kind}" if head else f"has not all weights of a {kind}")
        + f": it lacks {', '.join(shown)}"
        + (f" and {more} more" if more else "")
    )


def _follows_a_rule(network: Any, name: str) -> bool:
    """Whether a weight was never trained, and was made anew: checkpoints of Pegasus have none."""
    return "Sinusoidal" in type(network.get_submodule(name.rpartition(".")[0])).__name__


def _load(auto_class: Any, checkpoint: str, part: str, **arguments: Any) -> Any:
    with loading(part, checkpoint):
        return auto_class.from_pretrained(
            checkpoint, trust_remote_code=False, local_files_only=True, **arguments
        )
