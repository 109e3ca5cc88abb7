"""Backgrounds, and what light, weather and a camera make of a picture."""

from __future__ import annotations

import io
import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from zoo.scene_canvas import any_colour, near, shade

_SKIES = ((150, 190, 230), (196, 206, 214), (226, 180, 150), (110, 150, 210))
_GROUNDS = ((110, 112, 114), (88, 88, 92), (132, 126, 118), (96, 104, 96))


def street(rng: random.Random, width: int, height: int, horizon: float) -> Image.Image:
    """A street without anything in it: sky, buildings, pavement and road.

    Args:
        rng: Where the choices come from.
        width: In pixels.
        height: In pixels.
        horizon: Where the buildings end, as a share of the height.
    """
    ground_line = round(height * horizon)
    image = Image.new("RGB", (width, height), near(rng, rng.choice(_SKIES), 20))
    draw = ImageDraw.Draw(image)
    x = -rng.randint(0, 60)
    while x < width:
        x += _building(rng, draw, x, ground_line, height)
    ground = near(rng, rng.choice(_GROUNDS), 14)
    draw.rectangle((0, ground_line, width, height), fill=ground)
    pavement = ground_line + round(height * rng.uniform(0.06, 0.14))
    draw.rectangle((0, ground_line, width, pavement), fill=shade(ground, rng.uniform(1.15, 1.5)))
    lane = rng.randint(pavement + 10, max(pavement + 11, height - 20))
    dash, gap = rng.randint(20, 70), rng.randint(15, 60)
    colour = near(rng, (224, 224, 214), 16)
    for start in range(-rng.randint(0, dash), width, dash + gap):
        draw.rectangle((start, lane, start + dash, lane + rng.randint(2, 5)), fill=colour)
    for _ in range(rng.randint(0, 6)):
        left, top = rng.randint(0, width), rng.randint(ground_line, height)
        patch = (left, top, left + rng.randint(20, 140), top + rng.randint(4, 20))
        draw.ellipse(patch, fill=near(rng, shade(ground, rng.uniform(0.75, 1.1)), 8))
    return image


def _building(
    rng: random.Random, draw: ImageDraw.ImageDraw, x: int, ground_line: int, height: int
) -> int:
    width = rng.randint(50, 170)
    if rng.random() < 0.15:
        return width
    top = round(ground_line - height * rng.uniform(0.12, 0.45))
    wall = near(rng, any_colour(rng, (0.05, 0.4)), 10)
    draw.rectangle((x, top, x + width, ground_line), fill=wall)
    step_x, step_y = rng.randint(14, 30), rng.randint(16, 34)
    window = near(rng, rng.choice([(70, 84, 104), (236, 214, 140), (150, 176, 196)]), 16)
    for column in range(x + 7, x + width - step_x // 2 - 4, step_x):
        for row in range(top + 8, ground_line - step_y // 2 - 4, step_y):
            draw.rectangle((column, row, column + step_x // 2, row + step_y // 2), fill=window)
    if rng.random() < 0.3:
        # Shop signs: strips that are near to plates in shape, with something near to letters.
        left, sign = x + rng.randint(4, 20), ground_line - rng.randint(20, 50)
        draw.rectangle((left, sign, left + 40, sign + 11), fill=any_colour(rng))
        for letter in range(left + 4, left + 36, 6):
            draw.rectangle((letter, sign + 3, letter + 3, sign + 8), fill=(240, 240, 240))
    return width


def photographed(rng: random.Random, picture: Image.Image) -> Image.Image:
    """The picture in some light, through some camera: tint, darkness, rain, blur, noise, JPEG."""
    pixels = np.asarray(picture, dtype=np.float32)
    draws = np.random.default_rng(rng.getrandbits(64))
    hour = rng.random()
    if hour < 0.2:
        tint, brightness = (0.88, 0.94, 1.1), rng.uniform(0.45, 0.65)
    elif hour < 0.4:
        tint, brightness = (1.08, 0.98, 0.86), rng.uniform(0.65, 0.9)
    else:
        tint, brightness = (1.0, 1.0, 1.0), rng.uniform(0.85, 1.15)
    pixels = pixels * (np.array(tint, np.float32) * brightness)
    pixels = (pixels - 110) * rng.uniform(0.85, 1.15) + 110
    if rng.random() < 0.5:
        pixels = pixels * _gradient(draws, pixels.shape[:2])
    if rng.random() < 0.1:
        pixels = _rain(rng, pixels)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    noise = rng.uniform(0, 11) if rng.random() < 0.7 else 0.0
    if noise:
        pixels = np.asarray(image, dtype=np.float32)
        pixels = pixels + draws.normal(0, noise, pixels.shape).astype(np.float32)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return jpeg_copy(image, rng.randint(70, 95))


def jpeg_copy(image: Image.Image, quality: int) -> Image.Image:
    """The picture as it is after it was saved as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _gradient(draws: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Light that falls off towards one side: [height, width, 1], around 1."""
    height, width = shape
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * draws.uniform(-0.15, 0.15)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] * draws.uniform(-0.2, 0.2)
    light: npt.NDArray[np.float32] = (1 + down + across)[..., None].astype(np.float32)
    return light


def _rain(rng: random.Random, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = pixels.shape[:2]
    layer = Image.new("L", (width, height))
    draw = ImageDraw.Draw(layer)
    slant = rng.uniform(-4, 4)
    for _ in range(width * height // 2500):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        length = rng.uniform(6, 16)
        draw.line((x, y, x + slant, y + length), fill=rng.randint(30, 90))
    return pixels + np.asarray(layer, dtype=np.float32)[..., None]
