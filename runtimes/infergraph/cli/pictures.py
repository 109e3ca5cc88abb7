"""`infergraph demo --save`: what was answered, drawn on the pictures of the sample request."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from PIL import Image

    from ..v2 import Message, Tensor

FORMATS = (".png", ".jpg", ".jpeg", ".webp")


def check(path: Path, request: Message, name: str) -> None:
    """Raises ConfigurationError unless pictures of this request can be saved there."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(
            f"--save {path}: accepted: a name ending with {', '.join(FORMATS)}, or "
            "for sound .wav, .flac"
        )
    if not path.parent.is_dir():
        raise ConfigurationError(f"--save {path}: there is no folder {path.parent}")
    for file in files(path, len(pictures(request, name))):
        if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
            raise ConfigurationError(f"--save {path}: {file} cannot be written")


def files(path: Path, count: int) -> list[Path]:
    """The file of each picture: of `out.png`, for several, `out-1.png`, `out-2.png` and so on."""
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}-{number}") for number in range(1, count + 1)]


def pictures(request: Message, name: str) -> list[Image.Image]:
    """The pictures of a request as they are shown: of its first input that holds nothing else.

    Raises:
        ConfigurationError: it has none.
    """
    for tensor in request.tensors:
        if found := _pictures(tensor):
            return found
    inputs = ", ".join(f"{tensor.name} {tensor.datatype}" for tensor in request.tensors)
    raise ConfigurationError(
        f"--save: the sample request of {name} has no image to draw on; its inputs: {inputs}"
    )


def save(
    path: Path, request: Message, answer: Message, name: str, declared: Sequence[str] = ()
) -> list[Path]:
    """Draws each item of the answer on its picture; returns the files.

    Args:
        path: See `files`.
        request: The sample request.
        answer: To that request.
        name: Of the pipeline, for errors.
        declared: Names of its outputs, in order.

    Raises:
        ConfigurationError: a file cannot be written, or the answer's rows are not the pictures.
    """
    # Of the clients, which this package does not need otherwise.
    from infergraph_clients.annotation import annotate, by_picture, read_findings

    found = pictures(request, name)
    try:
        answers = by_picture({each.name: each.data for each in answer.tensors}, len(found))
    except ValueError as error:
        raise ConfigurationError(f"--save {path}: {error}") from None
    written = files(path, len(found))
    for file, picture, each in zip(written, found, answers, strict=True):
        problem = "; ".join(f"{status}: {text}" for status, text in each.errors) or None
        drawn = annotate(picture, read_findings(each.tensors, declared=declared), problem=problem)
        try:
            drawn.save(file)
        except OSError as error:
            raise ConfigurationError(f"--save {file}: {error.strerror or error}") from None
    return written


def _pictures(tensor: Tensor) -> list[Image.Image]:
    """The pictures of a tensor; none if one of its elements is no image."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if tensor.datatype != "BYTES":
        return []
    found = []
    for content in tensor.data.ravel():
        try:
            with Image.open(io.BytesIO(content)) as image:
                found.append(ImageOps.exif_transpose(image).convert("RGB"))
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            return []
    return found
