"""What a score means: how far scores are from the share that is right, and how to mend it.

A checkpoint has no temperature beside its weights: its last layer is divided by it, so that
whatever loads the checkpoint gives the calibrated scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from infergraph.tasks.vision.familiarity import last_layer

Numbers = Sequence[float] | npt.NDArray[np.floating]


def expected_calibration_error(scores: Numbers, right: Sequence[bool], bins: int = 10) -> float:
    """The mean difference, from 0 to 1, between a score and the share that is right of its like.

    Args:
        scores: From 0 to 1.
        right: Whether what got the score was right.
        bins: Scores of one bin, all of the same width, are alike.
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    number = np.minimum((values * bins).astype(int), bins - 1)
    gaps = [abs(values[number == each].sum() - hits[number == each].sum()) for each in range(bins)]
    return float(sum(gaps) / len(values))


def auroc(inside: Numbers, outside: Numbers) -> float:
    """How probably one of `inside` has a higher score than one of `outside`; equal is a half."""
    ordered = np.sort(np.asarray(outside, np.float64))
    values = np.asarray(inside, np.float64)
    below = np.searchsorted(ordered, values, "left")
    up_to = np.searchsorted(ordered, values, "right")
    return float((below + up_to).mean() / 2 / len(ordered))


def false_accepts(inside: Numbers, outside: Numbers, accepted: float = 0.95) -> float:
    """The share of `outside` at or above the score that the share `accepted` of `inside` has."""
    threshold = np.quantile(np.asarray(inside, np.float64), 1 - accepted, method="lower")
    return float((np.asarray(outside, np.float64) >= threshold).mean())


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The number by which logits FP32 [n, labels] are divided to fit labels INT64 [n] best."""

    def loss(logarithm: float) -> float:
        return F.cross_entropy(logits / math.exp(logarithm), labels).item()

    # Convex: narrowed by thirds, from 1/20 to 20.
    low, high = -3.0, 3.0
    for _ in range(40):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def divide_logits(layer: torch.nn.Linear, temperature: float) -> None:
    """Has the last layer of a network give logits that are divided by `temperature`, in place."""
    with torch.no_grad():
        layer.weight /= temperature
        if layer.bias is not None:
            layer.bias /= temperature


def calibrate(model: torch.nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Divides a classifier's logits by the temperature that fits examples best, in place.

    Args:
        model: Its last linear layer gives the logits.
        logits: What it gives of the examples, FP32 [n, labels].
        labels: What is right, INT64 [n].

    Returns:
        The temperature.
    """
    temperature = fit_temperature(logits, labels)
    divide_logits(last_layer(model)[1], temperature)
    return temperature
