"""Score a token-classification checkpoint on names and sentences that its training never saw.

python -m zoo.evaluate_token_classification --texts 1000
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerBase

from infergraph.tasks.text.encoder import padded_batch
from infergraph.tasks.text.entities import Entity, Tagging
from infergraph.tasks.text.windows import EncodedText, TextWindowEncoder, window_limit
from zoo.calibration import auroc, expected_calibration_error
from zoo.token_classification_data import (
    Piece,
    Span,
    located,
    misheard,
    tagged,
    transcript,
    without_entities,
)

OVERLAP = 32
"""Word pieces that two neighbouring windows of a long text share."""

Texts = list[tuple[str, list[Span]]]


@dataclass(frozen=True)
class Score:
    """Of entities, with their exact places and labels, over all texts."""

    precision: float
    recall: float
    count: int

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def __str__(self) -> str:
        return (
            f"F1 {self.f1:6.1%}  precision {self.precision:6.1%}  recall {self.recall:6.1%}  "
            f"n={self.count}"
        )


@torch.inference_mode()
def token_logits(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> list[tuple[EncodedText, npt.NDArray[np.float32]]]:
    """Each text, in windows, and the logits of its tokens, FP32 [tokens, tags]."""
    encode = TextWindowEncoder(tokenizer, window_limit(tokenizer, model), OVERLAP)
    encoded = [encode(text) for text in texts]
    windows = [window.ids for each in encoded for window in each.windows]
    rows: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)
    by_length = sorted(range(len(windows)), key=lambda at: len(windows[at]))
    for first in range(0, len(windows), batch_size):
        chosen = by_length[first : first + batch_size]
        batch = padded_batch(
            [windows[at] for at in chosen], tokenizer.pad_token_id, torch.device("cpu")
        )
        for at, row in zip(chosen, model(**batch).logits.numpy(), strict=True):
            rows[at] = row
    given, done = [], 0
    for each in encoded:
        given.append((each, each.joined(rows[done : done + len(each.windows)])))
        done += len(each.windows)
    return given


def entities(
    model: Any, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[list[Entity]]:
    """The entities that `model`, a token classifier, finds in each text, as they are served."""
    tagging = Tagging(list(model.config.id2label.values()), {}, "first")
    return [
        tagging.entities(encoded, torch.from_numpy(logits).softmax(-1).numpy())
        for encoded, logits in token_logits(model, tokenizer, texts)
    ]


def held_out_texts(seed: int, count: int) -> Iterator[tuple[str, Texts]]:
    """Held-out texts of the world in each form, as (form, [(text, entities)])."""
    rng = random.Random(seed)
    drawn = tagged(seed, count, "held_out")
    spoken = [transcript(each) for each in drawn]
    paragraphs = [
        [piece for each in rng.sample(drawn, 8) for piece in (*each, Piece(" "))]
        for _ in range(count // 8)
    ]
    yield "written", [located(each) for each in drawn]
    yield "transcript", [located(each) for each in spoken]
    yield "misheard transcript", [located(misheard(each, rng)) for each in spoken]
    yield "eight sentences", [located(each) for each in paragraphs]


def score(
    found: Sequence[Sequence[Entity]], texts: Texts, label: str | None = None
) -> tuple[Score, list[tuple[float, bool]]]:
    """How many entities are right, of a label or of all; and of each that was found its score,
    and whether it is one."""
    hits = right = wrong = 0
    judged: list[tuple[float, bool]] = []
    for own, (_, spans) in zip(found, texts, strict=True):
        wanted = Counter(
            (each.start, each.end, each.label) for each in spans if label in (None, each.label)
        )
        right += wanted.total()
        for each in own:
            if label in (None, each.label):
                is_right = (each.start, each.end, each.label) in wanted
                judged.append((each.score, is_right))
                hits += is_right
                wrong += not is_right
    return Score(hits / max(hits + wrong, 1), hits / max(right, 1), right), judged


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("model-settings/token-classification/embedded")
    )
    parser.add_argument("--texts", type=int, default=1000, help="of each form")
    parser.add_argument("--seed", type=int, default=1, help="of the texts drawn")
    parser.add_argument("--show", action="store_true", help="print what is found outside, too")
    args = parser.parse_args(argv)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModelForTokenClassification.from_pretrained(args.checkpoint, dtype=torch.float32)
    model.eval()
    inside: list[tuple[float, bool]] = []
    for form, texts in held_out_texts(args.seed, args.texts):
        found = entities(model, tokenizer, [text for text, _ in texts])
        total, judged = score(found, texts)
        print(f"{form:24} {total}")
        inside += judged
        if form == "transcript":
            for label in sorted({each.label for _, spans in texts for each in spans}):
                print(f"{form}, {label:12} {score(found, texts, label)[0]}")
    outside = without_entities(args.seed, args.texts, "held_out")
    found = entities(model, tokenizer, outside)
    for least in (0.0, 0.5, 0.9):
        share = sum(any(each.score >= least for each in own) for own in found) / len(found)
        print(f"outside: texts with an entity of a score of at least {least}: {share:.1%}")
    if args.show:
        shown = Counter(
            (text[each.start : each.end], each.label)
            for text, own in zip(outside, found, strict=True)
            for each in own
            if each.score >= 0.5
        )
        for (text, label), count in shown.most_common(20):
            print(f"  {count:4} {label:12} {text}")
    scores, right = zip(*inside, strict=True)
    outside_scores = [each.score for own in found for each in own]
    print(f"calibration error {expected_calibration_error(scores, right):.4f}")
    print(f"mean score {np.mean(scores):.4f}, right {np.mean(right):.4f}")
    if outside_scores:
        hits = [value for value, is_right in inside if is_right]
        print(
            f"auroc, the world's entities against those outside {auroc(hits, outside_scores):.4f}"
        )


if __name__ == "__main__":
    main()
