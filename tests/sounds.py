"""Sounds for tests: made from a seed, and encoded as files are."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float32]


def sine(seconds: float, *, rate: int = 16_000, hertz: float = 440.0) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def chirps(seconds: float, seed: int, *, rate: int = 16_000) -> Samples:
    """Tones that come and go over a little noise: unlike any other seed's, and never still."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = rng.standard_normal(len(time)) * 0.01
    for _ in range(5):
        gate = np.sin(2 * np.pi * rng.uniform(0.5, 4) * time + rng.uniform(0, 6)) > 0
        sound += 0.1 * gate * np.sin(2 * np.pi * rng.uniform(100, 3000) * time)
    return sound.astype(np.float32)


def warble(seconds: float, *, rate: int = 16_000) -> Samples:
    """A tone that jumps between two pitches, seven times a second: as restless as speech."""
    high = np.arange(round(seconds * rate)) * 7 // rate % 2
    return np.where(
        high, sine(seconds, rate=rate, hertz=2200.0), sine(seconds, rate=rate, hertz=300.0)
    )


def encoded(
    samples: npt.NDArray[np.floating],
    *,
    rate: int = 16_000,
    format: str = "WAV",
    subtype: str | None = None,
) -> bytes:
    """The bytes of an audio file; samples are [samples] or [samples, channels]."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()
