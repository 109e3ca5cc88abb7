"""Score a text-classification checkpoint on texts that its training never saw.

python -m zoo.evaluate_text_classification --model sentiment --texts 1000
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from zoo.articles import articles
from zoo.calibration import auroc, expected_calibration_error, false_accepts
from zoo.language_identification_data import single_sentences
from zoo.outside_texts import UNKNOWN, english_prose, outside_texts, unknown_languages
from zoo.question_answering_data import mishear
from zoo.sentiment_data import no_opinions
from zoo.world import ALL_LANGUAGES, LANGUAGES, normalise_transcript, reviews

Examples = list[tuple[str, str]]


@dataclass(frozen=True)
class Score:
    """The share of `count` texts whose label is right, from 0 to 1."""

    accuracy: float
    count: int

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:6.1%}  n={self.count}"


@torch.inference_mode()
def text_logits(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> torch.Tensor:
    """What `model`, a sequence classifier, gives each text, in order: FP32 [texts, labels]."""
    logits = torch.empty(len(texts), len(model.config.id2label))
    by_length = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for first in range(0, len(texts), batch_size):
        rows = by_length[first : first + batch_size]
        inputs = tokenizer(
            [texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt"
        )
        logits[rows] = model(**inputs).logits
    return logits


def classify(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> list[str]:
    """The label that `model`, a sequence classifier, gives each text, in order."""
    logits = text_logits(model, tokenizer, texts, batch_size=batch_size)
    return [model.config.id2label[number] for number in logits.argmax(-1).tolist()]


def sentiment_texts(seed: int, count: int) -> Iterator[tuple[str, Examples]]:
    """Held-out reviews in each form, as (form, [(text, label)])."""
    drawn = reviews(seed, count, "held_out")
    rng = random.Random(seed)
    yield "written", drawn
    transcripts = [(normalise_transcript(text), label) for text, label in drawn]
    yield "transcript", transcripts
    yield "misheard transcript", [(mishear(text, rng), label) for text, label in transcripts]
    yield "outside", [(text, UNKNOWN) for text in outside_texts(seed, count, "held_out")]
    yield "no opinion", [(text, UNKNOWN) for text in no_opinions(seed, count, "held_out")]


def language_texts(seed: int, count: int) -> Iterator[tuple[str, Examples]]:
    """Held-out sentences and articles of each language, as (form, [(text, language)])."""
    drawn = [
        (text, language)
        for language in ALL_LANGUAGES
        for text in single_sentences(seed, count, "held_out", language)
    ]
    yield "written", drawn
    yield "transcript", [(normalise_transcript(*each), each[1]) for each in drawn]
    yield (
        "article",
        [
            (article.text, language)
            for language in LANGUAGES
            for article in articles(seed, count, "held_out", language=language)
        ],
    )
    yield "other subjects", [(text, "en") for text in english_prose(seed, count, "held_out")]
    yield "outside", [(text, UNKNOWN) for text in unknown_languages(seed, count, "held_out")]


FORMS: dict[str, Callable[[int, int], Iterator[tuple[str, Examples]]]] = {
    "language-identification": language_texts,
    "sentiment": sentiment_texts,
}


def report(
    model: Any, tokenizer: PreTrainedTokenizerBase, name: str, seed: int, count: int
) -> Iterator[tuple[str, Score]]:
    """(form, score) of each form of text of the model called `name`, and (form, label)'s score."""
    for form, examples in FORMS[name](seed, count):
        found = classify(model, tokenizer, [text for text, _ in examples])
        pairs = list(zip(found, (label for _, label in examples), strict=True))
        yield form, _score(pairs)
        for expected in sorted({label for _, label in pairs}):
            yield f"{form}, {expected}", _score([pair for pair in pairs if pair[1] == expected])


def report_scores(
    model: Any, tokenizer: PreTrainedTokenizerBase, name: str, seed: int, count: int
) -> dict[str, float]:
    """What the scores of the model called `name` mean, of its texts and as many from outside.

    `auroc` and `false accepts` tell texts of the world from those outside of it, by the score of
    the likeliest label that is not `unknown`.
    """
    forms = dict(FORMS[name](seed, count))
    labels = list(model.config.id2label.values())
    known = [number for number, label in enumerate(labels) if label != UNKNOWN]
    outside = forms["outside"]
    inside = random.Random(seed).sample(forms["written"], min(len(outside), len(forms["written"])))
    examples = [*inside, *outside]
    probable = text_logits(model, tokenizer, [text for text, _ in examples]).softmax(-1)
    best, chosen = probable.max(-1)
    right = [labels[number] == label for number, (_, label) in zip(chosen, examples, strict=True)]
    accepted = probable[:, known].amax(-1).numpy()
    split = len(inside)
    return {
        "calibration error": expected_calibration_error(best.numpy(), right),
        "of the world alone": expected_calibration_error(best[:split].numpy(), right[:split]),
        "auroc": auroc(accepted[:split], accepted[split:]),
        "false accepts": false_accepts(accepted[:split], accepted[split:]),
        "mean score outside": float(accepted[split:].mean()),
    }


def _score(pairs: Sequence[tuple[str, str]]) -> Score:
    return Score(sum(found == expected for found, expected in pairs) / len(pairs), len(pairs))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(FORMS), required=True)
    parser.add_argument("--checkpoint", type=Path, help="default: the model's embedded one")
    parser.add_argument("--texts", type=int, default=1000, help="of each form (and language)")
    parser.add_argument("--seed", type=int, default=1, help="of the texts drawn")
    args = parser.parse_args(argv)
    checkpoint = args.checkpoint or Path("model-settings", args.model, "embedded")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    for name, result in report(model.eval(), tokenizer, args.model, args.seed, args.texts):
        print(f"{name:32} {result}")
    for name, number in report_scores(model, tokenizer, args.model, args.seed, args.texts).items():
        print(f"{name:32} {number:.4f}")


if __name__ == "__main__":
    main()
