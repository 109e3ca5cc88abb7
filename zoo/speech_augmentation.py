"""`augment`: features of speech as another speaker, or a worse microphone, might have made them."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from zoo.speech_data import MEL_BINS, STRIDE

Features = NDArray[np.float32]

_NYQUIST = 8_000.0


def augment(features: Features, rng: random.Random, *, speakers: bool) -> Features:
    """Float32 [steps, 240] of one utterance, changed anew with each call.

    Bands and moments are blanked, as SpecAugment does. With `speakers`, the speaker has another
    vocal tract and speed as well, and other harmonics.
    """
    frames = features.reshape(-1, MEL_BINS)
    if speakers:
        if rng.random() < 0.7:
            frames = _stretched(frames, rng.uniform(0.85, 1.15))
        if rng.random() < 0.7:
            frames = _warped(frames, rng.uniform(0.86, 1.16))
        if rng.random() < 0.2:
            frames = _smoothed(frames)
    frames = frames.reshape(-1, STRIDE * MEL_BINS).copy()
    mask_features(frames, rng)
    return frames


def mask_features(features: Features, rng: random.Random) -> None:
    """SpecAugment, in place: two bands of mel bins and some moments are blanked."""
    frames = features.reshape(len(features), STRIDE, MEL_BINS)
    for _ in range(2):
        width = rng.randint(0, 14)
        first = rng.randint(0, MEL_BINS - width)
        frames[:, :, first : first + width] = 0
    for _ in range(1 + len(features) // 60):
        width = rng.randint(0, 6)
        first = rng.randint(0, max(0, len(features) - width))
        frames[first : first + width] = 0


def _stretched(frames: Features, factor: float) -> Features:
    """`factor` times as many frames, in whole steps."""
    count = max(1, round(len(frames) * factor / STRIDE)) * STRIDE
    return _between(frames, np.linspace(0, len(frames) - 1, count))


def _warped(frames: Features, factor: float) -> Features:
    """Each bin has what was at `factor` times its frequency."""
    highest = 1127 * np.log(1 + _NYQUIST / 700)
    mels = np.linspace(0, highest, MEL_BINS)
    hertz = np.minimum(factor * 700 * (np.exp(mels / 1127) - 1), _NYQUIST)
    bins = 1127 * np.log(1 + hertz / 700) / highest * (MEL_BINS - 1)
    return _between(frames.T, bins).T


def _between(rows: Features, positions: NDArray[np.float64]) -> Features:
    """Rows between those of `rows`, which are in proportion."""
    lower = np.minimum(positions.astype(int), len(rows) - 1)
    upper = np.minimum(lower + 1, len(rows) - 1)
    share = (positions - lower).astype(np.float32)[:, None]
    return rows[lower] * (1 - share) + rows[upper] * share


def _smoothed(frames: Features) -> Features:
    """Neighbouring bins flow together, and harmonics with them."""
    padded = np.pad(frames, ((0, 0), (1, 1)), mode="edge")
    return 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
