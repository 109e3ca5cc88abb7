"""Pictures for tests: a pattern that is unlike any turned or mirrored copy of itself."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def pattern(width: int = 48, height: int = 32, *, seed: int = 0) -> Pixels:
    """UINT8 [height, width, 3]: smooth, so that a JPEG of it is close to it."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))


def encoded(picture: Pixels | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def pattern_file(
    width: int = 48, height: int = 32, *, seed: int = 0, format: str = "PNG", **options: Any
) -> bytes:
    """The bytes of a file of the pattern."""
    return encoded(pattern(width, height, seed=seed), format, **options)
