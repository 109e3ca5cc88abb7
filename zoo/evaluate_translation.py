"""Score a translation checkpoint on sentences of the world that its training never saw.

python -m zoo.evaluate_translation --checkpoint DIR --sentences 1000

The checkpoint's tokenizer says which languages it translates between.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sacrebleu.metrics.chrf import CHRF
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from zoo.translation_data import Pair, invented_pairs
from zoo.world import normalise_transcript, parallel

# Sentences that share a set of invented names.
_TOLD_TOGETHER = 10


@dataclass(frozen=True)
class Score:
    """The share of exact translations, from 0 to 1, and chrF of all, from 0 to 100."""

    exact_match: float
    chrf: float
    count: int

    def __str__(self) -> str:
        return f"EM {self.exact_match:6.1%}  chrF {self.chrf:5.1f}  n={self.count}"


@torch.inference_mode()
def translate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    num_beams: int = 1,
    batch_size: int = 32,
) -> list[str]:
    """The translation of each sentence, in order; greedy unless `num_beams` is more than one."""
    translations = [""] * len(texts)
    by_length = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for first in range(0, len(texts), batch_size):
        rows = by_length[first : first + batch_size]
        inputs = tokenizer(
            [texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt"
        )
        written = model.generate(  # type: ignore[operator]
            **inputs, num_beams=num_beams, do_sample=False
        )
        decoded = tokenizer.batch_decode(written, skip_special_tokens=True)
        for row, translation in zip(rows, decoded, strict=True):
            translations[row] = translation
    return translations


def score(translations: Sequence[str], references: Sequence[str]) -> Score:
    """Exact match, and chrF (character n-grams up to 6, beta 2), of at least one translation.

    Source: Popović, chrF: character n-gram F-score for automatic MT evaluation (2015), as
    sacreBLEU computes it.
    """
    pairs = list(zip(translations, references, strict=True))
    return Score(
        exact_match=sum(found == wanted for found, wanted in pairs) / len(pairs),
        chrf=CHRF().corpus_score(translations, [references]).score,
        count=len(pairs),
    )


def held_out(seed: int, count: int, source: str, target: str) -> Iterator[tuple[str, list[Pair]]]:
    """Held-out pairs in each form of source, and written ones of invented names."""
    pairs = parallel(seed, count, "held_out", source, target)
    yield "written", pairs
    yield "transcript", [(normalise_transcript(text, source), wanted) for text, wanted in pairs]
    # Of no seed that training draws names with.
    rng = random.Random(f"evaluation/{seed}")
    invented: list[Pair] = []
    while len(invented) < count:
        more = min(_TOLD_TOGETHER, count - len(invented))
        invented += invented_pairs(rng, more, source, target, "held_out")
    yield "written, invented names", invented


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=1000, help="of each form")
    parser.add_argument("--seed", type=int, default=1, help="of the sentences drawn")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--errors", type=int, default=0, help="wrong translations to print")
    args = parser.parse_args(argv)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    languages = tokenizer.source_lang, tokenizer.target_lang
    for form, pairs in held_out(args.seed, args.sentences, *languages):
        texts, references = zip(*pairs, strict=True)
        translations = translate(model, tokenizer, texts, num_beams=args.beams)
        print(f"{form:28} {score(translations, references)}")
        wrong = [
            each for each in zip(texts, translations, references, strict=True) if each[1] != each[2]
        ]
        for text, translation, reference in wrong[: args.errors]:
            print(f"  {text}\n    is      {translation}\n    not     {reference}")


if __name__ == "__main__":
    main()
