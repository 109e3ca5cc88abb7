"""Lines of text as a recogniser sees them: cut straight out of signs, with where letters are."""

from __future__ import annotations

import functools
import hashlib
import inspect
import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from zoo import signs
from zoo.outside_pictures import outside_picture
from zoo.scene_light import photographed
from zoo.signs import CHARACTERS, Quad, draw_sign, straightened, wording
from zoo.vision_data import rendered
from zoo.world import Split

HEIGHT = 32
STEP = 4
"""Pixels of width for each of the network's steps."""
WIDTHS = 32
"""A line is padded to a multiple of this, so that what is read does not depend on its batch."""

LineExample = tuple[npt.NDArray[np.uint8], str, npt.NDArray[np.float32]]

PART = 2000
_PER_SEED = 10
_WIDEST = 416
_WITHOUT_TEXT = 0.05


def lines(split: Split, part: int) -> list[LineExample]:
    """About `PART` lines; parts have no sign in common.

    Returns:
        (pixels UINT8 [HEIGHT, width, 3], text, where each character's middle is FP32 [characters],
        in pixels from the left). The text is empty where there is none.
    """
    make = functools.partial(drawn, split=split)
    seeds = range(part * PART // _PER_SEED, (part + 1) * PART // _PER_SEED)
    version = hashlib.sha256((inspect.getsource(signs) + inspect.getsource(drawn)).encode())
    return rendered(f"lines {split} {version.hexdigest()[:8]}", make, seeds)


def drawn(seed: int, split: Split) -> list[LineExample]:
    """Ten lines or a few more, of a seed."""
    rng = random.Random(f"lines/{split}/{seed}")
    found: list[LineExample] = []
    while len(found) < _PER_SEED:
        if rng.random() < _WITHOUT_TEXT:
            shape = rng.randint(40, 160), rng.randint(20, 40)
            picture = Image.fromarray(outside_picture(rng.randrange(10_000), split, *shape))
            nothing = np.zeros(0, np.float32)
            found.append((np.asarray(picture.resize((shape[0], HEIGHT))), "", nothing))
            continue
        size = round(rng.triangular(13, 48, 26))
        sign = draw_sign(rng, wording(rng, split), signs.any_font(rng, split, size))
        image = photographed(rng, sign.image.convert("RGB"))
        if rng.random() < 0.35:
            image = image.filter(ImageFilter.GaussianBlur(size * rng.uniform(0.01, 0.045)))
        for line in sign.lines:
            quad = detected(rng, line.quad)
            pixels = np.asarray(straightened(image, quad, HEIGHT))
            if pixels.shape[1] <= _WIDEST:
                left, right = quad[[0, 3], 0].mean(), quad[[1, 2], 0].mean()
                x1, x2 = line.quad[0, 0], line.quad[1, 0]
                middles = x1 + np.array(line.centres, np.float32) * (x2 - x1)
                share = (middles - left) / (right - left)
                found.append((pixels, line.text, (share * pixels.shape[1]).astype(np.float32)))
    return found


def detected(rng: random.Random, quad: Quad) -> Quad:
    """A line's quad as a detector finds it: a little larger, and off at its ends most."""
    height = float(np.linalg.norm(quad[3] - quad[0]))
    out = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * height * 0.05
    moved = [[rng.uniform(-0.15, 0.15), rng.uniform(-0.11, 0.11)] for _ in range(4)]
    return quad + out + np.array(moved, np.float32) * height


def padded_width(width: int) -> int:
    """The width that a line of this width is padded to."""
    return -(-width // WIDTHS) * WIDTHS


def network_input(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A line, UINT8 [HEIGHT, width, 3], from -1 to 1, padded with 0: FP32 [3, HEIGHT, padded]."""
    width = pixels.shape[1]
    whole = np.zeros((3, HEIGHT, padded_width(width)), np.float32)
    whole[:, :, :width] = pixels.transpose(2, 0, 1) / 127.5 - 1
    return whole


def labels(text: str) -> list[int]:
    """The classes of a text's characters; 0 is CTC's blank."""
    return [CHARACTERS.index(character) + 1 for character in text]


def frames(text: str, middles: npt.NDArray[np.float32], steps: int) -> npt.NDArray[np.int64]:
    """The class of each of a network's steps: a character's where its middle is, else 0."""
    wanted = np.zeros(steps, np.int64)
    last = -1
    for label, middle in zip(labels(text), middles, strict=True):
        # Two letters of less than a step are one after the other.
        last = min(max(last + 1, int(middle / STEP)), steps - 1)
        wanted[last] = label
    return wanted
