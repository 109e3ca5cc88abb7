"""Outputs of pictures: a video file, or a folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from PIL import Image

from ..errors import UsageError
from .errors import OutputError

if TYPE_CHECKING:
    from av.video.stream import VideoStream

VIDEOS = (".mp4", ".mkv", ".mov", ".avi")
_ENCODERS = ("libx264", "mpeg4")
_OPTIONS = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qscale": "3"}}
_JPEG_QUALITY = 92


class Sink(Protocol):
    """Takes pictures in order."""

    def add(self, name: str, picture: Image.Image) -> None:
        """Writes a picture. Raises OutputError."""
        ...

    def close(self) -> None:
        """Ends the file, which is of no use before. Raises OutputError."""
        ...


def check_sink(path: Path) -> None:
    """Whether pictures can go there; writes nothing.

    Raises:
        UsageError: they cannot.
    """
    if is_folder(path):
        if path.is_file():
            raise UsageError(f"--output {path}: it is a file; accepted: {_accepted()}")
        check_parent(path.absolute(), "--output")
        return
    if path.suffix.lower() not in VIDEOS:
        raise UsageError(f"--output {path}: accepted: {_accepted()}")
    check_parent(path, "--output")


def check_parent(path: Path, option: str) -> None:
    """UsageError unless a file may be made at this path."""
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")


def is_folder(path: Path) -> bool:
    """Whether this output is a folder: one that exists, or a name without an ending."""
    return path.is_dir() or not path.suffix


def open_sink(path: Path, rate: Fraction) -> Sink:
    """The output at a path that `check_sink` has passed."""
    return PictureFolder(path) if is_folder(path) else VideoFile(path, rate)


class PictureFolder:
    """One JPEG for each picture; the folder is made where it does not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, picture: Image.Image) -> None:
        try:
            self._path.mkdir(exist_ok=True)
            picture.save(self._path / f"{name}.jpg", quality=_JPEG_QUALITY)
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from None

    def close(self) -> None: ...


class VideoFile:
    """H.264, or MPEG-4 where FFmpeg was built without it.

    The first picture decides the size; later ones of another size are fitted into it. An odd side
    is made even, as both codecs need it, by repeating the last row or column.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        import av

        self._path, self._error = path, av.FFmpegError
        self._size: tuple[int, int] | None = None
        encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        try:
            self._container = av.open(str(path), "w")
            # MPEG-4 counts time in no finer parts than 1 / 65535 s.
            rate = rate.limit_denominator(1001)
            stream = self._container.add_stream(encoder, rate=rate, options=_OPTIONS[encoder])
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        self._stream = cast("VideoStream", stream)
        self._stream.pix_fmt = "yuv420p"

    def add(self, name: str, picture: Image.Image) -> None:
        import av

        if self._size is None:
            self._size = picture.size
            self._stream.width, self._stream.height = map(_even, picture.size)
        pixels = np.asarray(_padded(_fitted(picture, self._size)))
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (self._error, OSError) as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from None

    def close(self) -> None:
        try:
            if self._size is not None:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
            self._container.close()
        except (self._error, OSError) as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from None


def _even(length: int) -> int:
    return length + length % 2


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in this size, with black bars where its sides have another ratio."""
    if picture.size == size:
        return picture
    scale = min(size[0] / picture.width, size[1] / picture.height)
    scaled = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    )
    whole = Image.new("RGB", size)
    whole.paste(scaled, ((size[0] - scaled.width) // 2, (size[1] - scaled.height) // 2))
    return whole


def _padded(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if (_even(width), _even(height)) == picture.size:
        return picture
    whole = Image.new("RGB", (_even(width), _even(height)))
    # Shifted by one towards the end first, so that what is left of it repeats the edge.
    for place in ((width % 2, height % 2), (0, height % 2), (width % 2, 0), (0, 0)):
        whole.paste(picture, place)
    return whole


def _accepted() -> str:
    return f"a file that ends with {', '.join(VIDEOS)}, or a folder"
