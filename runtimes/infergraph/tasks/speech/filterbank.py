"""Kaldi's log-mel filterbank over all frames at once.

The feature extractors of SeamlessM4T (which Wav2Vec2-BERT uses) and, without torchaudio, of
Speech2Text compute these same features frame by frame in Python, which costs more than a small
model. The parameters below are theirs: 25 ms frames every 10 ms, Povey window, pre-emphasis 0.97.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from transformers.audio_utils import mel_filter_bank, window_function

Samples = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

FRAME_SAMPLES, HOP_SAMPLES, FFT_SAMPLES = 400, 160, 512
_PREEMPHASIS = 0.97
_FLOOR = float(np.finfo(np.float32).eps)
# So few that the arrays of a block are below the size (128 KiB) from which malloc maps fresh pages
# for each: page faults would cost more than the arithmetic.
_BLOCK_FRAMES = 32


class LogMelFilterbank:
    """Log-mel features as Kaldi computes them, without dither."""

    def __init__(self, num_mel_bins: int, sample_rate: int) -> None:
        self.num_mel_bins = num_mel_bins
        self._window = window_function(FRAME_SAMPLES, "povey", periodic=False)
        filters = mel_filter_bank(
            num_frequency_bins=FFT_SAMPLES // 2 + 1,
            num_mel_filters=num_mel_bins,
            min_frequency=20,
            max_frequency=sample_rate // 2,
            sampling_rate=sample_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        # Few frequencies belong to a filter. Summing just those costs less than a matrix product,
        # for which BLAS would wake threads that contend with the model's. Each filter has the
        # frequency 0, whose weight is 0, so that none is empty.
        used = filters.T > 0
        used[:, 0] = True
        filter_of, self._frequencies = np.nonzero(used)
        self._weights = filters.T[used]
        self._first_of_filter = np.searchsorted(filter_of, np.arange(num_mel_bins))

    def __call__(self, samples: Samples) -> Features:
        """FP32 [frames, num_mel_bins] of FP32 [samples]; only whole frames of 400 samples count.

        Raises:
            ValueError: fewer samples than one frame.
        """
        # Kaldi works on the scale of 16-bit integers; a float64 copy keeps quiet bins exact.
        scaled = samples.astype(np.float64) * 32768
        emphasised = scaled.copy()
        emphasised[1:] -= _PREEMPHASIS * scaled[:-1]
        frames, emphasised_frames = _frames(scaled), _frames(emphasised)
        features = np.empty((len(frames), self.num_mel_bins), np.float32)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            block = slice(start, start + _BLOCK_FRAMES)
            features[block] = self._log_mel(frames[block], emphasised_frames[block])
        return features

    def _log_mel(
        self, frames: npt.NDArray[np.float64], emphasised: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        # Kaldi centres each frame before it emphasises; emphasis is linear, so it may come first. A
        # frame's first sample is emphasised against itself, not against the one before the frame.
        mean = frames.mean(axis=1)
        signal = emphasised - (1 - _PREEMPHASIS) * mean[:, None]
        signal[:, 0] = (1 - _PREEMPHASIS) * (frames[:, 0] - mean)
        signal *= self._window
        spectrum = np.fft.rfft(signal, FFT_SAMPLES)
        power = spectrum.real**2 + spectrum.imag**2
        weighted = power[:, self._frequencies] * self._weights
        mel = np.add.reduceat(weighted, self._first_of_filter, axis=1)
        log_mel: npt.NDArray[np.float64] = np.log(np.maximum(mel, _FLOOR))
        return log_mel


def _frames(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    windows: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(
        signal, FRAME_SAMPLES
    )
    return windows[::HOP_SAMPLES]
