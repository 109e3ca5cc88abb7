"""`Content`: what is sent, before any encoding; from a file, or made from a seed."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import LoadError

Kind = Literal["audio", "image", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SAMPLE_RATE = 16_000
"""Of made audio, in Hz: what recognisers of speech take."""
LIMITS: dict[Kind, tuple[int, int, str]] = {
    "audio": (1, 600, "s"),
    "image": (8, 8_192, "px"),
    "text": (1, 10_000_000, "characters"),
}
"""Smallest and largest size, and its unit. An image's is that of its side."""


@dataclass(frozen=True)
class Content:
    """A sound, an image or a text of one size.

    Attributes:
        kind: Which of the three.
        label: Its size, for reports.
        value: audio: INT16 [samples], mono; image: UINT8 [height, width, 3], RGB; text: a `str`.
        rate: Of audio, in Hz.
    """

    kind: Kind
    label: str
    value: Any
    rate: int = SAMPLE_RATE


def contents(kind: Kind, sizes: Sequence[int], file: Path | None, seed: int) -> list[Content]:
    """A content of each size.

    A sound or text is the beginning of the file's, and no longer than the file: sizes beyond are
    one. An image is the file's, scaled.

    Raises:
        LoadError: a size is out of `LIMITS`, or the file is not what it should be.
    """
    least, most, unit = LIMITS[kind]
    for size in sizes:
        if not least <= size <= most:
            raise LoadError(f"size {size} of {kind}; accepted: {least} to {most} {unit}")
    if file is None:
        found = [_made(kind, size, np.random.default_rng((seed, size))) for size in sizes]
    else:
        found = _from_file(kind, sizes, file)
    return list({content.label: content for content in found}.values())


def _made(kind: Kind, size: int, rng: np.random.Generator) -> Content:
    if kind == "audio":
        return _audio(made_sound(size, rng), SAMPLE_RATE, size)
    if kind == "image":
        return Content("image", f"{size} x {size}", made_image(size, rng))
    return _text(made_text(size, rng), size)


def _audio(samples: npt.NDArray[np.int16], rate: int, seconds: int) -> Content:
    cut = samples[: seconds * rate]
    return Content("audio", f"{len(cut) / rate:.3g} s", cut, rate)


def _text(text: str, characters: int) -> Content:
    cut = text[:characters]
    return Content("text", f"{len(cut)} characters", cut)


def made_sound(seconds: int, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Sound that packs about as speech does: voiced syllables, pauses and a little noise."""
    rate = SAMPLE_RATE
    count = seconds * rate
    sound = rng.standard_normal(count) * 0.004
    begin = 0
    while begin < count:
        length = min(int(rng.uniform(0.08, 0.35) * rate), count - begin)
        if rng.random() < 0.8:
            time = np.arange(length) / rate
            pitch = rng.uniform(90, 240) * (1 + 0.1 * time)
            voice = sum(
                rng.uniform(0.3, 1) / harmonic * np.sin(2 * np.pi * harmonic * pitch * time)
                for harmonic in range(1, 14)
            )
            sound[begin : begin + length] += 0.12 * voice * np.hanning(length)
        begin += length
    return np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def made_image(side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """An image that packs about as a photograph does: soft shapes, edges, and a sensor's noise."""
    y, x = np.mgrid[0:side, 0:side] / side
    image = np.empty((side, side, 3))
    for channel in range(3):
        image[..., channel] = 90 + 60 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))
    for _ in range(24):
        centre_x, centre_y, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.2)
        inside = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
        image[inside] = image[inside] * 0.4 + rng.uniform(0, 255, 3) * 0.6
    image += 12 * np.sin(40 * x * y + 9 * y)[..., None] + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def made_text(characters: int, rng: np.random.Generator) -> str:
    """A text that packs about as English does: made words, some far more often than others."""
    consonants, vowels = list("bcdfghlmnprstvw"), list("aeiou")
    words = [
        "".join(
            rng.choice(consonants) + rng.choice(vowels) for _ in range(1 + int(rng.integers(0, 4)))
        )
        for _ in range(2_000)
    ]
    weights = 1 / np.arange(1, len(words) + 1)
    pieces: list[str] = []
    size = 0
    while size < characters:
        sentence = rng.choice(words, int(rng.integers(4, 16)), p=weights / weights.sum())
        pieces.append(" ".join(sentence).capitalize() + ". ")
        size += len(pieces[-1])
    return "".join(pieces)[:characters]


def _from_file(kind: Kind, sizes: Sequence[int], file: Path) -> list[Content]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise LoadError(f"{kind} '{file}' cannot be read: {error.strerror}") from None
    if kind == "text":
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise LoadError(f"text '{file}' is not UTF-8") from None
        if not text:
            raise LoadError(f"text '{file}' is empty")
        return [_text(text, size) for size in sizes]
    if kind == "audio":
        samples, rate = _read_audio(file, data)
        return [_audio(samples, rate, size) for size in sizes]
    return [
        Content("image", f"{side} x {side}", pixels)
        for side, pixels in zip(sizes, _read_image(file, data, sizes), strict=True)
    ]


def _read_audio(file: Path, data: bytes) -> tuple[npt.NDArray[np.int16], int]:
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, TypeError):
        raise LoadError(f"audio '{file}' is no WAV, FLAC, OGG or MP3 file") from None
    if not len(samples):
        raise LoadError(f"audio '{file}' has zero length")
    return np.ascontiguousarray(samples[:, 0]), int(rate)


def _read_image(file: Path, data: bytes, sides: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError):
        raise LoadError(f"image '{file}' is no JPEG, PNG or WebP file") from None
    return [np.asarray(image.resize((side, side)), np.uint8) for side in sides]


def wav_bytes(samples: npt.NDArray[np.int16], rate: int) -> bytes:
    """A WAV file of 16-bit samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.astype("<i2", copy=False).tobytes())
    return file.getvalue()
