"""Chunks: long audio is cut where it is quiet, so that a cut rarely falls into a word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .features import Features, Samples

_SEARCHED_SHARE = 1 / 3
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an item's audio: its features, and how many seconds of it are heard."""

    features: Features
    seconds: float


def cut_at_pauses(samples: Samples, sample_rate: int, max_seconds: float) -> list[Samples]:
    """Consecutive pieces of at most `max_seconds`, which together are the whole.

    A cut is made in the middle of the quietest fifth of a second of the last third before it is
    due; among equally quiet ones, of the latest.

    Args:
        samples: FP32 [samples].
        sample_rate: In Hz.
        max_seconds: The longest piece.

    Returns:
        Views into `samples`, in order; one piece when it is short enough.
    """
    longest = max(1, int(max_seconds * sample_rate))
    pieces: list[Samples] = []
    start = 0
    while len(samples) - start > longest:
        earliest = longest - int(longest * _SEARCHED_SHARE)
        searched = samples[start + earliest : start + longest]
        cut = start + earliest + _quietest(searched, int(_PAUSE_SECONDS * sample_rate))
        pieces.append(samples[start:cut])
        start = cut
    pieces.append(samples[start:])
    return pieces


def _quietest(samples: Samples, window: int) -> int:
    """The middle of the quietest window; the end when there is less than one window."""
    if len(samples) <= window:
        return len(samples)
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    sums = energy[window:] - energy[:-window]
    # A running sum rounds: windows that differ by less than its error count as equally quiet.
    quiet = np.flatnonzero(sums <= sums.min() + energy[-1] * 1e-12)
    return int(quiet[-1]) + window // 2
