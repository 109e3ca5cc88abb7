"""`Frame`, and how one is made ready to be sent."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from .errors import UnreadableFrame

AS_THEY_ARE = ("JPEG", "PNG", "WEBP")
"""Formats of files that models take."""


@dataclass(frozen=True)
class Frame:
    """A frame of the input.

    Attributes:
        index: In the input, from 0, frames that were passed over counted too.
        seconds: From the beginning of the input.
        name: For a file of its own: the name of the picture's file without its ending, where no
            other has the same, or `frame-000012`.
        encoded: What is sent: a JPEG, PNG or WebP file.
        picture: What the answer is drawn on, in RGB.
        problem: Why there are neither of the two.
    """

    index: int
    seconds: float
    name: str
    encoded: bytes = b""
    picture: Image.Image | None = None
    problem: UnreadableFrame | None = None


@dataclass(frozen=True)
class Selection:
    """Which frames are taken, and as what.

    Attributes:
        every: Each `every`-th frame, from the first on.
        most: How many are taken; None for all.
        size: Width and height to which they are scaled; None for as they are.
        quality: Of the JPEG that is sent.
    """

    every: int = 1
    most: int | None = None
    size: tuple[int, int] | None = None
    quality: int = 90

    def count(self, frames: int) -> int:
        """How many are taken of an input of so many frames."""
        taken = -(-frames // self.every)
        return taken if self.most is None else min(taken, self.most)

    def scaled(self, picture: Image.Image) -> Image.Image:
        """The picture in RGB and in the size that was asked for."""
        picture = picture.convert("RGB")
        return picture if self.size in (None, picture.size) else picture.resize(self.size)

    def encode(self, picture: Image.Image) -> bytes:
        """The picture as a JPEG file."""
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=self.quality)
        return file.getvalue()
