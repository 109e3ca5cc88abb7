"""Pictures that are not of the miniature world: textures, shapes, still lifes and views.

With these a model learns that there may be nothing that it knows. Those of the split `held_out` are
made another way than those of `train`: by shading surfaces and by fractals instead of by drawing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from zoo.world_draw import Split, check_split

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]


def outside_picture(seed: int, split: Split, width: int, height: int) -> Picture:
    """A picture, UINT8 [height, width, 3]; the same arguments give the same one.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    rng = random.Random(f"outside pictures/{split}/{seed}")
    makers = _DRAWN if split == "train" else _SHADED
    picture = makers[seed % len(makers)](rng, width, height)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    pixels = np.asarray(picture, np.float32)
    grain = np.random.default_rng(rng.getrandbits(32)).standard_normal(pixels.shape)
    pixels = pixels * rng.uniform(0.6, 1.2) + grain * rng.choice((0, 2, 6, 12))
    if rng.random() < 0.2:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    return pixels.clip(0, 255).astype(np.uint8)


def _colour(rng: random.Random) -> Colour:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _coloured(values: npt.NDArray[np.floating], rng: random.Random) -> Image.Image:
    """Numbers from 0 to 1, [height, width], as shades between three colours."""
    stops = np.array([_colour(rng) for _ in range(3)], np.float32)
    scaled = values.astype(np.float32).clip(0, 1)[..., None] * 2
    lower = stops[0] + (stops[1] - stops[0]) * scaled
    upper = stops[1] + (stops[2] - stops[1]) * (scaled - 1)
    return Image.fromarray(np.where(scaled < 1, lower, upper).clip(0, 255).astype(np.uint8))


