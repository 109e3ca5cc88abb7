"""Which payload each request of a run sends."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt


def payload_order(
    order: Literal["random", "cycle"], payloads: int, count: int, generator: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Indices of payloads, int32 [count]."""
    if order == "cycle":
        return np.arange(count, dtype=np.int32) % payloads
    return generator.integers(0, payloads, count, np.int32)
