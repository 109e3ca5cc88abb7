"""Score text recognition on signs whose fonts and sentences its training never saw.

    python -m zoo.evaluate_text_recognition --scenes 200

Lines are read in their true quads, and, with `--detector`, in those that text detection finds.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from infergraph.tasks.text_detection import TextDetection
from infergraph.tasks.text_recognition import TextRecognition
from zoo import evaluate_text_detection as detection
from zoo.calibration import auroc, expected_calibration_error
from zoo.signs import Quad
from zoo.text_detection_data import sign_scenes

FOLDER = Path("model-settings/text-recognition")


@dataclass(frozen=True)
class Reading:
    """What is written in a line, and what was read there."""

    wanted: str
    text: str
    score: float


def read(
    model: TextRecognition, image: Image.Image, quads: Sequence[Quad] | Quad | None
) -> list[tuple[str, float]]:
    """The text and score in each quad of an image; without quads, in all of it."""
    item = detection.as_item(image)
    if quads is not None:
        flat = np.array(quads, np.float32).reshape(-1, 8)
        item |= {"quads": flat, "num_detections": np.array([len(flat)])}
    (answer,) = model.predict_batch([model.prepare(item)], None)
    assert isinstance(answer, dict)
    pairs = zip(answer["text"], answer["score"], strict=True)
    return [(str(text), float(score)) for text, score in pairs]


def words_right(wanted: str, text: str) -> int:
    """How many words of `wanted` are in `text`, exactly and in order."""
    pairs = difflib.SequenceMatcher(None, wanted.split(), text.split(), autojunk=False)
    return sum(block.size for block in pairs.get_matching_blocks())


def distance(one: str, other: str) -> int:
    """The least number of characters to put in, take out or change (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, start=1):
        before, row[0] = row[0], number
        for place, same in enumerate(other, start=1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (character != same)),
            )
    return row[-1]


def report(title: str, readings: Sequence[Reading]) -> None:
    """Prints how much of the lines was read."""
    words = sum(len(each.wanted.split()) for each in readings)
    right = sum(words_right(each.wanted, each.text) for each in readings)
    wrong = sum(distance(each.wanted, each.text) for each in readings)
    characters = sum(len(each.wanted) for each in readings)
    exact = [each.text == each.wanted for each in readings]
    print(f"{title}: words {right / max(words, 1):.1%} of {words}, lines {np.mean(exact):.1%} of "
          f"{len(exact)}, character error rate {wrong / max(characters, 1):.2%}")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the servable")
    parser.add_argument("--checkpoint", type=Path, help="default: the folder's own")
    parser.add_argument("--detector", type=Path, help="the folder of text detection")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=60, help="of each kind without text")
    args = parser.parse_args(argv)
    model = detection.load(TextRecognition, args.folder, args.checkpoint)
    found, turned, end_to_end = [], [], []
    detector = args.detector and detection.load(TextDetection, args.detector)
    extra = 0
    for made in sign_scenes("held_out", args.scenes):
        if not made.lines:
            continue
        answers = read(model, made.image, [line.quad for line in made.lines])
        for line, (text, score) in zip(made.lines, answers, strict=True):
            found.append(Reading(line.text, text, score))
            if detection.is_turned(line.quad):
                turned.append(found[-1])
        if detector is not None:
            quads = detection.lines_in(detector, made.image).quads
            matched = detection.matches(quads, [line.quad for line in made.lines])
            there = {matched[row]: each for row, each in enumerate(read(model, made.image, quads))
                     if row in matched}  # fmt: skip
            extra += len(quads) - len(there)
            for number, line in enumerate(made.lines):
                end_to_end.append(Reading(line.text, *there.get(number, ("", 0.0))))
    report("true quads", found)
    report("turned by 5 degrees and more", turned)
    if detector is not None:
        report(f"quads found ({extra} others)", end_to_end)
    exact = [each.text == each.wanted for each in found]
    scores = [each.score for each in found]
    print(f"calibration error {expected_calibration_error(scores, exact):.3f}, "
          f"mean score {np.mean(scores):.3f}")  # fmt: skip
    for kind, pictures in detection.without_text(args.pictures).items():
        strips = [
            each.crop((0, 0, min(each.width, 160), min(each.height, 40))) for each in pictures
        ]
        nothing = [score for each in strips for _, score in read(model, each, None)]
        print(
            f"{kind:24}a score of 0.5 or more on {np.mean(np.array(nothing) >= 0.5):6.1%}, AUROC "
            f"{auroc(scores, nothing):.3f}  n={len(nothing)}"
        )


if __name__ == "__main__":
    main()
