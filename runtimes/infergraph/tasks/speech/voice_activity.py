"""Leaves out what is no speech: given nothing to hear, speech networks make words up.

A frame of 20 ms is loud if the level of its samples, without their mean, is above a limit. A loud
frame is of speech if it also rises above its surroundings: in some band of frequencies it has
several times the power of the quietest loud moment within 1.5 s. Speech does so all the time, from
vowel to consonant, also above a noise that is as loud; what is steady (hum, a fan, white noise,
a tone) does not, however loud it is.

Three frames of speech in a row begin it: a click is over sooner. What is before the first speech,
after the last, or between speech for more than 1.5 s, is left out, but for the 0.2 s before speech
and the 0.5 s after it: words begin and end with weak sounds, and a pause is still heard as one.
Shorter pauses, as between sentences, stay as they are. Where a clip begins or ends with less than
that, silence can be added: a network whose training heard it misses words at an abrupt end.

Sounds that come and go (music, a dog, other people) are not told from speech.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Powers = npt.NDArray[np.float64]

_FRAME_SECONDS = 0.02
_LEAST_FRAMES = 3
_FRAMES_BEFORE, _FRAMES_AFTER = 10, 25
_LONGEST_PAUSE_FRAMES = 75
# Where the power of speech is; telephones carry these too. The edges of bands, in Hz.
_BAND_EDGES = (150, 500, 1000, 1800, 2800, 4000)
# Noise fluctuates: over means of more frames less so, and its quietest moment most.
_RISING_FRAMES, _QUIETEST_FRAMES = 3, 5
_NOTHING = 1e-20
# Few at once cost less: see `filterbank`.
_BLOCK_FRAMES = 32


def without_silence(
    samples: Samples,
    sample_rate: int,
    silence_dbfs: float,
    speech_rise_db: float,
    *,
    fill: bool = False,
) -> Samples:
    """The parts of a clip that are not silence nor steady noise, one after another.

    Args:
        samples: FP32 [samples], nominally from -1 to 1.
        sample_rate: In Hz.
        silence_dbfs: The level, in dB relative to a root mean square of 1, up to which a frame is
            not loud.
        speech_rise_db: How far speech rises above its surroundings, in dB; 0: all that is loud is
            taken for speech.
        fill: Whether silence is added where there is less before or after speech than is kept.

    Returns:
        FP32 [samples]: `samples` itself where all is speech and nothing is added, and none where
        nothing is speech.
    """
    size = max(1, round(_FRAME_SECONDS * sample_rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    heard = _loud(frames, silence_dbfs)
    if speech_rise_db and heard.any():
        powers = _band_powers(frames, sample_rate)
        heard &= _rise(powers, heard) >= 10 ** (speech_rise_db / 10)
    starts, ends = _speech(heard)
    if not len(starts):
        return samples[:0]
    apart = starts[1:] - ends[:-1] > _LONGEST_PAUSE_FRAMES
    starts = (starts[np.concatenate(([True], apart))] - _FRAMES_BEFORE) * size
    ends = (ends[np.concatenate((apart, [True]))] + _FRAMES_AFTER) * size
    missing = (max(-starts[0], 0), max(ends[-1] - len(samples), 0)) if fill else (0, 0)
    parts = [samples[max(start, 0) : end] for start, end in zip(starts, ends, strict=True)]
    if any(missing):
        return np.pad(np.concatenate(parts), missing)
    if len(parts) > 1:
        return np.concatenate(parts)
    return samples if len(parts[0]) == len(samples) else parts[0]


def _loud(frames: Samples, silence_dbfs: float) -> Booleans:
    """BOOL [frames]: whether each is loud."""
    # In float64, in which the difference of both is exact enough beside a large mean.
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / frames.shape[1]
    mean = frames.mean(axis=1, dtype=np.float64)
    loud: Booleans = power - mean**2 > 10 ** (silence_dbfs / 10)
    return loud


def _band_powers(frames: Samples, sample_rate: int) -> Powers:
    """[frames, bands]: the power of each frame in each band."""
    size = frames.shape[1]
    window = np.hanning(size + 2)[1:-1].astype(np.float32)
    edges = np.searchsorted(np.fft.rfftfreq(size, 1 / sample_rate), _BAND_EDGES)
    powers = np.empty((len(frames), len(edges) - 1))
    for start in range(0, len(frames), _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        spectrum = np.fft.rfft(frames[block] * window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        for band, (low, high) in enumerate(itertools.pairwise(edges)):
            powers[block, band] = power[:, low:high].sum(axis=1)
    return powers


def _rise(powers: Powers, loud: Booleans) -> Powers:
    """[frames]: by what factor each exceeds the quietest loud moment near it, in its best band.

    Only loud frames count: beside the silence around it, any sound would rise.
    """
    quietest = np.where(loud[:, None], _mean(powers, loud, _QUIETEST_FRAMES), np.inf)
    floor = np.maximum(_lowest(quietest, _LONGEST_PAUSE_FRAMES), _NOTHING)
    rise: Powers = (_mean(powers, loud, _RISING_FRAMES) / floor).max(axis=1)
    return rise


def _lowest(values: Powers, reach: int) -> Powers:
    """[frames, bands]: the lowest of each frame and of as many before and after it."""
    width, done = 2 * reach + 1, 1
    lowest = np.pad(values, ((reach, reach), (0, 0)), constant_values=np.inf)
    while done < width:
        # Of two overlapping windows, the second as far on as it may be.
        further = min(done, width - done)
        lowest = np.minimum(lowest[:-further], lowest[further:])
        done += further
    return lowest


def _mean(powers: Powers, loud: Booleans, count: int) -> Powers:
    """Of so many frames around each, those that are loud."""
    edge = ((count // 2, count // 2), (0, 0))
    both = np.pad(np.column_stack((np.where(loud[:, None], powers, 0), loud)), edge)
    sums = np.sum([both[first : first + len(loud)] for first in range(count)], axis=0)
    mean: Powers = sums[:, :-1] / np.maximum(sums[:, -1:], 1)
    return mean


def _speech(heard: Booleans) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where runs of enough frames that were heard start and end."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], heard, [False]))))
    starts, ends = changes[::2], changes[1::2]
    enough = ends - starts >= _LEAST_FRAMES
    return starts[enough], ends[enough]
