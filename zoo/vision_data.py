"""Rendered pictures as arrays for the trainings, rendered in several processes and kept on disk."""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import inspect
import logging
import math
import multiprocessing
import os
import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo import (
    outside_pictures,
    scene_canvas,
    scene_light,
    scene_people,
    scene_things,
    scene_vehicles,
    scenes,
)
from zoo.outside_pictures import outside_picture
from zoo.scenes import CLASSES, OBJECTS, Box, Scene, SceneObject, photo, scene

logger = logging.getLogger(__name__)

CACHE = Path("zoo/.cache")
_RENDERER: tuple[ModuleType, ...] = (
    scene_canvas,
    scene_light,
    scene_people,
    scene_things,
    scene_vehicles,
    scenes,
    outside_pictures,
)

_LAYOUT_OF = ("mixed",) * 14 + ("vehicles", "vehicles", "people", "things", "crowd", "empty")


def varied_scene(seed: int, split: str) -> Scene:
    """A scene whose layout goes by its seed: most are mixed, some are crowds or empty streets."""
    return scene(seed, split, _LAYOUT_OF[seed % len(_LAYOUT_OF)])


def rendered(
    what: str, make: Callable[[int], Sequence[Any]], seeds: Sequence[int], processes: int = 2
) -> list[Any]:
    """What `make` gives for each seed, all in one list; kept in `zoo/.cache` under a name.

    Args:
        what: Names the data, with all that it depends on beside the renderer's source.
        make: Gives the examples of a seed; must be picklable.
        seeds: One call each.
        processes: That render at the same time.
    """
    source = "".join(ast.dump(ast.parse(inspect.getsource(module))) for module in _RENDERER)
    version = hashlib.sha256(f"{what} {seeds!r} {source}".encode()).hexdigest()[:12]
    path = CACHE / f"{what.replace(' ', '-')}-{version}.npy"
    if not path.exists():
        logger.info("rendering %s: %d seeds", what, len(seeds))
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            examples = [each for some in pool.imap(make, seeds, chunksize=16) for each in some]
        CACHE.mkdir(parents=True, exist_ok=True)
        array = np.empty(len(examples), dtype=object)
        array[:] = examples
        partial = path.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, array, allow_pickle=True)
        partial.rename(path)
    return list(np.load(path, allow_pickle=True))


def _detection_example(
    seed: int, split: str, width: int, height: int
) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    made = varied_scene(seed, split)
    image = made.image.resize((width, height), Image.Resampling.BOX)
    scale = width / made.image.width
    boxes = np.array([each.box for each in made.objects], np.float32).reshape(-1, 4) * scale
    classes = np.array([CLASSES.index(each.label) for each in made.objects], np.int64)
    return [(np.asarray(image), boxes, classes)]


def detection_examples(
    split: str, count: int, width: int, height: int
) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """(image UINT8 [height, width, 3], boxes FP32 [n, 4], classes INT64 [n]) of varied scenes."""
    make = functools.partial(_detection_example, split=split, width=width, height=height)
    return rendered(f"detection {split} {width}x{height}", make, range(count))


def whole_pixels(box: Box, image: Image.Image) -> tuple[int, int, int, int]:
    """The smallest box of whole pixels around a box, within the image."""
    x1, y1 = max(0, int(box[0])), max(0, int(box[1]))
    x2, y2 = min(image.width, math.ceil(box[2])), min(image.height, math.ceil(box[3]))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)


def squeezed(
    image: Image.Image, box: tuple[int, int, int, int], width: int, height: int
) -> npt.NDArray[np.uint8]:
    """A part of a picture in another size: UINT8 [height, width, 3]."""
    return np.asarray(image.crop(box).resize((width, height), Image.Resampling.BILINEAR))


def jittered(rng: random.Random, box: Box, share: float = 0.08) -> Box:
    """A box whose sides are moved by up to a share of its size, as a detector would."""
    x1, y1, x2, y2 = box
    width, height = (x2 - x1) * share, (y2 - y1) * share
    return (
        x1 + rng.uniform(-width, width),
        y1 + rng.uniform(-height, height),
        x2 + rng.uniform(-width, width),
        y2 + rng.uniform(-height, height),
    )


CROP = 96


def _crop(image: Image.Image, box: Box) -> npt.NDArray[np.uint8]:
    return squeezed(image, whole_pixels(box, image), CROP, CROP)


def _crops_of_scene(
    seed: int, split: str, jitter: float
) -> list[tuple[npt.NDArray[np.uint8], SceneObject]]:
    made = varied_scene(seed, split)
    rng = random.Random(seed)
    return [(_crop(made.image, jittered(rng, each.box, jitter)), each) for each in made.objects]


def crops_of_scenes(
    split: str, count: int, jitter: float = 0.08
) -> list[tuple[npt.NDArray[np.uint8], SceneObject]]:
    """(UINT8 [CROP, CROP, 3], object) of each object's box in varied scenes."""
    make = functools.partial(_crops_of_scene, split=split, jitter=jitter)
    return rendered(f"crops {split} {CROP} {jitter}", make, range(count))


