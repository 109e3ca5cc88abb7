"""Frames of an input, a video file or a folder of pictures, made ready to be sent."""

from __future__ import annotations

import abc
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from ..annotation import Findings
from ..errors import ClientError, UsageError

if TYPE_CHECKING:
    from av import VideoFrame

AS_THEY_ARE = ("JPEG", "PNG", "WEBP")
"""Formats of files that models take."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
DEFAULT_RATE = Fraction(25)
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


class InputError(ClientError):
    """The input cannot be decoded from here on. What was read until then has been written."""

    exit_status = 1


class UnreadableFrame(ClientError):
    """A picture of the input that cannot be decoded. Of one frame only."""

    exit_status = 1


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
class Result:
    """A frame and what came of it: what was found, or an error.

    Attributes:
        seconds: From the request to the answer or error.
    """

    frame: Frame
    seconds: float
    findings: Findings | None = None
    error: ClientError | None = None


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


class Source(abc.ABC):
    """An input.

    Args:
        selection: Which frames are taken.
        rate: Frames per second, of all.
        count: How many frames are taken; None if the input does not say.

    Attributes:
        rate: Of those that are taken.
    """

    def __init__(self, selection: Selection, rate: Fraction, count: int | None) -> None:
        self._selection, self._full_rate = selection, rate
        self.rate, self.count = rate / selection.every, count

    @abc.abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The frames in order, one at a time. Raises InputError."""

    def close(self) -> None:  # noqa: B027
        """Frees what it holds."""

    def _frame(
        self,
        index: int,
        seconds: float | None,
        name: str,
        called: str,
        read: Callable[[], tuple[bytes, Image.Image]],
    ) -> Frame:
        if seconds is None:
            seconds = float(index / self._full_rate)
        try:
            return Frame(index, seconds, name, *read())
        except Exception as error:
            # Decoders raise errors of all kinds; too many pixels are one of Pillow's own.
            problem = UnreadableFrame(f"{called}: {_reason(error)}")
            return Frame(index, seconds, name, problem=problem)


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


class PictureFolder(Source):
    """The pictures of a folder, in the order of the numbers in their names."""

    def __init__(self, path: Path, selection: Selection, rate: Fraction) -> None:
        files = by_number([each for each in path.iterdir() if each.suffix.lower() in PICTURES])
        if not files:
            raise UsageError(f"{path} holds no pictures; accepted: {', '.join(PICTURES)}")
        super().__init__(selection, rate, selection.count(len(files)))
        self._files = files

    def frames(self) -> Iterator[Frame]:
        stems = Counter(file.stem for file in self._files)
        chosen = range(0, len(self._files), self._selection.every)
        for index in chosen[: self._selection.most]:
            file = self._files[index]
            name = file.stem if stems[file.stem] == 1 else file.name
            yield self._frame(index, None, name, file.name, lambda file=file: self._read(file))  # type: ignore[misc]

    def _read(self, file: Path) -> tuple[bytes, Image.Image]:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            shown = ImageOps.exif_transpose(opened)
            picture = self._selection.scaled(shown)
            as_it_is = opened.format in AS_THEY_ARE and picture.size == shown.size
        return content if as_it_is else self._selection.encode(picture), picture


class VideoFile(Source):
    """The frames of the first video stream of a file, turned as its rotation says."""

    def __init__(self, path: Path, selection: Selection, rate: Fraction | None) -> None:
        try:
            import av
        except ImportError as error:
            raise UsageError(f"{error}; pip install 'infergraph-clients[video]'") from None
        self._path, self._error = path, av.FFmpegError
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise UsageError(f"{path} is no video: {_reason(error)}") from None
        if not self._container.streams.video:
            self._container.close()
            raise UsageError(f"{path} holds no video stream")
        self._stream = stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        own = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        # Frames carry times, which need not be regular.
        self._timed = rate is None
        count = selection.count(stream.frames) if stream.frames else selection.most
        super().__init__(selection, rate or own, count)

    def frames(self) -> Iterator[Frame]:
        taken = 0
        try:
            for index, decoded in enumerate(self._container.decode(self._stream)):
                if taken == self._selection.most:
                    return
                if index % self._selection.every == 0:
                    taken += 1
                    time = decoded.time if self._timed else None
                    name = f"frame-{index:06}"
                    yield self._frame(index, time, name, name, lambda it=decoded: self._read(it))  # type: ignore[misc]
        except self._error as error:
            raise InputError(
                f"{self._path} cannot be decoded after {taken} frames: {_reason(error)}"
            ) from None

    def close(self) -> None:
        self._container.close()

    def _read(self, decoded: VideoFrame) -> tuple[bytes, Image.Image]:
        picture = Image.fromarray(decoded.to_ndarray(format="rgb24"))
        turn = _TURNS.get(round(decoded.rotation) % 360)
        picture = self._selection.scaled(picture if turn is None else picture.transpose(turn))
        return self._selection.encode(picture), picture


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        # Its own text goes on with the buffer's address.
        return "cannot identify image file"
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
