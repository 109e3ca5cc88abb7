"""Leaves silence out of audio: given nothing to hear, speech networks make words up.

A frame of 20 ms is loud if the level of its samples, without their mean, is above a limit. Three
loud frames in a row are speech: a click is over sooner. What is before the first speech, after the
last, or between speech for more than 1.5 s, is silence, but for the 0.2 s before speech and the
0.5 s after it: words begin and end with weak sounds, and a pause is still heard as one. Shorter
pauses, as between sentences, stay as they are.

This tells speech from silence and faint noise, not from other sounds: what is loud is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_FRAME_SECONDS = 0.02
_LEAST_FRAMES = 3
_FRAMES_BEFORE, _FRAMES_AFTER = 10, 25
_LONGEST_PAUSE_FRAMES = 75


def without_silence(samples: Samples, sample_rate: int, silence_dbfs: float) -> Samples:
    """The parts of a clip that are not silence, one after another.

    Args:
        samples: FP32 [samples], nominally from -1 to 1.
        sample_rate: In Hz.
        silence_dbfs: The level, in dB relative to a root mean square of 1, up to which a frame is
            not loud.

    Returns:
        FP32 [samples]: `samples` itself where nothing is silence, and none where all is.
    """
    size = max(1, round(_FRAME_SECONDS * sample_rate))
    starts, ends = _speech(_loud(samples, size, silence_dbfs))
    if not len(starts):
        return samples[:0]
    apart = starts[1:] - ends[:-1] > _LONGEST_PAUSE_FRAMES
    starts = np.maximum(starts[np.concatenate(([True], apart))] - _FRAMES_BEFORE, 0) * size
    ends = (ends[np.concatenate((apart, [True]))] + _FRAMES_AFTER) * size
    parts = [samples[start:end] for start, end in zip(starts, ends, strict=True)]
    if len(parts) > 1:
        return np.concatenate(parts)
    return samples if len(parts[0]) == len(samples) else parts[0]


def _loud(samples: Samples, size: int, silence_dbfs: float) -> npt.NDArray[np.bool_]:
    """Whether each whole frame is loud; what is left at the end belongs to no frame."""
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    # In float64, in which the difference of both is exact enough beside a large mean.
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / size
    mean = frames.mean(axis=1, dtype=np.float64)
    loud: npt.NDArray[np.bool_] = power - mean**2 > 10 ** (silence_dbfs / 10)
    return loud


def _speech(loud: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where runs of enough loud frames start and end."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False]))))
    starts, ends = changes[::2], changes[1::2]
    enough = ends - starts >= _LEAST_FRAMES
    return starts[enough], ends[enough]
