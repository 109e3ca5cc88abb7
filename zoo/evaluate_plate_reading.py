"""Score plate reading on vehicles of scenes that its training never saw, in their true boxes.

python -m zoo.evaluate_plate_reading --scenes 400
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

from infergraph.tasks.plate_reading import PlateReading
from zoo.calibration import expected_calibration_error
from zoo.outside_pictures import outside_of_the_world
from zoo.sample_images import VEHICLES
from zoo.scenes import Scene
from zoo.vision_data import varied_scene, whole_pixels

FOLDER = Path("model-settings/plate-reading")


@dataclass(frozen=True)
class Reading:
    """A vehicle's plate and what was read; both are empty where there is none."""

    plate: str
    text: str
    score: float


async def load(folder: Path) -> PlateReading:
    """The servable of a folder, without a server."""
    settings = ModelSettings.model_validate(
        json.loads((folder / "model-settings.json").read_text(encoding="utf-8"))
    )
    settings._source = str((folder / "model-settings.json").resolve())
    model = PlateReading(settings)
    await model.load()
    return model


def readings(model: PlateReading, scenes: Sequence[Scene]) -> list[Reading]:
    """What the model reads on every vehicle of the scenes."""
    found: list[Reading] = []
    for made in scenes:
        vehicles = [each for each in made.objects if each.label in VEHICLES]
        if not vehicles:
            continue
        boxes = np.array([each.box for each in vehicles], np.float32)
        for each, (text, score) in zip(vehicles, read(model, made.image, boxes), strict=True):
            found.append(Reading(each.plate.text if each.plate else "", text, score))
    return found


def read(
    model: PlateReading, image: Image.Image, boxes: npt.NDArray[np.float32] | None = None
) -> list[tuple[str, float]]:
    """The text and score in each box, FP32 [n, 4], of an image; without boxes, in all of it."""
    file = io.BytesIO()
    # Without further loss: a scene has been through JPEG already.
    image.save(file, "PNG")
    item: dict[str, Any] = {"image": file.getvalue()}
    if boxes is not None:
        item |= {"boxes": boxes, "num_detections": np.array([len(boxes)])}
    (answer,) = model.predict_batch([model.prepare(item)], None)
    assert isinstance(answer, dict)
    return [
        (text, float(score)) for text, score in zip(answer["text"], answer["score"], strict=True)
    ]


def without_plates(
    scenes: Sequence[Scene], photographs: Path | None, count: int
) -> dict[str, list[Image.Image]]:
    """Held-out pictures, taken as vehicles, that have no plate: by where they are from."""
    outside = outside_of_the_world(photographs, count)
    pictures = {kind: [*map(Image.fromarray, some)] for kind, some in outside.items()}
    people = [
        made.image.crop(whole_pixels(each.box, made.image))
        for made in scenes
        for each in made.objects
        if each.label not in VEHICLES
    ]
    return pictures | {"people and things": people[:count]}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the servable")
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--photographs", type=Path, help="a folder of pictures of no plate")
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    args = parser.parse_args(argv)
    model = asyncio.run(load(args.folder))
    scenes = [varied_scene(seed, args.split) for seed in range(args.scenes)]
    found = readings(model, scenes)
    plates = [each for each in found if each.plate]
    without = [each for each in found if not each.plate]
    exact = np.mean([each.text == each.plate for each in plates])
    located = np.mean([bool(each.text) for each in plates])
    letters = np.mean(
        [
            np.mean([a == b for a, b in zip(each.text.ljust(6), each.plate, strict=False)])
            for each in plates
        ]
    )
    print(f"plates read exactly     {exact:6.1%}  n={len(plates)}")
    print(f"plates found            {located:6.1%}")
    print(f"characters right        {letters:6.1%}")
    quiet = np.mean([not each.text for each in without])
    print(f"nothing read on no plate{quiet:6.1%}  n={len(without)}")
    told = [each for each in found if each.text]
    error = expected_calibration_error(
        [each.score for each in told], [each.text == each.plate for each in told]
    )
    print(
        f"calibration error       {error:6.3f}  mean score {np.mean([e.score for e in told]):.3f}"
    )
    for kind, pictures in without_plates(scenes, args.photographs, 200).items():
        scores = np.array([score for each in pictures for _, score in read(model, each)])
        print(
            f"{kind:24}something is read on {(scores > 0).mean():6.1%}, with a score of 0.5 or "
            f"more on {(scores >= 0.5).mean():6.1%}  n={len(scores)}"
        )


if __name__ == "__main__":
    main()
