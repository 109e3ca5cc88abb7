"""Clicks on advertisements, drawn from a planted model, to train and score recommendation.

A row has 13 numbers, logarithms of counts, and 26 categories, some of several indices. Whether it
is clicked is drawn with the probability that the planted model gives it: effects of single numbers
and categories, and of pairs of categories. No model can rank rows better than the planted one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DENSE = 13
TABLE_ROWS = [
    *(1000, 500, 300, 300, 200, 20, 400, 100, 3, 600, 350, 800, 250),
    *(25, 450, 700, 10, 240, 150, 4, 750, 12, 15, 320, 60, 280),
]
HOTNESS = [1] * 26
HOTNESS[2], HOTNESS[9], HOTNESS[19] = 3, 10, 3

_PLANTED_SEED = 2019
_LATENT = 4
_PAIRS = 24
_PAIR_EFFECT = 0.1
_COMMON = 0.9
"""How fast the share of a category's values falls, as in Zipf's law."""
_HELD_OUT_SEED = 2**32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Rows of data.

    Attributes:
        dense: FP32 [n, 13].
        indices: INT64 [n, columns], -1 where there is none.
        probability: FP32 [n]: the planted model's.
        clicked: FP32 [n]: 0 or 1.
    """

    dense: Floats
    indices: npt.NDArray[np.int64]
    probability: Floats
    clicked: Floats


class Clicks:
    """The planted model, the same whenever it is made."""

    def __init__(self) -> None:
        rng = np.random.default_rng(_PLANTED_SEED)
        self._slopes = rng.normal(0, 0.35, DENSE)
        self._turns = rng.uniform(0.5, 2.5, DENSE)
        self._effects = [rng.normal(0, 0.25, rows) for rows in TABLE_ROWS]
        self._vectors = [
            rng.normal(0, 1, (rows, _LATENT)) / np.sqrt(hot)
            for rows, hot in zip(TABLE_ROWS, HOTNESS, strict=True)
        ]
        pairs = [(one, other) for other in range(26) for one in range(other)]
        self._pairs = [pairs[at] for at in rng.choice(len(pairs), _PAIRS, replace=False)]
        shares = [1 / np.arange(1, rows + 1) ** _COMMON for rows in TABLE_ROWS]
        self._ends = [np.cumsum(share / share.sum()) for share in shares]

    def rows(self, seed: int, count: int) -> Rows:
        """`count` rows; equal seeds give equal ones."""
        rng = np.random.default_rng(seed)
        dense = np.log1p(rng.gamma(0.7, 6, (count, DENSE))).astype(np.float32)
        score = -1.9 + (np.tanh(dense - self._turns) * self._slopes).sum(axis=1)
        columns: list[npt.NDArray[np.int64]] = []
        vectors = []
        for feature, hot in enumerate(HOTNESS):
            drawn = np.searchsorted(self._ends[feature], rng.random((count, hot)))
            drawn = np.minimum(drawn, TABLE_ROWS[feature] - 1)
            there = np.arange(hot) < rng.integers(int(hot == 1), hot + 1, (count, 1))
            score += (self._effects[feature][drawn] * there).sum(axis=1)
            vectors.append((self._vectors[feature][drawn] * there[..., None]).sum(axis=1))
            columns.append(np.where(there, drawn, -1))
        for one, other in self._pairs:
            score += _PAIR_EFFECT * (vectors[one] * vectors[other]).sum(axis=1)
        probability = (1 / (1 + np.exp(-score))).astype(np.float32)
        clicked = (rng.random(count) < probability).astype(np.float32)
        return Rows(dense, np.concatenate(columns, axis=1), probability, clicked)

    def batches(self, seed: int, count: int, size: int) -> Iterator[Rows]:
        """`count` batches of new rows for training."""
        for number in range(count):
            yield self.rows(seed * 1_000_003 + number, size)


def held_out(count: int) -> Rows:
    """Rows that no training sees."""
    return Clicks().rows(_HELD_OUT_SEED, count)


def auc(scores: npt.NDArray[Any], clicked: npt.NDArray[Any]) -> float:
    """The chance that a clicked row has a higher score than one that was not clicked."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    # Equal scores share the mean of their ranks.
    values, which = np.unique(scores, return_inverse=True)
    means = np.bincount(which, ranks, len(values)) / np.bincount(which, minlength=len(values))
    positive = clicked > 0
    count = int(positive.sum())
    above = means[which][positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(scores) - count)))


def log_loss(probabilities: npt.NDArray[Any], clicked: npt.NDArray[Any]) -> float:
    """The mean of -log of the probability that was given to what happened."""
    given = np.clip(np.where(clicked > 0, probabilities, 1 - probabilities), 1e-7, 1)
    return float(-np.log(given.astype(np.float64)).mean())
