"""`Encoding`: a form in which a content becomes one tensor."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..v2.payload import Tensor
from .contents import Content, Kind, wav_bytes

Role = Literal["media", "numbers", "text"]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's, which most classifiers of images are trained with."""
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Encoding:
    """A form of a content.

    Attributes:
        name: As reports and `--encodings` call it.
        kind: Of the content.
        role: An encoded file, numbers, or text; a model has an input of its own for each.
        datatype: Of the tensor.
        lossy: Whether the content cannot be had back from it.
        make: The tensor's shape and values.
    """

    name: str
    kind: Kind
    role: Role
    datatype: str
    lossy: bool
    make: Callable[[Content], tuple[tuple[int, ...], Any]]

    def tensor(self, name: str, content: Content) -> Tensor:
        """The content as a tensor."""
        shape, values = self.make(content)
        return Tensor(name, self.datatype, shape, values)


def _fp32(content: Content) -> tuple[tuple[int, ...], Any]:
    samples = content.value.astype(np.float32) / np.float32(32768)
    return (1, len(samples)), samples


def _fp16(content: Content) -> tuple[tuple[int, ...], Any]:
    shape, samples = _fp32(content)
    return shape, samples.astype(np.float16)


def _file(data: bytes) -> tuple[tuple[int, ...], Any]:
    return (1, 1), [data]


def _wav(content: Content) -> tuple[tuple[int, ...], Any]:
    return _file(wav_bytes(content.value, content.rate))


def _flac(content: Content) -> tuple[tuple[int, ...], Any]:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, content.value, content.rate, format="FLAC", subtype="PCM_16")
    return _file(file.getvalue())


def _uint8_pixels(content: Content) -> tuple[tuple[int, ...], Any]:
    return (1, *content.value.shape), content.value.ravel()


def _fp32_pixels(content: Content) -> tuple[tuple[int, ...], Any]:
    scaled = content.value.astype(np.float32) / np.float32(255)
    planes = np.ascontiguousarray(((scaled - _MEAN) / _STD).transpose(2, 0, 1))
    return (1, *planes.shape), planes.ravel()


def _fp16_pixels(content: Content) -> tuple[tuple[int, ...], Any]:
    shape, values = _fp32_pixels(content)
    return shape, values.astype(np.float16)


def _image_file(content: Content, **how: Any) -> tuple[tuple[int, ...], Any]:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(content.value).save(file, **how)
    return _file(file.getvalue())


def _png(content: Content) -> tuple[tuple[int, ...], Any]:
    return _image_file(content, format="PNG")


def _jpeg(content: Content) -> tuple[tuple[int, ...], Any]:
    return _image_file(content, format="JPEG", quality=_JPEG_QUALITY)


def _plain(content: Content) -> tuple[tuple[int, ...], Any]:
    return _file(content.value.encode())


ENCODINGS = (
    Encoding("fp32", "audio", "numbers", "FP32", False, _fp32),
    Encoding("fp16", "audio", "numbers", "FP16", True, _fp16),
    Encoding("wav", "audio", "media", "BYTES", False, _wav),
    Encoding("flac", "audio", "media", "BYTES", False, _flac),
    Encoding("uint8", "image", "numbers", "UINT8", False, _uint8_pixels),
    Encoding("fp32", "image", "numbers", "FP32", False, _fp32_pixels),
    Encoding("fp16", "image", "numbers", "FP16", True, _fp16_pixels),
    Encoding("png", "image", "media", "BYTES", False, _png),
    Encoding("jpeg", "image", "media", "BYTES", True, _jpeg),
    Encoding("text", "text", "text", "BYTES", False, _plain),
)
"""All: of each kind, the plainest first."""
ENCODING_NAMES = tuple(dict.fromkeys(each.name for each in ENCODINGS))
INSTEAD_OF: dict[tuple[Kind, str], str] = {
    ("audio", "fp16"): "fp32",
    ("audio", "wav"): "fp32",
    ("audio", "flac"): "wav",
    ("image", "fp32"): "uint8",
    ("image", "fp16"): "fp32",
    ("image", "png"): "uint8",
    ("image", "jpeg"): "png",
}
"""What each encoding is compared with."""


def encodings_of(kind: Kind, names: frozenset[str]) -> list[Encoding]:
    """Those of a kind with one of the names, in order."""
    return [each for each in ENCODINGS if each.kind == kind and each.name in names]
