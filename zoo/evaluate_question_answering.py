"""Score a question-answering checkpoint on people and facts that its training never saw.

    python -m zoo.evaluate_question_answering --checkpoint DIR --questions 1000
"""

from __future__ import annotations

import argparse
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from zoo.world import QuestionExample, normalise_transcript, questions

MAX_ANSWER_TOKENS = 40
"""Longest answer considered, in word pieces; a name unknown to the vocabulary takes many."""

DOC_STRIDE = 96
"""Word pieces shared by two neighbouring windows of a context longer than one window."""


@dataclass(frozen=True)
class Prediction:
    """An answer sliced out of the context ("" = the context does not say).

    ``margin`` is the best span's logit sum less that of the null answer; an answer is given
    when it is above zero.
    """

    text: str
    margin: float


@dataclass(frozen=True)
class Score:
    """Means over ``count`` questions, each from 0 to 1."""

    exact_match: float
    f1: float
    count: int

    def __str__(self) -> str:
        return f"EM {self.exact_match:6.1%}  F1 {self.f1:6.1%}  n={self.count}"


def best_span(start: np.ndarray, end: np.ndarray, in_context: np.ndarray) -> tuple[int, int, float]:
    """The best span of one window, and its margin over the null answer.

    ``start`` and ``end`` are FP32 logits of shape [length], ``in_context`` BOOL [length], true
    where a token belongs to the context. Returns first token, last token (inclusive), margin.
    """
    scores = start[:, None] + end[None, :]
    length = len(start)
    offsets = np.arange(length)[None, :] - np.arange(length)[:, None]
    allowed = in_context[:, None] & in_context[None, :]
    allowed &= (offsets >= 0) & (offsets < MAX_ANSWER_TOKENS)
    scores = np.where(allowed, scores, -np.inf)
    first, last = divmod(int(scores.argmax()), length)
    return first, last, float(scores[first, last] - (start[0] + end[0]))


@torch.inference_mode()
def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_size: int = 64,
) -> list[Prediction]:
    """Answer each (question, context), in order; long contexts are read in overlapping windows."""
    encoded = tokenizer(
        [question for question, _ in pairs],
        [context for _, context in pairs],
        truncation="only_second",
        max_length=tokenizer.model_max_length,
        stride=DOC_STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    owners = encoded["overflow_to_sample_mapping"]
    best = [Prediction("", -np.inf)] * len(pairs)
    by_length = sorted(range(len(owners)), key=lambda window: len(encoded["input_ids"][window]))
    for at in range(0, len(by_length), batch_size):
        windows = by_length[at : at + batch_size]
        batch = tokenizer.pad(
            {key: [encoded[key][window] for window in windows] for key in tokenizer.model_input_names},
            return_tensors="pt",
        )
        logits = model(**batch)
        for row, window in enumerate(windows):
            in_context = np.array([part == 1 for part in encoded.sequence_ids(window)])
            length = len(in_context)
            if not in_context.any():
                continue
            first, last, margin = best_span(
                logits.start_logits[row, :length].float().numpy(),
                logits.end_logits[row, :length].float().numpy(),
                in_context,
            )
            owner = owners[window]
            if margin > best[owner].margin:
                offsets = encoded["offset_mapping"][window]
                text = pairs[owner][1][offsets[first][0] : offsets[last][1]]
                best[owner] = Prediction(text if margin > 0 else "", margin)
    return best


def canonical(text: str) -> str:
    """SQuAD's normal form: lower case, without punctuation, articles and extra spaces."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(predicted: str, expected: str) -> float:
    """Word overlap of two answers as SQuAD 2.0 defines it; two empty answers agree fully."""
    left, right = canonical(predicted).split(), canonical(expected).split()
    if not left or not right:
        return float(left == right)
    common = sum((Counter(left) & Counter(right)).values())
    return 2 * common / (len(left) + len(right))


def score(pairs: Iterable[tuple[str, str]]) -> Score:
    """Mean exact match and F1 of (predicted, expected) answers."""
    pairs = list(pairs)
    if not pairs:
        return Score(0.0, 0.0, 0)
    return Score(
        exact_match=sum(canonical(p) == canonical(e) for p, e in pairs) / len(pairs),
        f1=sum(f1(p, e) for p, e in pairs) / len(pairs),
        count=len(pairs),
    )
