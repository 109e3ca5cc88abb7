"""Score a detector on rendered scenes that its training never saw: COCO's average precision.

python -m zoo.evaluate_object_detection --scenes 200
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from infergraph.devices import Placement
from infergraph.tasks.vision.detections import Detections, Detector, Pixels
from infergraph.tasks.vision.detectors import load_detector
from zoo.outside_pictures import outside_of_the_world
from zoo.scenes import CLASSES, Scene
from zoo.vision_data import varied_scene

CHECKPOINT = Path("model-settings/object-detection/embedded")
_LOWEST_SCORE = 0.02
CPU = Placement(torch.device("cpu"), torch.float32, compile=False)


@dataclass(frozen=True)
class Precision:
    """Average precision at an overlap of 50%, and the mean of overlaps from 50% to 95%."""

    at_50: float
    mean: float

    def __str__(self) -> str:
        return f"AP@50 {self.at_50:6.1%}  AP@50-95 {self.mean:6.1%}"


@torch.inference_mode()
def detected(detector: Detector, scenes: Sequence[Scene]) -> list[Detections]:
    """What a detector finds in each scene."""
    return [
        found for each in scenes for found in detector([detector.prepare(np.asarray(each.image))])
    ]


def report_outside(detector: Detector, pictures: Sequence[Pixels], threshold: float) -> str:
    """How often and how surely something is found in pictures that have nothing to find."""
    found = [detector([detector.prepare(each)])[0] for each in pictures]
    highest = np.array([each.scores.max(initial=0) for each in found])
    objects = sum(int((each.scores > threshold).sum()) for each in found)
    return (
        f"something is found in {(highest > threshold).mean():6.1%}, {objects} objects, mean of "
        f"the highest score {highest.mean():.3f}  n={len(pictures)}"
    )


def score(scenes: Sequence[Scene], found: Sequence[Detections]) -> dict[str, Precision]:
    """The precision of each class of `CLASSES` that occurs, and of "all" (their mean)."""
    truth: dict[str, Any] = {
        "info": {},
        "images": [{"id": index} for index in range(len(scenes))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
        "annotations": [],
    }
    for index, each in enumerate(scenes):
        for made in each.objects:
            x1, y1, x2, y2 = made.box
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": index,
                    "category_id": CLASSES.index(made.label),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    rows = [
        [index, x1, y1, x2 - x1, y2 - y1, confidence, number]
        for index, each in enumerate(found)
        for (x1, y1, x2, y2), confidence, number in zip(
            each.boxes.tolist(), each.scores.tolist(), each.classes.tolist(), strict=True
        )
    ]
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(np.array(rows)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # [overlap, recall, class, area, most detections]; -1 where a class does not occur.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    scores = {
        name: Precision(precision[0, :, number].mean(), precision[:, :, number].mean())
        for number, name in enumerate(CLASSES)
        if (precision[:, :, number] >= 0).all()
    }
    mean = Precision(
        float(np.mean([each.at_50 for each in scores.values()])),
        float(np.mean([each.mean for each in scores.values()])),
    )
    return {**scores, "all": mean}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    parser.add_argument("--threshold", type=float, default=0.55, help="for the counted objects")
    parser.add_argument("--photographs", type=Path, help="a folder of pictures of no street")
    args = parser.parse_args(argv)
    scenes = [varied_scene(seed, args.split) for seed in range(args.scenes)]
    detector = load_detector(
        str(args.checkpoint.resolve()), CPU, threshold=_LOWEST_SCORE, max_batch_size=8
    )
    found = detected(detector, scenes)
    for name, precision in score(scenes, found).items():
        print(f"{name:16} {precision}")
    exact = sum(
        int((each.scores > args.threshold).sum()) == len(made.objects)
        for made, each in zip(scenes, found, strict=True)
    )
    with torch.inference_mode():
        for kind, pictures in outside_of_the_world(args.photographs, 200).items():
            print(f"{kind:16} {report_outside(detector, pictures, args.threshold)}")
    print(f"as many objects over {args.threshold:g} as there are: {exact / len(scenes):.1%}")


if __name__ == "__main__":
    main()
