"""Encoded images (JPEG, PNG, WebP) to pixels, in bounded memory."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from ..errors import InvalidInput
from .image_headers import DamagedImage, ImageHeader, reader_of

ACCEPTED = "the bytes of a JPEG, PNG or WebP file"
"""What error texts call an acceptable image."""

MAX_IMAGE_PIXELS = 50_000_000
"""Most pixels of an image, unless a setting says otherwise."""

# How base64 of the three begins, and a data URL.
_BASE64_OF_IMAGE = re.compile(rb"/9j/|iVBORw0KGg|UklGR|data:image/")

# What the decoders raise on damaged data.
_UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)

Pixels = npt.NDArray[np.uint8]


def decode_image(data: bytes, *, max_pixels: int, tensor: str = "image") -> Pixels:
    """Decodes an image to RGB, the way up that its EXIF orientation says.

    The file's header is checked before any pixel is decoded, so that memory stays proportional to
    `max_pixels`. What is transparent shows white, as on a page. Of 16 bits a channel the upper 8
    count. CMYK is converted without its colour profile, and so are all others. It may be called
    in several threads at once.

    Args:
        data: The bytes of a JPEG, PNG or WebP file, recognised by their first bytes.
        max_pixels: Most pixels accepted, width times height.
        tensor: Names the input in error texts.

    Returns:
        UINT8 [height, width, 3], contiguous and writable; at least one pixel.

    Raises:
        InvalidInput: not an image of these formats, damaged or truncated, animated, or too large.
    """
    read_header = reader_of(data)
    if read_header is None:
        raise InvalidInput(f"tensor '{tensor}': {_not_image(data)}; accepted: {ACCEPTED}")
    try:
        header = read_header(data)
        _check_header(header, max_pixels, tensor)
        pixels = _rgb(_READERS[header.format](io.BytesIO(header.data)))
    except DamagedImage as error:
        raise _damaged(str(error), tensor) from None
    except _UNDECODABLE as error:
        raise _damaged(_reason(error), tensor) from None
    # A copy in any case: Pillow's own memory cannot be written to, of which torch would warn.
    return np.array(_upright(pixels, header.orientation), order="C")


def is_image(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG or WebP file."""
    return reader_of(data) is not None


def _check_header(header: ImageHeader, max_pixels: int, tensor: str) -> None:
    width, height = header.width, header.height
    if not width or not height:
        raise InvalidInput(
            f"tensor '{tensor}': an image of {width}x{height} pixels; accepted: at least 1x1"
        )
    if width * height > max_pixels:
        raise InvalidInput(
            f"tensor '{tensor}': an image of {width}x{height} pixels; accepted: at most "
            f"{max_pixels} pixels in all (setting 'max_image_pixels')"
        )
    if header.animated:
        raise InvalidInput(
            f"tensor '{tensor}': an animated {header.format}; accepted: {ACCEPTED} of one frame"
        )


_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
"""Not Image.open, which warns of large images on its own account."""


def _rgb(image: Image.Image) -> Pixels:
    image.load()
    if image.mode.startswith("I"):
        return _rgb_of_16_bits(np.asarray(image), image.info.get("transparency"))
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(page, layer).convert("RGB"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _rgb_of_16_bits(grey: npt.NDArray[Any], transparent: int | None) -> Pixels:
    # Pillow's own conversion cuts every value above 255 to 255.
    upper: Pixels = (grey >> 8).astype(np.uint8)
    if transparent is not None:
        upper[grey == transparent] = 255
    return np.repeat(upper[:, :, None], 3, axis=2)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # Of the turned picture: mirrored left to right, and upside down.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _not_image(data: bytes) -> str:
    if not data:
        return "no bytes"
    if _BASE64_OF_IMAGE.match(data):
        return (
            f"base64 text (begins with {data[:8]!r}); over REST, declare it with the tensor's "
            "parameter content_type 'base64'"
        )
    return f"not an image of a known format (begins with {data[:8]!r})"


def _damaged(reason: str, tensor: str) -> InvalidInput:
    return InvalidInput(
        f"tensor '{tensor}': a damaged image, or of an unknown encoding ({reason}); "
        f"accepted: {ACCEPTED}"
    )


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
