"""What is written of each frame: a picture into a video file or a folder, and a line of JSON."""

from __future__ import annotations

import abc
import base64
import contextlib
import json
import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image, ImageOps

from ..annotation import BoxSet, Findings, annotate
from ..errors import ClientError, UsageError
from .frames import Result

if TYPE_CHECKING:
    from av.video.stream import VideoStream

STDOUT = Path("-")
VIDEOS = (".mp4", ".mkv", ".mov", ".avi")
_ENCODERS = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qscale": "3"}}
_JPEG_QUALITY = 92
_BOX_DECIMALS = 2
_DECIMALS = 4


class OutputError(ClientError):
    """An output cannot be written. What was written is there, as far as the disk took it."""

    exit_status = 1


@contextlib.contextmanager
def _writing(path: Path | None, *errors: type[Exception]) -> Iterator[None]:
    """Raises OutputError for an error of the system, or of these kinds."""
    caught: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except BrokenPipeError:
        raise
    except caught as error:
        raise OutputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


class Writer:
    """A context manager. Makes its files when the first result comes, and none before.

    Args:
        output: A video or a folder; None for no pictures.
        lines: A JSON Lines file, `-` for stdout; None for none.
        rate: Frames per second of the video.

    Attributes:
        objects: How many objects the answers have told of.
    """

    def __init__(self, output: Path | None, lines: Path | None, rate: Fraction) -> None:
        self._output, self._lines, self._rate = output, lines, rate
        self._sink: Sink | None = None
        self._file: IO[str] | None = None
        self._open: contextlib.ExitStack | None = None
        self.objects = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def write(self, result: Result) -> None:
        """Writes one result, in the order of the frames. OutputError if a file cannot be."""
        if self._open is None:
            self._open = contextlib.ExitStack()
            if self._lines == STDOUT:
                self._file = sys.stdout
            elif self._lines is not None:
                with _writing(self._lines):
                    self._file = self._open.enter_context(self._lines.open("w", encoding="utf-8"))
            if self._output is not None:
                self._sink = open_sink(self._output, self._rate)
                self._open.callback(self._sink.close)
        picture, findings = result.frame.picture, result.findings or Findings()
        self.objects += findings.count or 0
        if self._sink is not None and picture is not None:
            error = result.error
            problem = None if error is None else f"{type(error).__name__}: {error}"
            drawn = annotate(picture, findings, caption="inside", problem=problem)
            self._sink.add(result.frame.name, drawn)
        if self._file is not None:
            line = json.dumps(record(result), ensure_ascii=False, allow_nan=False)
            with _writing(self._lines):
                print(line, file=self._file, flush=True)


def record(result: Result) -> dict[str, Any]:
    """A frame's line.

    `answer` has each set of boxes as a list of its objects, with `box` and all that is said of it,
    and every other tensor by its name: what is of one element as a value. `error` has `class`,
    `status` where the server gave one, and `text`. One of the two is null.
    """
    frame, findings, error = result.frame, result.findings, result.error
    return {
        "index": frame.index,
        "time": round(frame.seconds, 6),
        "name": frame.name,
        "latency_ms": round(result.seconds * 1000, 3),
        "answer": None if findings is None else answer_json(findings),
        "error": None if error is None else _error_json(error),
    }


def answer_json(findings: Findings) -> dict[str, Any]:
    """What was found, without the rows that do not count."""
    rest = {
        name: _value(data.ravel()[0] if data.size == 1 else data)
        for name, data in findings.rest.items()
    }
    return {**rest, **{each.name: _objects(each) for each in findings.sets}}


def _error_json(error: ClientError) -> dict[str, Any]:
    status = {} if error.status is None else {"status": error.status}
    return {"class": type(error).__name__, **status, "text": error.text}


def _objects(boxes: BoxSet) -> list[dict[str, Any]]:
    return [
        {
            "box": _value(corners, _BOX_DECIMALS),
            **{name: _value(data[row]) for name, data in boxes.columns.items()},
        }
        for row, corners in enumerate(boxes.boxes)
    ]


def _value(value: Any, decimals: int = _DECIMALS) -> Any:
    """Something of JSON: bytes that are no text as base64, what is not finite as null."""
    if isinstance(value, np.ndarray):
        return [_value(each, decimals) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, decimals) if math.isfinite(value) else None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return value


def check_sink(path: Path) -> None:
    """UsageError unless pictures can go there; writes nothing."""
    accepted = f"a file that ends with {', '.join(VIDEOS)}, or a folder"
    if _is_folder(path):
        if path.is_file():
            raise UsageError(f"--output {path}: it is a file; accepted: {accepted}")
        path = path.absolute()
    elif path.suffix.lower() not in VIDEOS:
        raise UsageError(f"--output {path}: accepted: {accepted}")
    check_parent(path, "--output")


def check_parent(path: Path, option: str) -> None:
    """UsageError unless a file may be made at this path."""
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix


def open_sink(path: Path, rate: Fraction) -> Sink:
    """The output at a path that `check_sink` has passed: a folder exists, or has no ending."""
    return PictureFolder(path) if _is_folder(path) else VideoFile(path, rate)


class Sink(abc.ABC):
    """Takes pictures in order."""

    @abc.abstractmethod
    def add(self, name: str, picture: Image.Image) -> None:
        """Writes a picture. Raises OutputError."""

    def close(self) -> None:  # noqa: B027
        """Ends the file, which is of no use before. Raises OutputError."""


class PictureFolder(Sink):
    """One JPEG for each picture; the folder is made where it does not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, picture: Image.Image) -> None:
        with _writing(self._path):
            self._path.mkdir(exist_ok=True)
            picture.save(self._path / f"{name}.jpg", quality=_JPEG_QUALITY)


class VideoFile(Sink):
    """H.264, or MPEG-4 where FFmpeg was built without it.

    The first picture decides the size; later ones of another size are fitted into it. An odd side
    is made even, as both codecs need it, by repeating the last row or column.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        import av

        self._path, self._error = path, av.FFmpegError
        self._size: tuple[int, int] | None = None
        encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        with _writing(path, self._error):
            self._container = av.open(str(path), "w")
            # MPEG-4 counts time in no finer parts than 1 / 65535 s.
            rate = rate.limit_denominator(1001)
            stream = self._container.add_stream(encoder, rate=rate, options=_ENCODERS[encoder])
        self._stream = cast("VideoStream", stream)
        self._stream.pix_fmt = "yuv420p"

    def add(self, name: str, picture: Image.Image) -> None:
        import av

        if self._size is None:
            self._size = picture.size
            self._stream.width, self._stream.height = (side + side % 2 for side in picture.size)
        pixels = np.asarray(_fitted(picture, self._size))
        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        self._encode(av.VideoFrame.from_ndarray(even, format="rgb24"))

    def close(self) -> None:
        if self._size is not None:
            self._encode(None)
        with _writing(self._path, self._error):
            self._container.close()

    def _encode(self, frame: Any) -> None:
        with _writing(self._path, self._error):
            self._container.mux(self._stream.encode(frame))


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in this size, with black bars where its sides have another ratio."""
    return picture if picture.size == size else ImageOps.pad(picture, size)