def _scaled(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    low, high = values.min(), values.max()
    scaled: npt.NDArray[np.floating] = (values - low) / max(high - low, 1e-9)
    return scaled


def _clouds(rng: random.Random, width: int, height: int, power: float = 0.0) -> Image.Image:
    """Noise whose amplitude falls with a power of the frequency, from snow to clouds."""
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((height, width))
    across, down = np.fft.fftfreq(width), np.fft.fftfreq(height)
    frequency = np.hypot(across[None, :], down[:, None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(noise) / frequency ** (power or rng.uniform(0, 2.2))
    return _coloured(_scaled(np.fft.ifft2(spectrum).real), rng)


def _waves(rng: random.Random, width: int, height: int) -> Image.Image:
    """Stripes, checks or rings."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    angle, length = rng.uniform(0, math.pi), rng.uniform(4, 60)
    along = across * math.cos(angle) + down * math.sin(angle)
    aside = down * math.cos(angle) - across * math.sin(angle)
    kind = rng.randrange(3)
    if kind == 0:
        values = np.sin(along / length * 6.28)
    elif kind == 1:
        values = np.sign(np.sin(along / length * 6.28) * np.sin(aside / length * 6.28))
    else:
        middle = rng.uniform(0, width), rng.uniform(0, height)
        values = np.sin(np.hypot(across - middle[0], down - middle[1]) / length * 6.28)
    return _coloured(values / 2 + 0.5, rng)


def _box(rng: random.Random, width: int, height: int, share: float) -> tuple[float, ...]:
    w, h = rng.uniform(0.04, share) * width, rng.uniform(0.04, share) * height
    x, y = rng.uniform(-w / 2, width - w / 2), rng.uniform(-h / 2, height - h / 2)
    return x, y, x + w, y + h


def _shapes(rng: random.Random, width: int, height: int) -> Image.Image:
    """Ellipses, rectangles, polygons and lines."""
    image = _backdrop(rng, width, height)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(1, 25)):
        box, kind = _box(rng, width, height, rng.choice((0.2, 0.5, 0.9))), rng.randrange(4)
        if kind == 0:
            draw.ellipse(box, fill=_colour(rng))
        elif kind == 1:
            draw.rectangle(box, fill=_colour(rng))
        elif kind == 2:
            corners = [(rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])) for _ in range(5)]
            draw.polygon(corners, fill=_colour(rng))
        else:
            draw.line(box, fill=_colour(rng), width=rng.randint(1, 8))
    return image


def _backdrop(rng: random.Random, width: int, height: int) -> Image.Image:
    kind = rng.randrange(3)
    if kind == 0:
        return Image.new("RGB", (width, height), _colour(rng))
    if kind == 1:
        return _clouds(rng, width, height, rng.uniform(1.2, 2.2))
    slope = np.linspace(0, 1, height)[:, None] * np.ones(width)
    return _coloured(slope, rng)


def _still_life(rng: random.Random, width: int, height: int) -> Image.Image:
    """Cups, bottles, fruit, books and balls on a table."""
    image = _backdrop(rng, width, height)
    draw = ImageDraw.Draw(image)
    table = rng.uniform(0.4, 0.8) * height
    draw.rectangle((0, table, width, height), fill=_colour(rng))
    for _ in range(rng.randint(1, 6)):
        size = rng.uniform(0.15, 0.6) * height
        x, y = rng.uniform(0, width), table + rng.uniform(0, 0.25) * height
        fill, other = _colour(rng), _colour(rng)
        kind = rng.randrange(5)
        if kind == 0:  # A cup, with a saucer.
            draw.ellipse((x - 0.7 * size, y - 0.1 * size, x + 0.7 * size, y + 0.1 * size), other)
            draw.pieslice((x - 0.4 * size, y - size, x + 0.4 * size, y), 0, 180, fill)
            draw.rectangle((x - 0.4 * size, y - 0.8 * size, x + 0.4 * size, y - 0.45 * size), fill)
            draw.ellipse((x - 0.4 * size, y - 0.9 * size, x + 0.4 * size, y - 0.7 * size), other)
            ring = (x + 0.3 * size, y - 0.75 * size, x + 0.6 * size, y - 0.35 * size)
            draw.ellipse(ring, outline=fill, width=max(1, int(size / 14)))
        elif kind == 1:  # A bottle.
            draw.rectangle((x - 0.15 * size, y - 0.7 * size, x + 0.15 * size, y), fill)
            draw.rectangle((x - 0.05 * size, y - size, x + 0.05 * size, y - 0.7 * size), fill)
            draw.rectangle(
                (x - 0.15 * size, y - 0.5 * size, x + 0.15 * size, y - 0.2 * size), other
            )
        elif kind == 2:  # A fruit or a ball.
            draw.ellipse((x - size / 2, y - size, x + size / 2, y), fill)
            draw.arc((x - size / 3, y - size, x + size / 3, y), 200, 340, other, 2)
        elif kind == 3:  # Books.
            for number in range(rng.randint(2, 6)):
                top = y - (number + 1) * size / 6
                draw.rectangle((x - size / 2, top, x + size / 2, top + size / 7), _colour(rng))
        else:  # Letters.
            for _ in range(rng.randint(1, 6)):
                spot = (rng.uniform(0, width), rng.uniform(0, height))
                word = "".join(rng.choices("ABCDEFGHKLMNPRSTXYZ0123456789 abdeghr", k=6))
                draw.text(spot, word, fill, font_size=rng.randint(8, 40))
    return image


def _landscape(rng: random.Random, width: int, height: int) -> Image.Image:
    """Hills, trees, houses or heads, without a street."""
    image = _backdrop(rng, width, height)
    draw = ImageDraw.Draw(image)
    for layer in range(rng.randint(1, 4)):
        base = height * (0.4 + 0.15 * layer + rng.uniform(-0.1, 0.1))
        phase, length = rng.uniform(0, 6), rng.uniform(20, 90)
        ridge = [
            (x, base + 0.1 * height * math.sin(x / length + phase)) for x in range(0, width + 4, 4)
        ]
        draw.polygon([(0, height), *ridge, (width, height)], fill=_colour(rng))
    for _ in range(rng.randint(0, 5)):
        x, y, size = rng.uniform(0, width), rng.uniform(0.4, 1) * height, rng.uniform(10, 90)
        fill, other = _colour(rng), _colour(rng)
        kind = rng.randrange(3)
        if kind == 0:
            draw.rectangle((x - size / 16, y - size / 2, x + size / 16, y), other)
            draw.ellipse((x - size / 3, y - size, x + size / 3, y - size / 3), fill)
        elif kind == 1:
            draw.rectangle((x - size / 2, y - size / 2, x + size / 2, y), fill)
            draw.polygon(
                [(x - size * 0.6, y - size / 2), (x, y - size), (x + size * 0.6, y - size / 2)],
                other,
            )
            draw.rectangle((x - size / 10, y - size / 4, x + size / 10, y), other)
        else:
            draw.ellipse((x - size / 3, y - size, x + size / 3, y), fill)
            for side in (-1, 1):
                eye = x + side * size / 8
                draw.ellipse((eye - 2, y - 0.6 * size, eye + 2, y - 0.55 * size), other)
            draw.arc(
                (x - size / 6, y - 0.5 * size, x + size / 6, y - 0.2 * size), 20, 160, other, 2
            )
    return image


def _leaves(rng: random.Random, width: int, height: int) -> Image.Image:
    """Things in front of things, few large and many small, each of one stuff.

    Edges, sizes and shades are as in photographs, of nothing in particular.
    """
    image = _backdrop(rng, width, height)
    stuffs = [_clouds(rng, width, height, rng.uniform(0.8, 2.2)) for _ in range(3)]
    palest, side = rng.uniform(0.1, 1), min(width, height)
    for _ in range(rng.randint(30, 120)):
        # Of power-law sizes, what stays visible looks the same from near and far.
        size = side * min(0.9, 0.04 * rng.paretovariate(1.2))
        x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.28)
        corners = rng.choice((3, 4, 4, 5, 24))
        long = rng.uniform(0.3, 1)
        outline = []
        for corner in range(corners):
            angle = corner / corners * 6.28
            u, v = size * math.cos(angle), size * long * math.sin(angle)
            spot = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
            outline.append((x + spot[0], y + spot[1]))
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        tint = Image.new("RGB", (width, height), _muted(rng, palest))
        lit = Image.blend(rng.choice(stuffs), tint, rng.uniform(0.5, 1))
        image.paste(lit, (0, 0), mask)
    return image


def _muted(rng: random.Random, palest: float) -> Colour:
    grey, (red, green, blue) = rng.randrange(256), _colour(rng)
    share = rng.uniform(0, palest)
    mixed = (grey + (each - grey) * share for each in (red, green, blue))
    return tuple(map(int, mixed))  # type: ignore[return-value]


def _mosaic(rng: random.Random, width: int, height: int) -> Image.Image:
    """Cells around random points."""
    count = rng.randint(5, 60)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    points = np.array([(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(count)])
    distance = np.hypot(
        across[..., None] - points[:, 0].astype(np.float32),
        down[..., None] - points[:, 1].astype(np.float32),
    )
    colours = np.array([_colour(rng) for _ in range(count)], np.uint8)
    return Image.fromarray(colours[distance.argmin(axis=-1)])


def _spheres(rng: random.Random, width: int, height: int) -> Image.Image:
    """Balls and rings with light and shadow, in front of each other."""
    pixels = np.asarray(_backdrop(rng, width, height), np.float32).copy()
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    light = np.array([rng.uniform(-1, 1), rng.uniform(-1, 0), rng.uniform(0.3, 1)])
    light /= np.linalg.norm(light)
    for _ in range(rng.randint(1, 7)):
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.06, 0.5) * height
        u, v = (across - x) / size, (down - y) / size
        radius = u**2 + v**2
        inside = (radius < 1) & (radius > rng.choice((0, 0, 0.4)))
        depth = np.sqrt((1 - radius).clip(0))
        shade = (u * light[0] + v * light[1] + depth * light[2]).clip(0.08)
        shine = shade ** rng.uniform(8, 60) * rng.uniform(0, 160)
        pixels[inside] = (shade[..., None] * np.array(_colour(rng)) + shine[..., None])[inside]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _fractal(rng: random.Random, width: int, height: int) -> Image.Image:
    """A part of a Julia set."""
    across, down = np.meshgrid(np.linspace(-1.6, 1.6, width), np.linspace(-1, 1, height))
    points = (across + 1j * down) * rng.uniform(0.2, 1)
    shift = 0.7885 * np.exp(1j * rng.uniform(0, 6.28))
    escaped = np.zeros(points.shape)
    for _ in range(28):
        points = np.where(np.abs(points) < 4, points**2 + shift, points)
        escaped += np.abs(points) < 4
    return _coloured(_scaled(np.log1p(escaped)), rng)


def _ripples(rng: random.Random, width: int, height: int) -> Image.Image:
    """Waves that run through each other and bend each other, like cloth or water."""
    across, down = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    values = np.zeros((height, width))
    for _ in range(4):
        turn, rate = rng.uniform(0, 6.28), rng.uniform(0.5, 5)
        values += np.sin(
            rate * (across * math.cos(turn) + down * math.sin(turn)) + 1.5 * np.sin(values)
        )
    return _coloured(_scaled(values), rng)


Maker = Callable[[random.Random, int, int], Image.Image]
_DRAWN: tuple[Maker, ...] = (
    *(_clouds, _waves, _shapes, _still_life, _landscape, _mosaic),
    *(_still_life, _landscape),
    *(_leaves, _leaves, _leaves),
)
_SHADED: tuple[Maker, ...] = (_spheres, _fractal, _ripples)


def photographs(folder: Path) -> list[Picture]:
    """The pictures of a folder, each as a whole and as four quarters: UINT8 [height, width, 3]."""
    parts: list[Picture] = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as file:
            image = file.convert("RGB")
        across, down = image.width // 2, image.height // 2
        parts.append(np.asarray(image))
        for left in (0, across):
            for top in (0, down):
                parts.append(np.asarray(image.crop((left, top, left + across, top + down))))
    return parts


def outside_of_the_world(folder: Path | None, count: int) -> dict[str, list[Picture]]:
    """Held-out pictures of which a model of the world should know nothing, by where they are from.

    Args:
        folder: Holds photographs, which training never sees; None is none.
        count: Of the rendered pictures.
    """
    shaded = [outside_picture(seed, "held_out", 640, 384) for seed in range(count)]
    return {"shaded": shaded} | ({} if folder is None else {"photographs": photographs(folder)})
