"""Windows of scenes with signs, and the maps that a detector of text learns on them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from zoo import signs
from zoo.scenes import scene
from zoo.signs import Quad, SignScene, sign_scene
from zoo.vision_data import rendered
from zoo.world import Split

SIDE = 256
UNCLIP_RATIO = 1.5
KERNEL_RATIO = 2.0
"""Of the kernels that a network learns: what it then marks is about a pixel more on all sides, just
what unclipping by the smaller `UNCLIP_RATIO` makes the line."""
PART = 300

WindowExample = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]


def windows(split: Split, part: int) -> list[WindowExample]:
    """Three windows of each of `PART` scenes; parts have no scene in common.

    Returns:
        (pixels UINT8 [SIDE, SIDE, 3], BOOL [SIDE, SIDE] where lines' kernels are, BOOL [SIDE,
        SIDE] where the renderer says nothing).
    """
    make = functools.partial(of_scene, split=split)
    seeds = range(part * PART, (part + 1) * PART)
    return rendered(f"windows {split} {_version(of_scene, kernel)}", make, seeds)


def sign_scenes(split: Split, count: int) -> list[SignScene]:
    """Scenes with signs, of the seeds from 0, rendered once."""
    return rendered(
        f"sign scenes {split} {_version()}", functools.partial(_scene, split=split), range(count)
    )


def _scene(seed: int, split: Split) -> list[SignScene]:
    return [sign_scene(seed, split)]


def streets(count: int) -> list[Image.Image]:
    """Held-out streets in which there is nothing to read, rendered once."""
    return rendered("streets without text", _street, range(count))


def _street(seed: int) -> list[Image.Image]:
    return [scene(seed, "held-out", ("people", "things", "empty")[seed % 3]).image]


def _version(*further: Callable[..., object]) -> str:
    """What changes with the renderer of signs, which `rendered` does not look at."""
    source = "".join([inspect.getsource(signs), *map(inspect.getsource, further)])
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def of_scene(seed: int, split: Split) -> list[WindowExample]:
    """Three windows of the scene of a seed."""
    rng = random.Random(f"windows/{split}/{seed}")
    made = sign_scene(seed, split)
    found = []
    for number in range(3):
        # Larger and smaller text than signs have.
        side = min(round(SIDE / rng.uniform(0.7, 1.5)), made.image.height)
        x, y = rng.uniform(0, made.image.width), rng.uniform(0, made.image.height)
        if made.lines and number < 2:
            x, y = rng.choice(made.lines).quad.mean(axis=0)
            x, y = x + rng.uniform(-0.4, 0.4) * side, y + rng.uniform(-0.4, 0.4) * side
        left = round(min(max(0, x - side / 2), made.image.width - side))
        top = round(min(max(0, y - side / 2), made.image.height - side))
        window = made.image.crop((left, top, left + side, top + side))
        resized = window.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        corner, scale = np.array([left, top], np.float32), SIDE / side
        kernels = [kernel((line.quad - corner) * scale) for line in made.lines]
        unread = [(quad - corner) * scale for quad in made.unread]
        found.append((np.asarray(resized), _filled(kernels), _filled(unread)))
    return found


def kernel(quad: Quad) -> Quad:
    """The smaller quad in a line's that DB's unclipping by `KERNEL_RATIO` makes the line's again.

    Unclipping moves each side of a quad of area A and perimeter L out by the ratio times A / L.
    """
    across = float(np.linalg.norm(quad[1] - quad[0]) + np.linalg.norm(quad[2] - quad[3])) / 2
    down = float(np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])) / 2
    low, high = 0.0, min(across, down) / 2
    for _ in range(20):
        middle = (low + high) / 2
        width, height = across - 2 * middle, down - 2 * middle
        if KERNEL_RATIO * width * height / (2 * (width + height)) > middle:
            low = middle
        else:
            high = middle
    s, t = low / max(across, 1e-6), low / max(down, 1e-6)
    places = ((s, t), (1 - s, t), (1 - s, 1 - t), (s, 1 - t))
    return np.array(
        [
            (1 - v) * ((1 - u) * quad[0] + u * quad[1]) + v * ((1 - u) * quad[3] + u * quad[2])
            for u, v in places
        ],
        np.float32,
    )


def _filled(quads: list[Quad]) -> npt.NDArray[np.bool_]:
    image = Image.new("1", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    for quad in quads:
        draw.polygon([(float(x), float(y)) for x, y in quad], fill=1)
    return np.asarray(image)
