"""Videos and pictures for tests: the grey of a frame tells its number."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from infergraph_clients.video.frames import Frame, Source

RATE = Fraction(10)
SIZE = (64, 48)
STEP = 20


def picture(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Black on its left half; on its right, lighter for each number."""
    made = Image.new("RGB", size)
    grey = 40 + STEP * number
    made.paste((grey, grey, grey), (size[0] // 2, 0, size[0], size[1]))
    return made


def giant() -> bytes:
    """A PNG of 200 million pixels in 24 KB."""
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    return file.getvalue()


def number_of(image: Image.Image | None) -> int:
    """The number of a picture, as well as a lossy codec keeps it."""
    assert image is not None
    pixels = np.asarray(image.convert("L"), float)
    half = pixels.shape[1] // 2
    assert pixels[:, : half - 2].mean() < 20
    return round((pixels[:, half + 2 :].mean() - 40) / STEP)


def write_video(
    path: Path, count: int, *, rate: Fraction = RATE, size: tuple[int, int] = SIZE
) -> Path:
    """A video of so many pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture(number, size)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_video(path: Path) -> tuple[Fraction | None, list[Image.Image]]:
    """Rate and pictures of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        images = [
            Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)
        ]
        return stream.average_rate, images


def taken(source: Source) -> list[Frame]:
    """All frames of a source, which is closed then."""
    try:
        return list(source.frames())
    finally:
        source.close()


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [number_of(frame.picture) for frame in frames]
