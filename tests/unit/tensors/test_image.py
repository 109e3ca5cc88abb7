from __future__ import annotations

import base64
import dataclasses
import io
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from infergraph.errors import DeadlineExceeded, InvalidInput, Overloaded
from infergraph.tensors import image, image_headers
from infergraph.tensors.decode_memory import DecodeMemory, decode_memory
from infergraph.tensors.image import decode_image, is_image
from tests.pictures import Pixels, encoded, pattern, pattern_file

PIXELS = 1_000_000
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def decode(data: bytes, *, pixels: int = PIXELS) -> Pixels:
    return decode_image(data, max_pixels=pixels)


def refusal(data: bytes, *, pixels: int = PIXELS) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode(data, pixels=pixels)
    return str(caught.value)


def as_pillow_shows_it(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as opened:
        return np.array(ImageOps.exif_transpose(opened).convert("RGB"))


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 16),
        ("JPEG", {"quality": 95}, 16),
        ("JPEG", {"quality": 95, "progressive": True, "optimize": True}, 16),
        ("JPEG", {"quality": 95, "keep_rgb": True}, 16),
        ("JPEG", {"quality": 95, "subsampling": 0, "restart_marker_rows": 1}, 16),
    ],
)
def test_formats_give_their_pixels(format: str, options: dict[str, Any], tolerance: int) -> None:
    picture = pattern()
    data = encoded(picture, format, **options)

    pixels = decode(data)

    assert is_image(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (32, 48, 3)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - picture).max() <= tolerance
    np.testing.assert_array_equal(pixels, as_pillow_shows_it(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_one_pixel_is_an_image(format: str) -> None:
    data = encoded(np.full((1, 1, 3), 90, np.uint8), format)

    np.testing.assert_allclose(decode(data), np.full((1, 1, 3), 90), atol=2)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker, before the orientation"
    exif[0x0112] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = encoded(pattern(), format, exif=exif, **lossless)

    pixels = decode(data)

    assert pixels.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, as_pillow_shows_it(data))


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"MM",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\xff\xff\xff\xff\0\0\0\0",
        b"no TIFF at all",
    ],
)
def test_exif_that_cannot_be_read_is_ignored(exif: bytes) -> None:
    picture = pattern()

    for format in ("PNG", "JPEG"):
        pixels = decode(encoded(picture, format, exif=b"Exif\0\0" + exif))
        np.testing.assert_allclose(pixels.astype(int), picture, atol=20)
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(picture), "PNG", exif=exif)), picture
    )


