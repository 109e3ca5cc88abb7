"""Train an embedded checkpoint again, from nothing: what `make checkpoint MODEL=...` runs.

    python -m zoo.checkpoint summarization
    python -m zoo.checkpoint --list

Further arguments go to the model's own training script, `--steps 100` for a quick try; of
speech-to-text, `--utterances 100 --epochs 1`.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

MODELS = Path("model-settings")

TRAININGS: dict[str, tuple[str, ...]] = {
    "speech-to-text": ("train_speech_to_text",),
    "speech-to-text-de": (
        *("train_speech_to_text", "--language", "de"),
        *("--initial", "model-settings/speech-to-text/embedded"),
    ),
    "question-answering": ("train_question_answering",),
    "sentiment": ("train_text_classification", "--model", "sentiment"),
    "language-identification": ("train_text_classification", "--model", "language-identification"),
    "token-classification": ("train_token_classification",),
    "translation-fr-en": ("train_translation", "--source", "fr", "--target", "en"),
    "translation-es-en": ("train_translation", "--source", "es", "--target", "en"),
    "translation-de-en": ("train_translation", "--source", "de", "--target", "en"),
    "translation-en-de": ("train_translation", "--source", "en", "--target", "de"),
    "summarization": ("train_summarization",),
    "text-to-speech": ("train_text_to_speech",),
    "text-to-speech-de": ("train_text_to_speech", "--language", "de"),
    "object-detection": ("train_object_detection",),
    "plate-reading": ("train_plate_reading",),
    "image-captioning": ("train_image_captioning",),
    "digit-reading": ("train_digit_reading",),
    "text-detection": ("train_text_detection",),
    "text-recognition": ("train_text_recognition",),
    "dlrm": ("train_recommendation",),
    **{
        model: ("train_recommendation", "--part", model)
        for model in ("bottom-mlp", "embedding-bags", "interaction", "top-mlp")
    },
    **{
        model: ("train_image_classification", "--model", model)
        for model in (
            "alexnet",
            "resnet",
            "inception",
            "vehicle-classification",
            "human-classification",
            "content-safety",
        )
    },
}
"""Model -> its training script in `zoo/`, and the arguments that make it this model."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("model", nargs="?", choices=TRAININGS, metavar="MODEL")
    group.add_argument("--list", action="store_true", help="name the models, and do nothing")
    parser.add_argument("--output", type=Path, help="default: the model's embedded checkpoint")
    args, further = parser.parse_known_args(argv)
    if args.list:
        print("\n".join(TRAININGS))
        return
    script, *own = TRAININGS[args.model]
    output = args.output or MODELS / args.model / "embedded"
    importlib.import_module(f"zoo.{script}").main([*own, "--output", str(output), *further])


if __name__ == "__main__":
    main()
