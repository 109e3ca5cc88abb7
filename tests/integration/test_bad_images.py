"""Bad images and boxes: a 400 that says what is wrong, and a healthy server; odd ones are read."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.exhaustive import one_in

from .conftest import FRONT_ENDS, Connect
from .server import ServerProcess
from .streets import encoded, jpeg, street, true_boxes
from .test_bad_input import assert_refused

MODELS = (
    "object-detection",
    "resnet",
    "content-safety",
    "image-preprocess",
    "video",
    "cascade",
    "ensemble",
    "preprocess",
)
VEHICLES = ("car", "truck", "bus")


def picture() -> Image.Image:
    return street("mixed", 5).image


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of some kilobytes that claims, and holds, 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def animation() -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])


BAD_IMAGES: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "no bytes": (lambda: b"", ("tensor 'image'", "no bytes", "accepted: the bytes of a JPEG")),
    "text": (lambda: b"a street", ("not an image of a known format", "b'a street'")),
    "a GIF": (lambda: saved(picture(), "GIF"), ("not an image of a known format", "GIF8")),
    "a truncated JPEG": (lambda: jpeg(picture())[:9000], ("a damaged image",)),
    "a truncated PNG": (lambda: saved(picture(), "PNG")[:9000], ("a damaged image",)),
    "an animation": (animation, ("an animated WebP", "of one frame")),
    "a decompression bomb": (bomb, ("60000x60000 pixels", "setting 'max_image_pixels'")),
    "over the limit": (
        lambda: saved(Image.new("1", (8000, 7000)), "PNG"),
        ("8000x7000 pixels", "accepted: at most 50000000 pixels"),
    ),
    "base64 text": (lambda: b"/9j/4AAQSkZJRgABAQ", ("base64 text", "content_type 'base64'")),
}


@cache
def bad_image(name: str) -> bytes:
    return BAD_IMAGES[name][0]()


@cache
def good_image() -> bytes:
    return jpeg(picture())


@pytest.mark.parametrize(
    ("name", "model", "front_end"),
    one_in(
        3,
        [
            (name, MODELS[(row + column) % len(MODELS)], FRONT_ENDS[column % 2])
            for row, name in enumerate(BAD_IMAGES)
            for column in range(len(MODELS))
        ],
    ),
)
async def test_a_bad_image_is_400_and_the_server_stays_healthy(
    models: ServerProcess, connect: Connect, name: str, model: str, front_end: str
) -> None:
    bad, fragments = bad_image(name), BAD_IMAGES[name][1]
    client = connect(models, front_end)
    good = good_image()

    refused = await client.infer(model, {"image": [bad]})
    assert_refused(refused, 400, "tensor 'image'", *fragments)

    answer = await client.infer(model, {"image": [good, bad]})
    if model == "cascade":
        # It runs per item: the good one is answered.
        assert answer["error_item"].tolist() == [[1]]
        assert fragments[-1] in answer.texts("error")[0]
        assert len(answer["label"]) == 1
    else:
        assert_refused(answer, 400, "item 1", *fragments)
    assert (await client.infer(model, {"image": [good]})).status == 200


def exif_rotated() -> bytes:
    """The street stored on its side, with the note that it is to be turned back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


ODD_IMAGES: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: saved(picture().convert("CMYK"), "JPEG", quality=95),
    "palette": lambda: saved(picture().quantize(256), "PNG"),
    "EXIF-rotated": exif_rotated,
    "with alpha": lambda: saved(picture().convert("RGBA"), "PNG"),
    "WebP": lambda: saved(picture(), "WEBP", quality=95),
}


@pytest.mark.parametrize("name", ODD_IMAGES)
async def test_an_odd_image_is_seen_as_what_it_shows(
    models: ServerProcess, connect: Connect, name: str
) -> None:
    client = connect(models, "grpc")

    plain = await client.infer("video", {"image": [saved(picture(), "PNG")]})
    odd = await client.infer("video", {"image": [ODD_IMAGES[name]()]})

    count = int(plain["num_detections"][0, 0])
    assert count >= 4
    assert odd["num_detections"].tolist() == [[count]]
    # Scores of like height may change places.
    for box, label in zip(plain["boxes"][0, :count], plain["labels"][0], strict=False):
        distance = np.abs(odd["boxes"][0, :count] - box).max(axis=1)
        assert distance.min() < 8
        assert odd["labels"][0][distance.argmin()] == label


async def test_16_bits_and_one_pixel_are_images(models: ServerProcess, connect: Connect) -> None:
    client = connect(models, "rest")
    grey = np.asarray(picture().convert("L"))
    deep = saved(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    pixel = saved(Image.new("RGB", (1, 1), "red"), "PNG")

    flat = await client.infer("video", {"image": [saved(Image.fromarray(grey), "PNG")]})
    assert (await client.infer("video", {"image": [deep]})).values() == flat.values()
    for model in ("resnet", "content-safety", "cascade", "ensemble", "preprocess"):
        answer = await client.infer(model, {"image": [pixel]})
        assert answer.status == 200, answer.error
    answer = await client.infer("video", {"image": [pixel]})
    assert answer.status == 200 or "1x1 pixels" in answer.error


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(
    "model", ["resnet", "vehicle-classification", "human-classification", "plate-reading"]
)
async def test_bad_boxes_are_400(
    models: ServerProcess, connect: Connect, model: str, front_end: str
) -> None:
    client = connect(models, front_end)
    made = street("vehicles", 3)
    image = encoded([made])
    good = true_boxes(made, VEHICLES)

    def changed(row: int, box: list[float]) -> dict[str, Any]:
        boxes = good["boxes"].copy()
        boxes[0, row] = box
        return {"image": image, **good, "boxes": boxes}

    bad: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "outside": (changed(1, [700, 10, 800, 90]), ("tensor 'boxes'", "box 1", "700")),
        "not a number": (changed(0, [float("nan"), 0, 10, 10]), ("box 0", "nan")),
        "infinite": (changed(2, [0, 0, float("inf"), 10]), ("box 2", "inf")),
        "turned round": (changed(1, [90, 10, 20, 60]), ("box 1", "90")),
        "too many": (
            {"image": image, **good, "num_detections": np.array([[4]], np.int64)},
            ("num_detections", "4", "3"),
        ),
        "less than none": (
            {"image": image, **good, "num_detections": np.array([[-1]], np.int64)},
            ("num_detections", "-1"),
        ),
        "no count": ({"image": image, "boxes": good["boxes"]}, ("num_detections",)),
    }
    for name, (inputs, fragments) in bad.items():
        if front_end == "rest" and name in ("not a number", "infinite"):
            # JSON has neither: null stands for NaN.
            continue
        assert_refused(await client.infer(model, inputs), 400, f"model '{model}'", *fragments)
    partly = await client.infer(model, changed(1, [600, 300, 900, 500]))
    assert partly.status == 200, partly.error
    none = {"image": image, **good, "num_detections": np.array([[0]], np.int64)}
    answer = await client.infer(model, none)
    output = "text" if model == "plate-reading" else "label"
    assert answer.texts(output) == [""] * 3
    assert answer["score"].tolist() == [[0.0, 0.0, 0.0]]
