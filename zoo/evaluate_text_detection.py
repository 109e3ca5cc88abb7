"""Score text detection on scenes with signs whose fonts and sentences its training never saw.

python -m zoo.evaluate_text_detection --scenes 200
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlserver import ModelSettings
from PIL import Image

from infergraph.tasks.text_detection import TextDetection
from zoo.calibration import expected_calibration_error
from zoo.outside_pictures import outside_of_the_world
from zoo.signs import Quad
from zoo.text_detection_data import sign_scenes, streets

FOLDER = Path("model-settings/text-detection")
LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class Found:
    """The lines that were found in a picture: FP32 [n, 4, 2], and their scores FP32 [n]."""

    quads: Quad
    scores: npt.NDArray[np.float32]


def load(task: type[Any], folder: Path, checkpoint: Path | None = None) -> Any:
    """The servable of a folder, with this or its own checkpoint, without a server."""
    declared = json.loads((folder / "model-settings.json").read_text(encoding="utf-8"))
    if checkpoint is not None:
        declared["parameters"]["extra"]["variants"]["embedded"] = str(checkpoint.resolve())
    settings = ModelSettings.model_validate(declared)
    settings._source = str((folder / "model-settings.json").resolve())
    model = task(settings)
    asyncio.run(model.load())
    return model


def as_item(image: Image.Image) -> dict[str, Any]:
    """An item with an image, without further loss: a scene has been through JPEG already."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"image": file.getvalue()}


def lines_in(model: TextDetection, image: Image.Image) -> Found:
    """What the model finds in an image."""
    (answer,) = model.predict_batch([model.prepare(as_item(image))], None)
    assert isinstance(answer, dict)
    count = int(np.asarray(answer["num_detections"]).ravel()[0])
    quads = np.asarray(answer["quads"], np.float32)[:count].reshape(-1, 4, 2)
    return Found(quads, np.asarray(answer["scores"], np.float32)[:count])


def _area(polygon: Sequence[tuple[float, float]]) -> float:
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


def overlap(one: Quad, other: Quad) -> float:
    """Intersection over union, from 0 to 1, of two convex quads [4, 2] that go clockwise."""
    corners = [(float(x), float(y)) for x, y in one]
    edges = [(float(x), float(y)) for x, y in other]
    whole = _area(corners) + _area(edges)
    for (x1, y1), (x2, y2) in zip(edges, [*edges[1:], edges[0]], strict=True):
        kept: list[tuple[float, float]] = []
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in corners]
        for number, (x, y) in enumerate(corners):
            before, now = sides[number - 1], sides[number]
            if (before < 0) != (now < 0):
                share = before / (before - now)
                px, py = corners[number - 1]
                kept.append((px + share * (x - px), py + share * (y - py)))
            if now >= 0:
                kept.append((x, y))
        corners = kept
        if not corners:
            return 0.0
    common = _area(corners)
    return common / max(whole - common, 1e-9)


def matches(found: Quad, wanted: Sequence[Quad], least: float = LEAST_OVERLAP) -> dict[int, int]:
    """Which quad of `wanted` each found one is, by index: pairs of most overlap first."""
    pairs = [
        (overlap(one, other), first, second)
        for first, one in enumerate(found)
        for second, other in enumerate(wanted)
    ]
    matched: dict[int, int] = {}
    for share, first, second in sorted(pairs, reverse=True):
        if share < least:
            break
        if first not in matched and second not in matched.values():
            matched[first] = second
    return matched


def is_unread(quad: Quad, unread: Sequence[Quad]) -> bool:
    """Whether the middle of a found quad is in text that the renderer says nothing of."""
    x, y = quad.mean(axis=0)
    return any(
        (each.min(axis=0) <= (x, y)).all() and (each.max(axis=0) >= (x, y)).all() for each in unread
    )


def without_text(count: int) -> dict[str, list[Image.Image]]:
    """Held-out pictures in which there is nothing to read."""
    outside = outside_of_the_world(None, count)
    pictures = {kind: [*map(Image.fromarray, some)] for kind, some in outside.items()}
    return pictures | {"streets": streets(count)}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the servable")
    parser.add_argument("--checkpoint", type=Path, help="default: the folder's own")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=60, help="of each kind without text")
    args = parser.parse_args(argv)
    model = load(TextDetection, args.folder, args.checkpoint)
    right: list[bool] = []
    scores: list[float] = []
    overlaps: list[float] = []
    wanted, turned_wanted, turned_found = 0, 0, 0
    for made in sign_scenes("held_out", args.scenes):
        found = lines_in(model, made.image)
        truth = [line.quad for line in made.lines]
        matched = matches(found.quads, truth)
        overlaps += [overlap(found.quads[one], truth[other]) for one, other in matched.items()]
        for number, (quad, score) in enumerate(zip(found.quads, found.scores, strict=True)):
            if number in matched or not is_unread(quad, made.unread):
                right.append(number in matched)
                scores.append(float(score))
        wanted += len(truth)
        turned = {number for number, quad in enumerate(truth) if is_turned(quad)}
        turned_wanted += len(turned)
        turned_found += len(turned & set(matched.values()))
    recall, precision = sum(right) / max(wanted, 1), sum(right) / max(len(right), 1)
    hmean = 2 * recall * precision / max(recall + precision, 1e-9)
    print(f"lines found             {recall:6.1%}  n={wanted}")
    print(f"found that are lines    {precision:6.1%}  n={len(right)}")
    print(f"hmean at IoU 0.5        {hmean:6.1%}")
    print(f"mean IoU of those       {np.mean(overlaps):6.3f}")
    turned_share = turned_found / max(turned_wanted, 1)
    print(f"turned lines found      {turned_share:6.1%}  n={turned_wanted}")
    error = expected_calibration_error(scores, right)
    print(f"calibration error       {error:6.3f}  mean score {np.mean(scores):.3f}")
    for kind, pictures in without_text(args.pictures).items():
        some = [len(lines_in(model, each).quads) for each in pictures]
        print(
            f"{kind:24}something is found in {np.mean([each > 0 for each in some]):6.1%}, "
            f"{np.mean(some):.2f} lines a picture  n={len(some)}"
        )


def is_turned(quad: Quad, degrees: float = 5.0) -> bool:
    """Whether a line goes up or down by so many degrees or more."""
    x, y = quad[1] - quad[0]
    return bool(abs(np.degrees(np.arctan2(y, x))) >= degrees)


if __name__ == "__main__":
    main()
