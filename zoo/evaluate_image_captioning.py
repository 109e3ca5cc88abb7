"""Score a captioner on held-out scenes, objects in boxes, and what is not of the world.

    python -m zoo.evaluate_image_captioning --scenes 200

F1 is of triples of object, colour and count: those that a caption claims against those that are
true. With a detector's checkpoint it is also of the sentence that image-query makes of its boxes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sacrebleu
import torch

from infergraph.devices import Placement
from infergraph.tasks.operations.base import Working, text_array
from infergraph.tasks.operations.labels import Sentence
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.detectors import load_detector
from infergraph.tasks.vision.picture_writer import PictureWriter, Reading
from infergraph.tensors.image import Pixels
from zoo.calibration import auroc, expected_calibration_error, false_accepts
from zoo.caption_data import captioned_scene
from zoo.captions import caption, f1
from zoo.outside_pictures import outside_of_the_world
from zoo.outside_texts import UNKNOWN
from zoo.scenes import Scene

MODELS = Path("model-settings")
CPU = Placement(torch.device("cpu"), torch.float32, compile=False)
_THRESHOLD = 0.55


def sentence_maker() -> Sentence:
    """The operation of the model image-sentence."""
    file = json.loads((MODELS / "image-sentence" / "model-settings.json").read_text())
    return Sentence.model_validate(file["parameters"]["extra"]["operations"][0])


def sentence(maker: Sentence, descriptions: Sequence[str]) -> str:
    """What image-query says of descriptions, without what each sentence begins and ends with."""
    item = Working(
        {
            maker.texts: text_array(list(descriptions)),
            str(maker.count): np.array([len(descriptions)]),
        }
    )
    maker.apply(item)
    said: str = item.values[maker.into][0].decode()
    return "" if said == maker.nothing else said.removeprefix(maker.begin).rstrip(".")


def scored(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    """A line with what captions are worth: F1, BLEU, and how many are right in every word."""
    bleu = sacrebleu.corpus_bleu([text for text, _ in pairs], [[truth for _, truth in pairs]])
    exact = np.mean([text == truth for text, truth in pairs])
    return (
        f"{name:28} F1 {f1(pairs):6.1%}  BLEU {bleu.score:5.1f}  exact {exact:6.1%}  n={len(pairs)}"
    )


def report_outside(readings: Sequence[Reading], inside: Sequence[float]) -> str:
    """How often something is said of pictures that are not of the world, and how surely."""
    said = [reading.text != UNKNOWN for reading in readings]
    scores = [
        reading.probability if each else 0.0 for reading, each in zip(readings, said, strict=True)
    ]
    return (
        f"something is said of {np.mean(said):6.1%}, surely (0.85) of "
        f"{np.mean(np.array(scores) >= 0.85):6.1%}; AUROC {auroc(inside, scores):.3f}, at or above "
        f"the score of 95% of the world's {false_accepts(inside, scores):6.1%}  n={len(readings)}"
    )


@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=MODELS / "image-captioning" / "embedded")
    parser.add_argument("--detector", type=Path, default=MODELS / "object-detection" / "embedded")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--split", choices=("validation", "held-out"), default="held-out")
    parser.add_argument("--outside", type=int, default=200, help="pictures that are rendered")
    parser.add_argument("--photographs", type=Path, help="a folder of pictures of no street")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    writer = PictureWriter(
        str(args.checkpoint.resolve()), CPU, max_new_tokens=48, max_batch_size=16
    )
    scenes = [captioned_scene(seed, args.split) for seed in range(args.scenes)]
    readings = writer([np.asarray(each.image) for each in scenes])
    truths = [caption(each.objects) for each in scenes]
    print(scored("whole scenes", _pairs(readings, truths)))

    described = _of_true_boxes(writer, scenes)
    objects = [caption((each,)) for made in scenes for each in made.objects]
    flat = [reading for some in described for reading in some]
    print(scored("objects in their boxes", _pairs(flat, objects)))
    scores = [reading.probability for reading in [*readings, *flat]]
    right = [text == truth for text, truth in _pairs([*readings, *flat], [*truths, *objects])]
    print(f"calibration error of both {expected_calibration_error(scores, right):.4f}")

    maker = sentence_maker()
    streets = ["" if not made.objects else caption(made.objects) for made in scenes]
    sentences = [sentence(maker, [each.text for each in some]) for some in described]
    print(scored("sentences, true boxes", list(zip(sentences, streets, strict=True))))
    found = _of_found_boxes(writer, args.detector, scenes)
    sentences = [sentence(maker, [each.text for each in some]) for some in found]
    print(scored("sentences, detector's boxes", list(zip(sentences, streets, strict=True))))
    for kind, pictures in outside_of_the_world(args.photographs, args.outside).items():
        print(f"{kind:16} {report_outside(writer(pictures), scores)}")


def _pairs(readings: Sequence[Reading], truths: Sequence[str]) -> list[tuple[str, str]]:
    return [(reading.text, truth) for reading, truth in zip(readings, truths, strict=True)]


def _of_true_boxes(writer: PictureWriter, scenes: Sequence[Scene]) -> list[list[Reading]]:
    return [
        _described(writer, np.asarray(made.image), np.array([each.box for each in made.objects]))
        for made in scenes
    ]


def _of_found_boxes(
    writer: PictureWriter, checkpoint: Path, scenes: Sequence[Scene]
) -> list[list[Reading]]:
    detector = load_detector(str(checkpoint.resolve()), CPU, threshold=_THRESHOLD, max_batch_size=8)
    images = [np.asarray(made.image) for made in scenes]
    found = [detector([detector.prepare(image)])[0].boxes for image in images]
    return [_described(writer, image, boxes) for image, boxes in zip(images, found, strict=True)]


def _described(writer: PictureWriter, image: Pixels, boxes: np.ndarray) -> list[Reading]:
    return writer([crop(image, box) for box in boxes])


if __name__ == "__main__":
    main()
