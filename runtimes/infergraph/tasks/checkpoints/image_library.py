"""Which library an image checkpoint is of: torchvision, timm or transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from ...checkpoints import TORCHVISION
from .torchvision_checkpoint import read_config

Library = Literal["torchvision", "timm", "transformers"]


def library_of(checkpoint: str) -> Library:
    """The library that made a checkpoint.

    Args:
        checkpoint: A folder's path, whose config.json tells; or an id `torchvision/...`.

    Raises:
        ConfigurationError: `config.json` is not JSON.
    """
    if checkpoint.startswith(TORCHVISION) or read_config(checkpoint) is not None:
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
