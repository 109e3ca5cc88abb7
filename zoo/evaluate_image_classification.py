"""Score image classifiers on rendered pictures that their training never saw.

python -m zoo.evaluate_image_classification --model resnet
python -m zoo.evaluate_image_classification --pipelines

Of a model: on close-ups as a whole, and on the true boxes of objects in scenes. Of the pipelines
cascade and ensemble: on close-ups, for several thresholds of the cascade.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from infergraph.tasks.class_scores import class_scores
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.classifiers import ImageClassifier, load_classifier
from zoo.evaluate_object_detection import CPU
from zoo.scenes import OBJECTS, SceneObject, photo
from zoo.train_image_classification import TASKS
from zoo.vision_data import varied_scene

Picture = npt.NDArray[np.uint8]
SMALL, LARGE = "resnet", "inception"
ENSEMBLE = ("alexnet", "inception", "resnet")
_BATCH = 64


def close_ups(count: int, split: str) -> list[tuple[Picture, SceneObject]]:
    """Whole close-ups, each kind of object in turn."""
    made = [photo(seed, split, OBJECTS[seed % len(OBJECTS)]) for seed in range(count)]
    return [(np.array(each.image), each.objects[0]) for each in made]


def boxes(scenes: int, split: str) -> list[tuple[Picture, SceneObject]]:
    """The true boxes of all objects of varied scenes, cut out as the runtime does it."""
    found: list[tuple[Picture, SceneObject]] = []
    for seed in range(scenes):
        made = varied_scene(seed, split)
        image = np.array(made.image)
        found += [(crop(image, np.array(each.box, np.float32)), each) for each in made.objects]
    return found


@torch.inference_mode()
def probabilities(
    classifier: ImageClassifier, pictures: Sequence[Picture]
) -> npt.NDArray[np.float32]:
    """FP32 [pictures, labels]."""
    rows = []
    for first in range(0, len(pictures), _BATCH):
        resized = [classifier.transform.resized(each) for each in pictures[first : first + _BATCH]]
        pixels = classifier.transform.normalized(resized, CPU.device)
        logits = classifier.network(pixels)
        rows.append(class_scores(logits, independent=classifier.independent).numpy())
    return np.concatenate(rows)


def load(model: str, checkpoint: Path | None = None) -> ImageClassifier:
    """A model's embedded classifier, or that of another checkpoint."""
    folder = checkpoint or Path("model-settings", model, "embedded")
    return load_classifier(str(folder.resolve()), CPU)


def accuracy(scores: npt.NDArray[np.float32], right: npt.NDArray[np.int64]) -> float:
    """The share of rows whose best column is the right one."""
    return float((scores.argmax(axis=1) == right).mean())


def report_model(model: str, checkpoint: Path | None, count: int, split: str) -> None:
    classifier, task = load(model, checkpoint), TASKS[model]
    forms = (("close-ups", close_ups(count, split)), ("boxes", boxes(count // 5, split)))
    for form, examples in forms:
        known = [
            (picture, label)
            for picture, made in examples
            if (label := task.label(made)) is not None
        ]
        scores = probabilities(classifier, [picture for picture, _ in known])
        right = np.array([classifier.labels.index(label) for _, label in known])
        print(f"{form:12} accuracy {accuracy(scores, right):6.1%}  n={len(known)}")
        if len(classifier.labels) <= len(OBJECTS):
            for number, label in enumerate(classifier.labels):
                of_label = right == number
                if of_label.any():
                    share = accuracy(scores[of_label], right[of_label])
                    print(f"  {label:20} {share:6.1%}  n={of_label.sum()}")


def report_pipelines(count: int, split: str) -> None:
    examples = close_ups(count, split)
    right = np.array([OBJECTS.index(made.name) for _, made in examples])
    pictures = [picture for picture, _ in examples]
    scores = {model: probabilities(load(model), pictures) for model in ENSEMBLE}
    for model, each in scores.items():
        print(f"{model:22} accuracy {accuracy(each, right):6.1%}")
    mean = np.mean(list(scores.values()), axis=0)
    print(f"{'ensemble (mean)':22} accuracy {accuracy(mean, right):6.1%}")
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95):
        escalated = scores[SMALL].max(axis=1) < threshold
        both = np.where(escalated[:, None], scores[LARGE], scores[SMALL])
        print(
            f"cascade at {threshold:<11g} accuracy {accuracy(both, right):6.1%}  "
            f"escalated {escalated.mean():6.1%}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--model", choices=TASKS)
    group.add_argument("--pipelines", action="store_true", help="cascade and ensemble")
    parser.add_argument("--checkpoint", type=Path, help="default: the model's embedded one")
    parser.add_argument("--pictures", type=int, default=3000, help="close-ups; scenes: a fifth")
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    args = parser.parse_args(argv)
    if args.pipelines:
        report_pipelines(args.pictures, args.split)
    else:
        report_model(args.model, args.checkpoint, args.pictures, args.split)


if __name__ == "__main__":
    main()
