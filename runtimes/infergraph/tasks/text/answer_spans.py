"""The best answer span over all windows of a context, and how probable it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .windows import Encoded

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        text: A slice of the context without surrounding white space; empty for "no answer".
        score: The answer's probability, from 0 to 1.
    """

    text: str
    score: float


def best_answer(
    encoded: Encoded,
    starts: Sequence[Logits],
    ends: Sequence[Logits],
    *,
    max_answer_tokens: int,
    null_allowed: bool,
    null_threshold: float,
) -> Answer:
    """The best span of context tokens, or no answer.

    A span's logit is the sum of its start's and its end's, the highest over the windows that hold
    it; that of "no answer" is the lowest over all windows, because a window without the answer
    says nothing of the others. The score is the softmax over all spans, and over "no answer" where
    it is allowed.

    Args:
        encoded: The question and context.
        starts: For each window, FP32 [tokens or more]: the logit that the answer starts there.
        ends: For each window, the same for its end.
        max_answer_tokens: The longest span.
        null_allowed: Whether "no answer" is an answer.
        null_threshold: How much the logit of "no answer" must exceed the best span's.
    """
    width = min(max_answer_tokens, len(encoded.offsets))
    spans = np.full((len(encoded.offsets), width), -np.inf)
    null = np.inf
    for window, start, end in zip(encoded.windows, starts, ends, strict=True):
        context = slice(window.first, window.first + window.count)
        part = spans[window.start : window.start + window.count]
        np.maximum(part, _span_logits(start[context], end[context], width), out=part)
        null = min(null, float(start[window.null]) + float(end[window.null]))
    _exclude_blank_edges(spans, encoded.spoken)
    first, more = divmod(int(spans.argmax()), width)
    best = float(spans[first, more])
    if best == -np.inf:
        return Answer("", 1.0)
    total = _logsumexp(spans, null if null_allowed else -np.inf)
    if null_allowed and null - best > null_threshold:
        return Answer("", float(np.exp(null - total)))
    characters = encoded.context[encoded.offsets[first, 0] : encoded.offsets[first + more, 1]]
    return Answer(characters.strip(), float(np.exp(best - total)))


def _span_logits(start: Logits, end: Logits, width: int) -> npt.NDArray[np.float64]:
    """[tokens, width]: the logits of the spans of 1, 2, ... tokens from each token; else -inf."""
    padded = np.concatenate((end.astype(np.float64), np.full(width - 1, -np.inf)))
    following = np.lib.stride_tricks.sliding_window_view(padded, width)
    logits: npt.NDArray[np.float64] = start.astype(np.float64)[:, None] + following
    return logits


def _exclude_blank_edges(spans: npt.NDArray[np.float64], spoken: npt.NDArray[np.bool_]) -> None:
    """Leaves only spans that begin and end with a token that is more than white space."""
    if spoken.all():
        return
    width = spans.shape[1]
    ends = np.lib.stride_tricks.sliding_window_view(
        np.concatenate((spoken, np.zeros(width - 1, bool))), width
    )
    spans[~(spoken[:, None] & ends)] = -np.inf


def _logsumexp(spans: npt.NDArray[np.float64], null: float) -> float:
    highest = max(float(spans.max()), null)
    return highest + float(np.log(np.exp(spans - highest).sum() + np.exp(null - highest)))
