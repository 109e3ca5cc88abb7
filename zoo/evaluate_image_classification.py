"""Score image classifiers on rendered pictures that their training never saw.

python -m zoo.evaluate_image_classification --model resnet
python -m zoo.evaluate_image_classification --pipelines

Of a model: on close-ups as a whole, and on the true boxes of objects in scenes; what its scores
mean there, and in pictures that are not of the world. Of the pipelines cascade and ensemble: on
close-ups, for several thresholds of the cascade.
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
from zoo.calibration import auroc, expected_calibration_error
from zoo.evaluate_object_detection import CPU
from zoo.outside_pictures import outside_of_the_world
from zoo.outside_texts import UNKNOWN
from zoo.scenes import OBJECTS, SceneObject, photo
from zoo.train_image_classification import TASKS
from zoo.vision_data import varied_scene

Picture = npt.NDArray[np.uint8]
SMALL, LARGE = "resnet", "inception"
ENSEMBLE = ("alexnet", "inception", "resnet")
_BATCH = 64
_SHADED, _OTHERS = 200, 300
_SURE = 0.85
"""The cascade's threshold."""


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


def report_model(
    model: str, checkpoint: Path | None, count: int, split: str, photographs: Path | None
) -> None:
    classifier, task = load(model, checkpoint), TASKS[model]
    forms = (("close-ups", close_ups(count, split)), ("boxes", boxes(count // 5, split)))
    outside = outside_of_the_world(photographs, _SHADED)
    inside, hits = [], []
    for form, examples in forms:
        known = [
            (picture, label)
            for picture, made in examples
            if (label := task.label(made)) is not None
        ]
        others = [picture for picture, made in examples if task.label(made) is None]
        if others:
            outside[f"other {form}"] = others[:_OTHERS]
        scores = probabilities(classifier, [picture for picture, _ in known])
        right = np.array([classifier.labels.index(label) for _, label in known])
        print(f"{form:12} accuracy {accuracy(scores, right):6.1%}  n={len(known)}")
        if len(task.labels) <= len(OBJECTS):
            report_labels(classifier.labels, scores, right)
        inside.append(scores)
        hits.append(scores.argmax(axis=1) == right)
    of_world, found = np.concatenate(inside), np.concatenate(hits)
    error = expected_calibration_error(of_world.max(axis=1), found.tolist())
    print(f"{'calibration error':24} {error:.3f}  mean score {of_world.max(axis=1).mean():.3f}")
    for kind, pictures in outside.items():
        print(f"{kind:24} {report_outside(classifier, pictures, of_world)}")


def report_labels(
    labels: Sequence[str], scores: npt.NDArray[np.float32], right: npt.NDArray[np.int64]
) -> None:
    """How often each label is found, and how often what has it is called unknown."""
    for number, label in enumerate(labels):
        of_label = scores[right == number].argmax(axis=1)
        if len(of_label):
            called = np.array(labels)[of_label]
            print(
                f"  {label:20} {(called == label).mean():6.1%}  "
                f"unknown {(called == UNKNOWN).mean():5.1%}  n={len(called)}"
            )


def report_outside(
    classifier: ImageClassifier, pictures: Sequence[Picture], inside: npt.NDArray[np.float32]
) -> str:
    """How often and how surely pictures that have nothing to tell are taken for something.

    Args:
        classifier: A checkpoint of the world.
        pictures: Of what it should not know.
        inside: The probabilities that it gives pictures of the world, FP32 [n, labels].
    """
    scores = probabilities(classifier, pictures)
    world = [number for number, label in enumerate(classifier.labels) if label != UNKNOWN]
    best = scores[:, world].max(axis=1)
    taken = np.isin(scores.argmax(axis=1), world)
    return (
        f"a label of the world {taken.mean():6.1%}, at {_SURE} or above "
        f"{(best >= _SURE).mean():6.1%}, mean of its score {best.mean():.3f}, "
        f"AUROC {auroc(inside[:, world].max(axis=1), best):.3f}  n={len(pictures)}"
    )


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
    parser.add_argument("--photographs", type=Path, help="a folder of pictures of no street")
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    args = parser.parse_args(argv)
    if args.pipelines:
        report_pipelines(args.pictures, args.split)
    else:
        report_model(args.model, args.checkpoint, args.pictures, args.split, args.photographs)


if __name__ == "__main__":
    main()
