"""Encoded images (JPEG, PNG, WebP) to pixels, in bounded memory."""

from __future__ import annotations

import io
import re
import struct
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from ..errors import InvalidInput
from .decode_memory import Check, Reservation, decode_memory, out_of_memory_as_overload
from .image_headers import DamagedImage, ImageHeader, reader_of
from .shared_media import shared_media

ACCEPTED = "the bytes of a JPEG, PNG or WebP file"
"""What error texts call an acceptable image."""

MAX_IMAGE_PIXELS = 50_000_000
"""Most pixels of an image, unless a setting says otherwise: a telephone's largest photograph."""
MAX_REQUEST_PIXELS = 200_000_000
"""Most pixels of all images of a request, unless a setting says otherwise."""

KEPT_COST = 10
"""Bytes of memory for each pixel of a decoded image: its 3, and what resizing it takes."""

# What is converted at a time, so that copies are small beside the image.
_STRIP_PIXELS = 1 << 20

# How base64 of the three begins, and a data URL.
_BASE64_OF_IMAGE = re.compile(rb"/9j/|iVBORw0KGg|UklGR|data:image/")

# What the decoders raise on damaged data.
_UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)

_JPEG_SCALES = (8, 4, 2)
"""By how much smaller a JPEG's decoder can make its image in passing."""

Pixels = npt.NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)
Enough = Callable[[int, int], "tuple[int, int] | None"]
"""From the height and width of an image to those that are as good to have; None is nothing less."""


def decode_image(
    data: bytes,
    *,
    max_pixels: int,
    tensor: str = "image",
    check: Check | None = None,
    enough: Enough | None = None,
) -> Pixels:
    """Decodes an image to RGB, the way up that its EXIF orientation says.

    The file's header is checked before any pixel is decoded, so that memory and time stay
    proportional to `max_pixels`; the decoder gets no other header to see. The memory is reserved
    in the process's budget, of which KEPT_COST a pixel stays reserved until the array is freed.
    What is transparent shows white, as on a page. Of 16 bits a channel the upper 8 count. CMYK is
    converted without its colour profile, and so are all others. It may be called in several threads
    at once.

    Args:
        data: The bytes of a JPEG, PNG or WebP file, recognised by their first bytes.
        max_pixels: Most pixels accepted, width times height.
        tensor: Names the input in error texts.
        check: Called while this waits for memory; what it raises ends the wait.
        enough: A JPEG need not be decoded larger than this says. It takes half the time at a half,
            quarter or eighth of its sides, and pixels are then means of others.

    Returns:
        UINT8 [height, width, 3], contiguous; at least one pixel. In the request of a pipeline it is
        decoded once for all steps, and read-only (`shared_media`); else it is writable.

    Raises:
        InvalidInput: not an image of these formats, damaged or truncated, animated, or too large.
        Overloaded: there is not enough memory now.
    """
    header = _accepted_header(data, max_pixels, tensor)
    what = f"tensor '{tensor}': an image of {header.width}x{header.height} pixels"
    scale = 1 if enough is None else _scale(header, enough)
    media = shared_media()
    if media is None:
        decoded, reservation = _decoded_within(header, scale, tensor, what, check)
        reservation.follow(decoded)
        return decoded
    shared: Pixels = media.get(
        data,
        lambda: _decoded_within(header, scale, tensor, what, check),
        form=scale,
        working=header.width * header.height * (KEPT_COST - 3) // scale**2,
        what=what,
        check=check,
    )
    return shared