def _photo_example(seed: int, split: str) -> list[tuple[npt.NDArray[np.uint8], SceneObject]]:
    made = photo(seed, split, OBJECTS[seed % len(OBJECTS)])
    image = made.image.resize((CROP, CROP), Image.Resampling.BILINEAR)
    return [(np.asarray(image), made.objects[0])]


def photos(split: str, count: int) -> list[tuple[npt.NDArray[np.uint8], SceneObject]]:
    """(UINT8 [CROP, CROP, 3], object) of whole close-ups, each kind of object in turn."""
    make = functools.partial(_photo_example, split=split)
    return rendered(f"photos {split} {CROP}", make, range(count))


PHOTOGRAPHED = 0.5
"""Of the pictures that are not of the world, how many are of photographs, where there are any."""


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """Adds a training's option for the folders of photographs."""
    parser.add_argument(
        "--photographs",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="some of what is not of the world; default: rendered pictures alone",
    )


_FORMATS = {".jpg", ".jpeg", ".png", ".webp"}
_SMALLEST, _LARGEST = 96, 640
"""The sides of photographs that parts are cut out of, in pixels; larger ones are reduced."""
_HELD_BACK = 8
"""One photograph in so many is for validation."""


def photograph_parts(
    folders: Sequence[Path], split: str, count: int, width: int, height: int
) -> list[npt.NDArray[np.uint8]]:
    """Parts of photographs, in another size: UINT8 [height, width, 3].

    What is cut out, as a stamp is, stands in front of a picture of `outside_picture`.

    Args:
        folders: Where photographs are, at any depth; links are not followed.
        split: `train` and `validation` have parts of different photographs.
        count: Of the parts, at most; each photograph gives about as many.

    Raises:
        ValueError: No photograph is there.
    """
    files = sorted(
        (path.relative_to(folder).as_posix(), path)
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in _FORMATS and path.is_file() and not path.is_symlink()
    )
    chosen = [
        path
        for name, path in files
        if (zlib.crc32(name.encode()) % _HELD_BACK == 0) is (split == "validation")
    ]
    if not chosen:
        raise ValueError(
            f"no photographs of the split {split!r} in {[str(each) for each in folders]}; "
            f"accepted: files that end with {sorted(_FORMATS)}"
        )
    make = functools.partial(
        _parts_of_photograph, chosen, -(-count // len(chosen)), (width, height)
    )
    content = zlib.crc32(repr([(each.name, each.stat().st_size) for each in chosen]).encode())
    what = f"photograph parts {split} {width}x{height} {make.args[1]} {content:08x}"
    parts: list[npt.NDArray[np.uint8]] = rendered(what, make, range(len(chosen)))
    random.Random(0).shuffle(parts)
    return parts[:count]


def _parts_of_photograph(
    paths: Sequence[Path], count: int, size: tuple[int, int], index: int
) -> list[npt.NDArray[np.uint8]]:
    rng = random.Random(f"photograph parts/{paths[index].name}")
    with Image.open(paths[index]) as file:
        file.draft("RGB", (_LARGEST, _LARGEST))
        image = file.convert("RGBA")
    is_cut_out = image.getextrema()[3][0] < 255
    image.thumbnail((_LARGEST // 2, _LARGEST // 2) if is_cut_out else (_LARGEST, _LARGEST))
    if min(image.size) < _SMALLEST:
        return []
    parts = []
    for _ in range(count):
        picture = image
        if is_cut_out:
            around = round(max(image.size) * rng.uniform(1, 2))
            behind = outside_picture(rng.getrandbits(32), "train", around, around)
            picture = Image.fromarray(behind).convert("RGBA")
            picture.alpha_composite(
                image,
                (rng.randint(0, around - image.width), rng.randint(0, around - image.height)),
            )
        # Near and far, wide and tall, as boxes and close-ups are.
        side = min(picture.size) * math.exp(rng.uniform(math.log(0.15), 0))
        stretch = math.exp(rng.uniform(-0.4, 0.4))
        across = min(picture.width, max(24, round(side * stretch)))
        down = min(picture.height, max(24, round(side / stretch)))
        x, y = rng.randint(0, picture.width - across), rng.randint(0, picture.height - down)
        part = picture.convert("RGB").crop((x, y, x + across, y + down))
        if rng.random() < 0.2:
            part = part.convert("L").convert("RGB")
        parts.append(squeezed(part, (0, 0, across, down), *size))
    return parts


def _outside_crop(seed: int) -> list[npt.NDArray[np.uint8]]:
    rng = random.Random(f"outside crops/{seed}")
    sides = rng.randint(48, 256), rng.randint(48, 256)
    picture = Image.fromarray(outside_picture(seed, "train", *sides))
    return [squeezed(picture, (0, 0, *sides), CROP, CROP)]


def outside_crops(seeds: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """UINT8 [CROP, CROP, 3] of pictures of the training split that are not of the world.

    They are of any shape and size that boxes and close-ups have.
    """
    return rendered(f"outside {CROP}", _outside_crop, seeds)
