"""`infergraph demo --save`: what was said, saved as sound."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .pictures import files

if TYPE_CHECKING:
    from ..v2 import Message

FORMATS = (".wav", ".flac")


def check(path: Path) -> None:
    """Raises ConfigurationError unless a file can be saved there."""
    if not path.parent.is_dir():
        raise ConfigurationError(f"--save {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigurationError(f"--save {path}: it cannot be written")


def save(path: Path, answer: Message, name: str) -> list[Path]:
    """Saves each item of the answer's first output that holds sound; returns the files.

    Args:
        path: Of several sounds each gets a number, see `pictures.files`.
        answer: Of a pipeline or model.
        name: Its name, for errors.

    Raises:
        ConfigurationError: the answer has no sound, or a file cannot be written.
    """
    import soundfile

    for tensor in answer.tensors:
        said = tensor.data.ravel().tolist() if tensor.datatype == "BYTES" else []
        if said and all(each.startswith((b"RIFF", b"fLaC")) for each in said):
            written = files(path, len(said))
            for file, each in zip(written, said, strict=True):
                samples, rate = soundfile.read(io.BytesIO(each), dtype="int16")
                try:
                    soundfile.write(file, samples, rate, subtype="PCM_16")
                except (OSError, soundfile.LibsndfileError) as error:
                    raise ConfigurationError(f"--save {file}: {error}") from None
            return written
    outputs = ", ".join(f"{tensor.name} {tensor.datatype}" for tensor in answer.tensors)
    raise ConfigurationError(
        f"--save {path}: the answer of {name} has no sound to save; its outputs: {outputs}"
    )
