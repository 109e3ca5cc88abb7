"""What tells a transcript that a network made up: its loops, its repetitions, its likelihood."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import StoppingCriteria

# A loop is the same tokens over and over, so often that nobody speaks like that.
_LOOP_ROUNDS, _LOOP_TOKENS, _LONGEST_ROUND = 4, 16, 32
_FEWEST_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Doubts:
    """When what a network writes is taken for made up, and dropped.

    Attributes:
        min_score: The smallest geometric mean of the tokens' probabilities. Of a sound that is no
            speech, and yet no steady noise, a network makes tokens few of which are likely.
        no_speech_threshold: Whisper: the largest probability that nobody speaks,
        logprob_threshold: unless the text's mean log-probability is above this.
        compression_ratio_threshold: Sequence-to-sequence: how far zlib may shrink a text; one of
            repetitions shrinks more.
        max_tokens_per_second: Sequence-to-sequence: most tokens generated for a second of sound,
            but at least 16 in all.
    """

    min_score: float
    no_speech_threshold: float = 0.6
    logprob_threshold: float = -1.0
    compression_ratio_threshold: float = 2.4
    max_tokens_per_second: float = 25.0

    def most_tokens(self, seconds: float) -> int:
        """Most tokens of a clip that sounds so long."""
        return max(_FEWEST_TOKENS, math.ceil(self.max_tokens_per_second * seconds))

    def repetitive(self, text: str) -> bool:
        """Whether it is made of repetitions."""
        data = text.encode()
        return len(data) > self.compression_ratio_threshold * len(zlib.compress(data))


class Bounds(StoppingCriteria):
    """Ends a row that has its most tokens, or repeats itself for ever.

    Args:
        most: Of each row.

    Attributes:
        prompt: What each row begins with, which does not count.
    """

    def __init__(self, most: Sequence[int]) -> None:
        self._most = np.array(most)
        self.prompt: list[list[int]] = []

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> torch.Tensor:
        """BOOL [rows]: which are at their end.

        Args:
            input_ids: INT64 [rows, tokens]; a beam search has several rows for each of a batch.
            scores: Not used.
            more: Not used.
        """
        tokens = input_ids.cpu().numpy()
        beams = len(tokens) // len(self._most)
        if not self.prompt:
            self.prompt = tokens[::beams, :-1].tolist()
        tokens = tokens[:, len(self.prompt[0]) :]
        done = tokens.shape[1] >= np.repeat(self._most, beams)
        for period, span in _loops(tokens.shape[1]):
            tail = tokens[:, -span:]
            done |= (tail[:, period:] == tail[:, :-period]).all(axis=1)
        return torch.from_numpy(done).to(input_ids.device)


def without_loop(tokens: list[int]) -> list[int]:
    """The tokens up to the first round of the loop that they end with; all, if there is none."""
    for period, span in _loops(len(tokens)):
        start = len(tokens) - span
        if tokens[start + period :] == tokens[start:-period]:
            while start and tokens[start - 1] == tokens[start - 1 + period]:
                start -= 1
            return tokens[: start + period]
    return tokens


def _loops(count: int) -> list[tuple[int, int]]:
    """The lengths of a round and of the loop's last tokens that tell it, among so many tokens."""
    spans = ((each, max(_LOOP_TOKENS, _LOOP_ROUNDS * each)) for each in range(1, _LONGEST_ROUND))
    return [(period, span) for period, span in spans if span <= count]
