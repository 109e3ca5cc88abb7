"""Signs with text, and scenes in which they stand, with their ground truth: functions of a seed.

A sign has one to four lines of words of the world in its four languages, names, numbers or prices.
A line, words with normal spaces between them, is what a detector finds: its quad goes from where
an "l" ends above to where a "p" ends below, whatever letters it has.

    python -m zoo.signs --count 9 --output signs.png    # look at some
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from zoo.lexicon import ENGLISH
from zoo.outside_pictures import outside_picture
from zoo.scene_canvas import any_colour, near
from zoo.scene_light import photographed
from zoo.scenes import HEIGHT, WIDTH, scene
from zoo.world import LANGUAGES, Split, sentences
from zoo.world_draw import check_split

CHARACTERS = (
    string.digits + string.ascii_letters + "!\"#$%&'()*+,-./:;=?@[]_|~"
    "ÀÂÄÁÆÇÈÉÊËÍÎÏÑÓÔÖŒÙÚÛÜàâäáæçèéêëíîïñóôöœùúûüß¿¡«»€£°\u2019\u2013… "
)
"""What signs are written in; the space is the last."""

FONTS = Path("/usr/share/fonts")
FAMILIES: dict[str, tuple[str, ...]] = {
    "train": (
        "DejaVuSans*", "DejaVuSerif*", "FreeSans*", "FreeSerif*", "FreeMono*", "Liberation*",
        "Roboto*", "OpenSans*", "Cantarell*", "Comfortaa*", "Inconsolata*", "NotoSans-*",
        "NotoSerif-*", "NotoSansMono-*", "NotoSansDisplay-*", "NotoSerifDisplay-*",
    ),
    # Carlito is made of Lato, so that it is held out with it.
    "held_out": ("Lato-*", "Carlito-*", "Caladea-*", "LinLibertine_[DRM]*", "LinBiolinum_R*"),
}  # fmt: skip
"""Split -> the fonts' file names; no family is in both."""

_LEAST_CONTRAST = 70
_MOST_DEGREES = 15.0
_BACKGROUNDS = 120
Quad = npt.NDArray[np.float32]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Line:
    """A line of a sign.

    Attributes:
        text: Of `CHARACTERS`.
        quad: FP32 [4, 2], in pixels, clockwise from the text's top left.
        centres: Where each character's middle is, as a share of the line's width.
    """

    text: str
    quad: Quad
    centres: tuple[float, ...]