def writable(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The same array, for libraries that ask for memory that they may write to, and do not write.

    Others may be reading it. It is copied where whose memory it is does not permit it.
    """
    view: npt.NDArray[Number] = values.view()
    try:
        view.flags.writeable = True
    except ValueError:
        view = values.copy()
    return view


def is_image(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG or WebP file."""
    return reader_of(data) is not None


def image_size(data: bytes, *, tensor: str = "image") -> tuple[int, int]:
    """Width and height of an image, the way up that its EXIF orientation says; nothing is decoded.

    Args:
        data: The bytes of a JPEG, PNG or WebP file.
        tensor: Names the input in error texts.

    Raises:
        InvalidInput: not an image of these formats, damaged, or animated.
    """
    header = _accepted_header(data, sys.maxsize, tensor)
    sides = header.width, header.height
    return sides if header.orientation < 5 else sides[::-1]


def _accepted_header(data: bytes, max_pixels: int, tensor: str) -> ImageHeader:
    read_header = reader_of(data)
    if read_header is None:
        raise InvalidInput(f"tensor '{tensor}': {_not_image(data)}; accepted: {ACCEPTED}")
    try:
        # It copies the file, without what is not the picture.
        with out_of_memory_as_overload(len(data), f"tensor '{tensor}': an image"):
            header = read_header(data)
    except DamagedImage as error:
        raise _damaged(str(error), tensor) from None
    _check_header(header, max_pixels, tensor)
    return header


def _scale(header: ImageHeader, enough: Enough) -> int:
    """By how much smaller an image may be decoded."""
    sides = (header.height, header.width)
    least = enough(*(sides if header.orientation < 5 else sides[::-1]))
    if header.format != "JPEG" or least is None:
        return 1
    wanted = least if header.orientation < 5 else least[::-1]
    fits = (
        scale
        for scale in _JPEG_SCALES
        if all(side // scale >= most for side, most in zip(sides, wanted, strict=True))
    )
    return next(fits, 1)


def _decoded_within(
    header: ImageHeader, scale: int, tensor: str, what: str, check: Check | None
) -> tuple[Pixels, Reservation]:
    """The pixels, and of the budget the KEPT_COST of each."""
    needed = header.width * header.height * max(header.cost, KEPT_COST)
    reservation = decode_memory().reserve(needed, what, check)
    try:
        with out_of_memory_as_overload(needed, what):
            decoded = _decoded(header, scale)
    except DamagedImage as error:
        reservation.release()
        raise _damaged(str(error), tensor) from None
    except _UNDECODABLE as error:
        reservation.release()
        raise _damaged(_reason(error), tensor) from None
    except BaseException:
        reservation.release()
        raise
    reservation.shrink(decoded.nbytes // 3 * KEPT_COST)
    return decoded, reservation


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


def _decoded(header: ImageHeader, scale: int = 1) -> Pixels:
    """The pixels, upright; raises DamagedImage, or what the decoders raise."""
    size = (header.width, header.height)
    with _READERS[header.format](io.BytesIO(header.data)) as image:
        _check_size(image.size, size)
        if scale > 1:
            image.draft(None, (size[0] // scale, size[1] // scale))
            size = (-(-size[0] // scale), -(-size[1] // scale))
        image.load()
        _check_size(image.size, size)
        return _upright_rgb(image, header.orientation)


def _check_size(decoded: tuple[int, int], claimed: tuple[int, int]) -> None:
    if decoded != claimed:
        raise DamagedImage(
            f"its header says {claimed[0]}x{claimed[1]} pixels, its picture has "
            f"{decoded[0]}x{decoded[1]}"
        )


def _upright_rgb(image: Image.Image, orientation: int) -> Pixels:
    """A loaded image's pixels, converted strip by strip."""
    width, height = image.size
    shape = (height, width, 3) if orientation < 5 else (width, height, 3)
    upright: Pixels = np.empty(shape, np.uint8)
    stored = _as_stored(upright, orientation)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = image if rows >= height else image.crop((0, top, width, bottom))
        stored[top:bottom] = _rgb(strip)
    return upright


def _rgb(image: Image.Image) -> Pixels:
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


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of an upright picture in which its rows and columns lie as they are stored."""
    pixels = upright
    # Of the turned picture: upside down, and mirrored left to right.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.transpose(1, 0, 2) if orientation >= 5 else pixels


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
