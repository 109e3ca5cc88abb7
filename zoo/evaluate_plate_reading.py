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

import numpy as np
from mlserver import ModelSettings

from infergraph.tasks.plate_reading import PlateReading
from zoo.sample_images import VEHICLES
from zoo.scenes import Scene
from zoo.vision_data import varied_scene

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
        file = io.BytesIO()
        # Without further loss: the scene has been through JPEG already.
        made.image.save(file, "PNG")
        item = {
            "image": file.getvalue(),
            "boxes": np.array([each.box for each in vehicles], np.float32),
            "num_detections": np.array([len(vehicles)]),
        }
        (answer,) = model.predict_batch([model.prepare(item)], None)
        assert isinstance(answer, dict)
        for each, text, score in zip(vehicles, answer["text"], answer["score"], strict=True):
            found.append(Reading(each.plate.text if each.plate else "", text, float(score)))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the servable")
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    args = parser.parse_args(argv)
    model = asyncio.run(load(args.folder))
    found = readings(model, [varied_scene(seed, args.split) for seed in range(args.scenes)])
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


if __name__ == "__main__":
    main()