@dataclass(frozen=True)
class Sign:
    """A sign by itself, RGBA or RGB, and its lines from the top down."""

    image: Image.Image
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class SignScene:
    """A picture in RGB with the lines of its signs.

    Attributes:
        image: WIDTH x HEIGHT.
        signs: Each sign's lines, from the top down.
        unread: Quads of other text, licence plates: neither asked for nor wrong.
    """

    image: Image.Image
    signs: tuple[tuple[Line, ...], ...]
    unread: tuple[Quad, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines in reading order: sign by sign, rows of signs from the top, then the left."""
        return tuple(line for sign in self.signs for line in sign)


@functools.cache
def fonts(split: Split) -> tuple[Path, ...]:
    """The installed fonts of a split.

    Raises:
        ValueError: If `split` is unknown.
        FileNotFoundError: If none of them is installed.
    """
    check_split(split)
    found = {path for family in FAMILIES[split] for path in FONTS.rglob(f"{family}.[to]tf")}
    if not found:
        raise FileNotFoundError(
            f"no font of {', '.join(FAMILIES[split])} in {FONTS}: zoo/README.md names the packages"
        )
    return tuple(sorted(found))


def any_font(rng: random.Random, split: Split, size: float) -> Font:
    """One of `fonts`, in a size in pixels."""
    return ImageFont.truetype(rng.choice(fonts(split)), size)


@functools.cache
def _texts(split: Split) -> tuple[tuple[str, ...], ...]:
    """Sentences of a split, by language."""
    return tuple(tuple(sentences(14, 500, split, language=each)) for each in LANGUAGES)


def _number(rng: random.Random) -> str:
    whole, part = rng.randint(0, 10 ** rng.randint(1, 4)), rng.randint(0, 99)
    return rng.choice(
        (
            f"{whole}", f"{whole}.{part:02}", f"{whole},{part:02} €", f"£{whole}.{part:02}",
            f"${whole}", f"{part}%", f"{rng.randint(0, 23):02}:{part % 60:02}", f"-{part}°",
            f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(1950, 2030)}",
            f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
            f"No. {whole}", f"#{part}", f"{part} km/h", f"({whole})", f"A{part}", f"{part}-{whole}",
        )
    )  # fmt: skip


def wording(rng: random.Random, split: Split) -> list[str]:
    """The one to four lines of a sign, of up to 24 characters each unless a word is longer."""
    kind = rng.random()
    if kind < 0.15:
        lines = [_number(rng) for _ in range(rng.randint(1, 3))]
    elif kind < 0.25:
        # No language: what a reader of letters cannot guess.
        lines = [
            "".join(rng.choice(CHARACTERS[:-1]) for _ in range(rng.randint(2, 10)))
            for _ in range(rng.randint(1, 2))
        ]
    elif kind < 0.4:
        first = rng.choice(ENGLISH.women + ENGLISH.men)
        words = [first, rng.choice(ENGLISH.last_names), rng.choice(ENGLISH.words["city"])]
        lines = words[: rng.randint(1, 3)]
    else:
        words = rng.choice(rng.choice(_texts(split))).split()
        start = 0 if kind < 0.7 else rng.randrange(len(words))
        words = words[start : start + (12 if kind < 0.7 else rng.randint(1, 3))]
        lines, reach = [], rng.randint(8, 24)
        for word in words:
            if lines and len(lines[-1]) + 1 + len(word) <= reach:
                lines[-1] += " " + word
            else:
                lines.append(word)
        lines = lines[:4]
    case = rng.random()
    if case < 0.25:
        lines = [line.upper() for line in lines]
    elif case < 0.35:
        lines = [line.title() for line in lines]
    kept = ("".join(c for c in line if c in CHARACTERS).strip() for line in lines)
    return [" ".join(line.split()) for line in kept if line] or ["A1"]


def draw_sign(
    rng: random.Random,
    texts: Sequence[str],
    font: Font,
    *,
    behind: Image.Image | None = None,
) -> Sign:
    """A sign with these lines; on nothing, in ink that `behind` (what will be there) lets read."""
    _, top, _, bottom = font.getbbox("lp", anchor="ls")
    height = bottom - top
    step = height * rng.uniform(1.2, 1.7)
    boxes = [font.getbbox(text, anchor="ls") for text in texts]
    widest = max(box[2] - box[0] for box in boxes)
    margin = height * rng.uniform(0.3, 0.9)
    size = round(widest + 2 * margin), round(step * (len(texts) - 1) + height + 2 * margin)
    if behind is None:
        ground = any_colour(rng, (0.0, 0.8)) if rng.random() < 0.6 else near(rng, (235, 235, 235))
        image, base = _ground(rng, size, ground), np.array(ground, float)
    else:
        image = Image.new("RGBA", size)
        base = np.asarray(behind.convert("RGB"), float).mean(axis=(0, 1))
    ink = _ink(rng, base)
    draw = ImageDraw.Draw(image)
    centred, lines = rng.random() < 0.5, []
    shadow = rng.random() < 0.1
    for row, (text, (left, _, right, _)) in enumerate(zip(texts, boxes, strict=True)):
        x = margin + (widest - (right - left)) / 2 * centred - left
        y = margin - top + row * step
        if shadow:
            dark = tuple(round(value) for value in (base + np.array(ink)) / 2)
            draw.text((x + height / 16, y + height / 16), text, (*dark, 255), font, anchor="ls")
        draw.text((x, y), text, (*ink, 255), font, anchor="ls")
        ends = [font.getlength(text[:count]) - left for count in range(len(text) + 1)]
        centres = tuple((a + b) / 2 / max(1, right - left) for a, b in itertools.pairwise(ends))
        x1, y1, x2, y2 = x + left, y + top, x + right, y + bottom
        quad = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
        lines.append(Line(text, quad, centres))
    return Sign(image, tuple(lines))


def _ink(rng: random.Random, base: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    """A colour that differs from `base` in brightness."""
    while True:
        value = rng.choice(
            [near(rng, (15, 15, 15)), near(rng, (240, 240, 240)), any_colour(rng, (0.3, 1.0))]
        )
        if abs(float(np.dot(base - np.array(value), (0.3, 0.6, 0.1)))) >= _LEAST_CONTRAST:
            return value


def _ground(rng: random.Random, size: tuple[int, int], colour: tuple[int, int, int]) -> Image.Image:
    """A board: plain, a gradient, grain or stripes, with or without a frame."""
    width, height = size
    kind = rng.random()
    pixels = np.empty((height, width, 3), np.float32)
    pixels[:] = colour
    if kind < 0.2:
        pixels += np.linspace(-30, 30, width, dtype=np.float32)[:, None] * rng.choice((-1, 1))
    elif kind < 0.35:
        draws = np.random.default_rng(rng.getrandbits(32))
        grain = draws.normal(0, rng.uniform(4, 14), (height, width, 1))
        pixels += grain.astype(np.float32)
    elif kind < 0.45:
        pixels[:: rng.randint(4, 12)] += rng.choice((-15, 15))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGBA")
    if rng.random() < 0.25:
        draw = ImageDraw.Draw(image)
        draw.rectangle((1, 1, width - 2, height - 2), outline=any_colour(rng), width=2)
    return image


def homography(source: Quad, target: Quad) -> npt.NDArray[np.float64]:
    """The FP64 [3, 3] matrix that maps four points [4, 2] onto four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
    solved = np.linalg.solve(np.array(rows, float), np.asarray(target, float).ravel())
    return np.append(solved, 1).reshape(3, 3)


def mapped(matrix: npt.NDArray[np.float64], points: Quad) -> Quad:
    """Points [n, 2] where `matrix` maps them."""
    there = np.c_[points, np.ones(len(points))] @ matrix.T
    flat: Quad = (there[:, :2] / there[:, 2:]).astype(np.float32)
    return flat


def rectangle(width: float, height: float) -> Quad:
    """The corners of a picture, clockwise from the top left."""
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)


