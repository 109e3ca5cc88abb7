"""Which library an image checkpoint is of: torchvision, timm or transformers."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from ..errors import ConfigurationError
from .torchvision_checkpoint import read_config

Library = Literal["torchvision", "timm", "transformers"]

_UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    ImportError,
    LookupError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)

# timm keeps what it builds a network with in variables of its modules.
_LOADING = threading.Lock()


def library_of(checkpoint: str) -> Library:
    """The library that made a checkpoint.

    Args:
        checkpoint: An absolute folder path, whose config.json tells; or a hub id: `torchvision/...`
            and `timm/...` are of these two, any other is of transformers.

    Raises:
        ConfigurationError: `config.json` is not JSON.
    """
    if not Path(checkpoint).is_absolute():
        owner = checkpoint.partition("/")[0]
        return owner if owner in ("torchvision", "timm") else "transformers"  # type: ignore[return-value]
    if read_config(checkpoint) is not None:
        return "torchvision"
    return "transformers" if timm_config(checkpoint) is None else "timm"


def timm_config(folder: str) -> dict[str, Any] | None:
    """The configuration of a timm checkpoint in a folder; None when the folder holds none."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config, dict) and {"architecture", "pretrained_cfg"} <= config.keys():
        return config
    return None


@contextmanager
def loading(part: str, checkpoint: str) -> Iterator[None]:
    """Turns the errors of a library that loads a part of a checkpoint into ConfigurationError."""
    try:
        with _LOADING:
            yield
    except _UNLOADABLE as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"cannot load the {part} of the checkpoint '{checkpoint}': {reason}"
        ) from error
