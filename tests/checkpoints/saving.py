"""Saves what a checkpoint is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def save(folder: Path, *parts: Any) -> str:
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)


def seeded(build: Callable[[], torch.nn.Module]) -> Any:
    """A network whose weights are the same in every process, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build().eval()