def straightened(image: Image.Image, quad: Quad, height: int, least: int = 8) -> Image.Image:
    """What is in a quad, `height` pixels high and as wide as its longer sides have it."""
    across = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    down = max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]), 1.0)
    width = max(least, int(np.ceil(height * across / down)))
    matrix = homography(rectangle(width, height), quad)
    return image.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        matrix.ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )


def _tilted(rng: random.Random, width: float, height: float) -> Quad:
    """A sign's corners, turned by up to 15 degrees and seen from aside, around 0, 0."""
    corners = rectangle(width, height) - np.array([width / 2, height / 2], np.float32)
    if rng.random() < 0.5:
        side, squeeze = rng.randrange(4), rng.uniform(0.75, 0.95)
        for corner in (side, (side + 1) % 4):
            corners[corner, side % 2] *= squeeze
    angle = np.radians(rng.uniform(-_MOST_DEGREES, _MOST_DEGREES) * (rng.random() < 0.7))
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    tilted: Quad = (corners @ turn).astype(np.float32)
    return tilted


@functools.cache
def _background(number: int, split: Split) -> tuple[Image.Image, tuple[Quad, ...]]:
    """A picture without signs, WIDTH x HEIGHT, and the quads of the plates in it."""
    if number % 3 == 2:
        return Image.fromarray(outside_picture(number, split, WIDTH, HEIGHT)), ()
    made = scene(number, "train" if split == "train" else "held-out")
    plates = (each.plate.box for each in made.objects if each.plate is not None)
    quads = tuple(
        np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32) for x1, y1, x2, y2 in plates
    )
    return made.image, quads


def sign_scene(seed: int, split: Split, *, signs: int | None = None) -> SignScene:
    """A scene with signs; the same arguments give the same one.

    Args:
        seed: From 0.
        split: Decides fonts, sentences and backgrounds.
        signs: How many are tried; those that find no place are left out. None is none to four.
    """
    rng = random.Random(f"signs/{split}/{seed}")
    count = rng.choice((0, 1, 1, 2, 2, 3, 4)) if signs is None else signs
    kind = rng.random()
    unread: tuple[Quad, ...] = ()
    if kind < 0.6:
        image, unread = _background(rng.randrange(_BACKGROUNDS), split)
        image = image.copy()
    else:
        image = _ground(rng, (WIDTH, HEIGHT), any_colour(rng, (0.0, 0.5))).convert("RGB")
    taken = [(quad.min(axis=0), quad.max(axis=0)) for quad in unread]
    placed: list[tuple[Line, ...]] = []
    for _ in range(count):
        font = any_font(rng, split, round(rng.triangular(14, 52, 22)))
        texts = wording(rng, split)
        spot = rng.randint(0, WIDTH - 80), rng.randint(0, HEIGHT - 60)
        bare = kind >= 0.6 or rng.random() < 0.1
        behind = image.crop((*spot, spot[0] + 80, spot[1] + 60)) if bare else None
        if behind is not None and np.asarray(behind.convert("L")).std() > 25:
            behind = None
        sign = draw_sign(rng, texts, font, behind=behind)
        corners = _tilted(rng, *sign.image.size)
        low, high = corners.min(axis=0), corners.max(axis=0)
        room = np.array([WIDTH, HEIGHT]) - (high - low)
        if (room < 2).any():
            continue
        corners += np.array([rng.uniform(0, room[0]), rng.uniform(0, room[1])], np.float32) - low
        low, high = corners.min(axis=0) - 4, corners.max(axis=0) + 4
        if any((low < end).all() and (start < high).all() for start, end in taken):
            continue
        taken.append((low, high))
        matrix = homography(rectangle(*sign.image.size), corners)
        drawn = sign.image.transform(
            image.size,
            Image.Transform.PERSPECTIVE,
            (np.linalg.inv(matrix) / np.linalg.inv(matrix)[2, 2]).ravel()[:8].tolist(),
            Image.Resampling.BICUBIC,
        )
        image.paste(drawn, (0, 0), drawn)
        placed.append(tuple(replace(line, quad=mapped(matrix, line.quad)) for line in sign.lines))
    image = photographed(rng, image)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.3)))
    placed.sort(key=lambda lines: (lines[0].quad[:, 1].min() // (HEIGHT / 3), lines[0].quad[0, 0]))
    return SignScene(image, tuple(placed), unread)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=9)
    parser.add_argument("--split", choices=FAMILIES, default="train")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    sheet = Image.new("RGB", (3 * WIDTH, -(-args.count // 3) * HEIGHT))
    for seed in range(args.count):
        made = sign_scene(seed, args.split)
        draw = ImageDraw.Draw(made.image)
        for line in made.lines:
            draw.polygon([(float(x), float(y)) for x, y in line.quad], outline=(255, 0, 255))
        sheet.paste(made.image, (seed % 3 * WIDTH, seed // 3 * HEIGHT))
    sheet.save(args.output)


if __name__ == "__main__":
    main()
