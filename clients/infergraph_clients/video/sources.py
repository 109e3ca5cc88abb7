"""Inputs: a video file, or a folder of pictures."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image, ImageOps

from ..errors import UsageError
from .errors import InputError, UnreadableFrame
from .frames import AS_THEY_ARE, Frame, Selection

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
DEFAULT_RATE = Fraction(25)
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


class Source(Protocol):
    """An input.

    Attributes:
        rate: Frames per second, of those that are taken.
        count: How many frames are taken; None if the input does not say.
    """

    rate: Fraction
    count: int | None

    def frames(self) -> Iterator[Frame]:
        """The frames in order, one at a time. Raises InputError."""
        ...

    def close(self) -> None: ...


def open_source(path: Path, selection: Selection, rate: Fraction | None = None) -> Source:
    """The input at a path.

    Args:
        path: A video file, or a folder of pictures.
        selection: Which frames are taken.
        rate: Frames per second of a folder; of a video, instead of its own.

    Raises:
        UsageError: there is none, or nothing in it that can be read.
    """
    if path.is_dir():
        return PictureFolder(path, selection, rate or DEFAULT_RATE)
    if not path.is_file():
        raise UsageError(f"{path}: no such file or folder")
    return VideoFile(path, selection, rate)


def by_number(paths: Sequence[Path]) -> list[Path]:
    """Paths in the order of the numbers in their names: 2 comes before 10."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.findall(r"\d+|\D+", path.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(paths, key=lambda path: (key(path), path.name))


class PictureFolder:
    """The pictures of a folder, in the order of the numbers in their names."""

    def __init__(self, path: Path, selection: Selection, rate: Fraction) -> None:
        files = by_number([each for each in path.iterdir() if each.suffix.lower() in PICTURES])
        if not files:
            raise UsageError(f"{path} holds no pictures; accepted: {', '.join(PICTURES)}")
        self._files = files
        self._stems = Counter(file.stem for file in files)
        self._selection = selection
        self._full_rate = rate
        self.rate = rate / selection.every
        self.count: int | None = selection.count(len(files))

    def frames(self) -> Iterator[Frame]:
        chosen = range(0, len(self._files), self._selection.every)
        for index in chosen[: self._selection.most]:
            yield self._frame(index)

    def close(self) -> None: ...

    def _frame(self, index: int) -> Frame:
        file = self._files[index]
        name = file.stem if self._stems[file.stem] == 1 else file.name
        seconds = float(index / self._full_rate)
        try:
            content = file.read_bytes()
            with Image.open(io.BytesIO(content)) as opened:
                shown = ImageOps.exif_transpose(opened)
                picture = self._selection.scaled(shown)
                as_it_is = opened.format in AS_THEY_ARE and picture.size == shown.size
            encoded = content if as_it_is else self._selection.encode(picture)
        except Exception as error:
            # Pillow's decoders raise errors of all kinds; too many pixels are one of its own.
            text = f"{file.name}: {_reason(error)}"
            return Frame(index, seconds, name, problem=UnreadableFrame(text))
        return Frame(index, seconds, name, encoded, picture)


class VideoFile:
    """The frames of the first video stream of a file, turned as its rotation says."""

    def __init__(self, path: Path, selection: Selection, rate: Fraction | None) -> None:
        try:
            import av
        except ImportError as error:
            raise UsageError(f"{error}; pip install 'infergraph-clients[video]'") from None
        self._path, self._selection = path, selection
        self._error = av.FFmpegError
        try:
            self._container: InputContainer = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise UsageError(f"{path} is no video: {_reason(error)}") from None
        if not self._container.streams.video:
            self._container.close()
            raise UsageError(f"{path} holds no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        own = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE
        self._full_rate = rate or own
        # Frames carry times, which need not be regular.
        self._timed = rate is None
        self.rate = self._full_rate / selection.every
        self.count: int | None = (
            selection.count(self._stream.frames) if self._stream.frames else selection.most
        )

    def frames(self) -> Iterator[Frame]:
        taken = 0
        try:
            for index, decoded in enumerate(self._container.decode(self._stream)):
                if taken == self._selection.most:
                    return
                if index % self._selection.every == 0:
                    taken += 1
                    yield self._frame(index, decoded)
        except self._error as error:
            raise InputError(
                f"{self._path} cannot be decoded after {taken} frames: {_reason(error)}"
            ) from None

    def close(self) -> None:
        self._container.close()

    def _frame(self, index: int, decoded: VideoFrame) -> Frame:
        name = f"frame-{index:06}"
        time = decoded.time if self._timed else None
        seconds = float(index / self._full_rate) if time is None else time
        try:
            picture = Image.fromarray(decoded.to_ndarray(format="rgb24"))
            turn = _TURNS.get(round(decoded.rotation) % 360)
            picture = self._selection.scaled(picture if turn is None else picture.transpose(turn))
            encoded = self._selection.encode(picture)
        except Exception as error:
            return Frame(index, seconds, name, problem=UnreadableFrame(f"{name}: {_reason(error)}"))
        return Frame(index, seconds, name, encoded, picture)


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