@pytest.mark.parametrize("orientation", [1, 2, 3, 5, 6, 8])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_is_decoded_no_larger_than_is_enough(
    orientation: int, options: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pattern_file(160, 120, format="JPEG", quality=95, exif=exif, **options)
    whole = decode(data)
    height, width = whole.shape[:2]
    asked: list[tuple[int, int]] = []

    def scaled(least: tuple[int, int] | None) -> Pixels:
        def enough(height: int, width: int) -> tuple[int, int] | None:
            asked.append((height, width))
            return least

        return decode_image(data, max_pixels=PIXELS, enough=enough)

    for scale in (8, 4, 2):
        pixels = scaled((height // scale, width // scale))
        assert pixels.shape == (-(-height // scale), -(-width // scale), 3)
        again = np.asarray(Image.fromarray(whole).reduce(scale))
        assert np.abs(pixels.astype(int) - again).mean() < 2
        assert scaled((height // scale + 1, 1)).shape[0] >= height // scale + 1
        assert scaled((1, width // scale + 1)).shape[1] >= width // scale + 1
    for least in (None, (height, width), (height, 1), (1000, 1000)):
        np.testing.assert_array_equal(scaled(least), whole)
    assert set(asked) == {(height, width)}


def test_of_sides_that_are_no_multiple_nothing_is_lost() -> None:
    data = pattern_file(161, 123, format="JPEG")

    pixels = decode_image(data, max_pixels=PIXELS, enough=lambda height, width: (1, 1))

    assert pixels.shape == (16, 21, 3)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_others_are_decoded_as_they_are(format: str) -> None:
    data = pattern_file(64, 48, format=format)

    pixels = decode_image(data, max_pixels=PIXELS, enough=lambda height, width: (1, 1))

    np.testing.assert_array_equal(pixels, decode(data))


def test_grey() -> None:
    grey = pattern()[:, :, 0]

    for format in ("PNG", "JPEG"):
        pixels = decode(encoded(grey, format, **({"quality": 95} if format == "JPEG" else {})))
        np.testing.assert_allclose(pixels.astype(int), np.stack([grey] * 3, axis=2), atol=4)
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(grey > 128), "PNG")),
        np.stack([np.where(grey > 128, 255, 0)] * 3, axis=2),
    )


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg(adobe: bool) -> None:
    # Both are stored inverted: with Adobe's marker, and by convention without it.
    picture = pattern()
    data = encoded(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95, subsampling=0)
    if not adobe:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]

    pixels = decode(data)

    assert np.abs(pixels.astype(int) - picture).max() <= 16
    assert pixels.std() > 30


def test_a_palette() -> None:
    image = Image.fromarray(pattern()).quantize(16)

    np.testing.assert_array_equal(
        decode(encoded(image, "PNG")), np.array(image.convert("RGB"), np.uint8)
    )


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_a_palette_with_transparent_colours_shows_white(transparency: int | bytes) -> None:
    image = Image.frombytes("P", (4, 1), bytes([0, 1, 2, 3]))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 10, 20, 30])
    data = encoded(image, "PNG", transparency=transparency)

    pixels = decode(data)[0].tolist()

    blue = [0, 0, 200] if transparency == 1 else [127, 127, 227]
    assert pixels == [[200, 0, 0], [255, 255, 255], blue, [10, 20, 30]]


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_what_is_transparent_shows_white(format: str) -> None:
    layer = np.zeros((16, 16, 4), np.uint8)
    layer[:, :8] = (10, 20, 30, 255)
    layer[:, 8:] = (99, 99, 99, 0)
    layer[8:] = (0, 0, 0, 51)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}

    pixels = decode(encoded(layer, format, **options))

    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[0, 15].tolist() == [255, 255, 255]
    assert pixels[15, 0].tolist() == [204, 204, 204]


def test_grey_with_alpha() -> None:
    image = Image.fromarray(np.array([[[40, 255], [40, 0]]], np.uint8))

    assert decode(encoded(image, "PNG")).tolist() == [[[40] * 3, [255] * 3]]


def test_a_transparent_colour_without_alpha() -> None:
    grey = encoded(Image.fromarray(np.array([[7, 8]], np.uint8)), "PNG", transparency=7)
    rgb = encoded(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), "PNG", transparency=(1, 2, 3))

    assert decode(grey).tolist() == [[[255] * 3, [8] * 3]]
    assert decode(rgb).tolist() == [[[255] * 3, [4, 5, 6]]]


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x40"), (2, b"\x1b"), (4, b"\x01\x23")])
def test_a_transparent_grey_of_few_bits(depth: int, row: bytes) -> None:
    count = min(4, 2**depth)
    greys = [255 * value // (2**depth - 1) for value in range(count)]
    for transparent in range(count):
        data = png(count, 1, depth, GREY, row, tRNS=struct.pack(">H", transparent))
        shown = [255 if value == transparent else grey for value, grey in enumerate(greys)]
        assert decode(data)[0, :, 0].tolist() == shown, transparent


def test_a_transparent_colour_of_16_bits() -> None:
    colours = [(0, 0, 0), (0x8000, 0x8000, 0x8000), (0x8000, 0, 0x8000)]
    row = struct.pack(">9H", *(value for colour in colours for value in colour))
    data = png(3, 1, 16, RGB, row, tRNS=struct.pack(">3H", *colours[1]))

    # Not black, which has the lower half of the transparent colour.
    assert decode(data).tolist() == [[[0, 0, 0], [255, 255, 255], [128, 0, 128]]]


@pytest.mark.parametrize(
    ("depth", "colours", "row"), [(2, GREY, b"\0"), (16, RGB, bytes(6)), (4, GREY, b"\0")]
)
def test_a_transparent_colour_that_is_cut_off(depth: int, colours: int, row: bytes) -> None:
    for content in (b"", b"\0"):
        assert "a damaged image" in refusal(png(1, 1, depth, colours, row, tRNS=content))


def test_a_transparent_colour_whose_checksum_is_wrong() -> None:
    data = bytearray(png(1, 1, 2, GREY, b"\0", tRNS=b"\0\1"))
    data[data.index(b"tRNS") + 5] ^= 1

    assert "the checksum of its chunk b'tRNS' is wrong" in refusal(bytes(data))


def test_16_bits_a_channel() -> None:
    values = [0, 255, 256, 0x1234, 0x8000, 0xFF00, 0xFFFF]
    upper = [value >> 8 for value in values]
    row = struct.pack(">7H", *values)
    colours = b"".join(struct.pack(">HHH", value, 0, 0xFFFF) for value in values)
    layers = b"".join(struct.pack(">HHHH", value, 0, 0, 0xFFFF) for value in values)

    assert decode(png(7, 1, 16, GREY, row)).tolist() == [[[value] * 3 for value in upper]]
    assert decode(png(7, 1, 16, RGB, colours)).tolist() == [[[v, 0, 255] for v in upper]]
    assert decode(png(7, 1, 16, RGBA, layers)).tolist() == [[[v, 0, 0] for v in upper]]
    with_key = png(7, 1, 16, GREY, row, tRNS=struct.pack(">H", 0x1234))
    assert decode(with_key)[0, 3].tolist() == [255, 255, 255]
    assert decode(with_key)[0, 4].tolist() == [0x80] * 3


def test_few_bits_a_pixel() -> None:
    assert decode(png(4, 1, 2, GREY, b"\x1b"))[0, :, 0].tolist() == [0, 85, 170, 255]
    assert decode(png(2, 1, 4, GREY, b"\x0f"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "tensor 'image': no bytes; accepted: the bytes of a JPEG, PNG or WebP file"),
        (b"hello world", "not an image of a known format (begins with b'hello wo')"),
        (b"GIF89a\x01\0\x01\0", "not an image of a known format (begins with b'GIF89a"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not an image of a known format"),
        (b"\xff\xd8\xff", "it ends within its header"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "it ends within its header"),
        (b"\xff\xd8\xff\xd9", "it ends within its header"),
        (b"\xff\xd8\xff\xda\0\x02", "it has no header of a picture"),
        (b"\xff\xd8\xff\xc0\0\x03\x08", "its header is too short"),
        (b"\x89PNG\r\n\x1a\n", "it is truncated"),
        (b"RIFF\x04\0\0\0WEBP", "it ends within its header"),
        (b"RIFF\x16\0\0\0WEBPVP8?" + bytes(14), "it has the unknown chunk b'VP8?'"),
        (b"RIFF\xff\0\0\0WEBPVP8 " + bytes(40), "it is truncated"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, text: str) -> None:
    refused = refusal(data)

    assert text in refused
    assert refused.endswith("accepted: the bytes of a JPEG, PNG or WebP file")


def test_the_tensor_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"^tensor 'photo': no bytes"):
        decode_image(b"", max_pixels=1, tensor="photo")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_base64_text_is_recognised(format: str) -> None:
    data = base64.b64encode(pattern_file(format=format))

    assert "base64 text (begins with b'" in refusal(data)
    assert "content_type 'base64'" in refusal(b"data:image/png;base64," + data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_image_is_refused(format: str) -> None:
    data = pattern_file(200, 150, format=format)

    for length in (len(data) - 1, len(data) - 2, len(data) // 2, 100, 40, 20):
        assert "a damaged image" in refusal(data[:length])


def test_a_damaged_png_is_refused() -> None:
    data = bytearray(pattern_file())
    data[len(data) // 2] ^= 1

    assert "the checksum of its chunk b'IDAT' is wrong" in refusal(bytes(data))
    assert "a damaged image" in refusal(png(8, 8, 8, GREY, b"", compressed=b"no deflate"))
    assert "a damaged image" in refusal(png(8, 8, 7, GREY, bytes(64)))


def test_a_damaged_webp_or_jpeg_is_refused() -> None:
    webp = bytearray(pattern_file(400, 300, format="WEBP"))
    webp[len(webp) // 2] ^= 0xFF
    jpeg = pattern_file(format="JPEG")
    # Without its quantization tables.
    start = jpeg.index(b"\xff\xdb")
    end = jpeg.index(b"\xff\xc0")

    assert "a damaged image" in refusal(bytes(webp))
    assert "a damaged image" in refusal(jpeg[:start] + jpeg[end:])


@pytest.mark.parametrize(("format", "name"), [("PNG", "PNG"), ("WEBP", "WebP")])
def test_an_animation_is_refused(format: str, name: str) -> None:
    frames = [Image.fromarray(pattern(seed=seed)) for seed in range(3)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=40)

    assert refusal(data) == (
        f"tensor 'image': an animated {name}; "
        "accepted: the bytes of a JPEG, PNG or WebP file of one frame"
    )


def test_of_several_pictures_in_a_jpeg_the_first_is_taken() -> None:
    pictures = [Image.fromarray(pattern(seed=seed)) for seed in range(2)]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:], quality=95)

    assert np.abs(decode(data).astype(int) - pattern()).max() <= 16


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_too_many_pixels(format: str) -> None:
    data = pattern_file(50, 20, format=format)

    assert decode(data, pixels=1000).shape == (20, 50, 3)
    assert refusal(data, pixels=999) == (
        "tensor 'image': an image of 50x20 pixels; accepted: at most 999 pixels in all "
        "(setting 'max_image_pixels')"
    )


def test_a_header_that_claims_too_much_is_refused_before_anything_is_decoded() -> None:
    jpeg = bytearray(pattern_file(format="JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff" * 2
    claims = {
        "65535x65535": bytes(jpeg),
        "2147483647x2147483647": png(2**31 - 1, 2**31 - 1, 8, RGB, b""),
        "16777216x16777216": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(3) + b"\xff" * 6,
        "16384x16384": b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + bytes(8),
        "16383x16383": b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    }

    for size, data in claims.items():
        tracemalloc.start()
        refused = refusal(data, pixels=100_000_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert f"an image of {size} pixels; accepted: at most 100000000" in refused
        assert peak < 1_000_000


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_more_pixels_than_pillow_likes_are_left_to_the_setting(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pattern_file(format=format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)

    assert decode(data).shape == (32, 48, 3)


def test_no_pixels() -> None:
    assert "an image of 0x5 pixels; accepted: at least 1x1" in refusal(png(0, 5, 8, GREY, b""))


def test_compressed_text_is_not_unpacked() -> None:
    bomb = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
    data = png(4, 1, 8, GREY, bytes([1, 2, 3, 4]), zTXt=bomb, iCCP=bomb, acTl=b"?")

    tracemalloc.start()
    assert decode(data)[0, :, 0].tolist() == [1, 2, 3, 4]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


def test_threads_do_not_disturb_each_other() -> None:
    files = [
        pattern_file(300, 200, seed=seed, format=format)
        for seed in range(8)
        for format in ("JPEG", "PNG", "WEBP")
    ]
    alone = [decode(file) for file in files]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, files * 4))

    for index, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, alone[index % len(files)])


@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16"])
def test_strips_fit_together(mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(pattern(50, 37))
    if mode == "I;16":
        picture = Image.fromarray((np.arange(50 * 37) * 30).astype(np.uint16).reshape(37, 50))
    elif mode == "RGBA":
        picture.putalpha(Image.fromarray(pattern(50, 37, seed=1)[:, :, 0]))
    else:
        picture = picture.convert(mode)
    data = encoded(picture, "PNG", exif=exif)
    whole = decode(data)

    for pixels in (1, 120, 50 * 36):
        monkeypatch.setattr(image, "_STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(decode(data), whole)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_what_was_decoded_is_checked_again(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pattern_file(format=format)
    header = image_headers.reader_of(data)(data)  # type: ignore[misc]
    wrong = dataclasses.replace(header, width=3, height=2)
    monkeypatch.setattr(image, "reader_of", lambda _: lambda _: wrong)

    assert "its header says 3x2 pixels, its picture has 48x32" in refusal(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory when reading image file")])
def test_a_lack_of_memory_is_no_damage(
    error: Exception, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any) -> None:
        raise error

    for kind in (JpegImageFile, PngImageFile, WebPImageFile):
        monkeypatch.setattr(kind, "load", fail)

    with pytest.raises(Overloaded) as caught:
        decode(pattern_file(format=format))

    assert str(caught.value) == (
        "tensor 'image': an image of 48x32 pixels: not enough memory to decode it now; "
        "try again later"
    )
    assert decode_memory().held == 0


def test_a_lack_of_memory_for_the_file_itself_is_no_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(image, "reader_of", lambda _: fail)

    with pytest.raises(Overloaded, match=r"^tensor 'image': an image: not enough memory"):
        decode(pattern_file())


def test_memory_is_reserved_until_the_pixels_are_freed() -> None:
    pixels = decode(pattern_file())
    view = pixels[3:, 2:].transpose(1, 0, 2)

    assert decode_memory().held == 32 * 48 * image.KEPT_COST
    del pixels
    assert decode_memory().held == 32 * 48 * image.KEPT_COST
    del view
    assert decode_memory().held == 0
    refusal(pattern_file()[:-20])
    assert decode_memory().held == 0


@pytest.mark.parametrize(
    ("format", "options", "cost"),
    [
        ("PNG", {}, 10),
        ("JPEG", {}, 10),
        ("JPEG", {"progressive": True}, 12),
        ("WEBP", {}, 24),
    ],
)
def test_decoding_reserves_what_the_format_needs(
    format: str, options: dict[str, Any], cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pattern_file(format=format, **options)
    enough = DecodeMemory(1536 * cost)
    monkeypatch.setattr(image, "decode_memory", lambda: enough)

    assert decode(data).shape == (32, 48, 3)
    monkeypatch.setattr(image, "decode_memory", lambda: DecodeMemory(1536 * cost - 1))
    assert refusal(data) == (
        "tensor 'image': an image of 48x32 pixels: decoding takes up to "
        f"{1536 * cost} bytes of memory; accepted: at most {1536 * cost - 1} "
        "(environment variable INFERGRAPH_DECODE_MEMORY_BYTES)"
    )


def test_what_waits_for_memory_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = DecodeMemory(20_000)
    monkeypatch.setattr(image, "decode_memory", lambda: memory)
    data, held = pattern_file(), memory.reserve(10_000, "another")

    def gone() -> None:
        raise DeadlineExceeded("too late")

    with pytest.raises(DeadlineExceeded):
        decode_image(data, max_pixels=PIXELS, check=gone)

    held.release()
    assert decode_image(data, max_pixels=PIXELS, check=gone).shape == (32, 48, 3)


def png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    data: bytes,
    *,
    compressed: bytes | None = None,
    **chunks: bytes,
) -> bytes:
    """A PNG of rows of samples; `chunks` go before the pixels."""
    row = len(data) // height if data else 0
    lines = b"".join(b"\0" + data[start : start + row] for start in range(0, len(data), row or 1))
    parts = {
        "IHDR": struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0),
        **chunks,
        "IDAT": zlib.compress(lines) if compressed is None else compressed,
        "IEND": b"",
    }
    file = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts.items():
        chunk = kind.encode() + content
        file += struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return file
