"""From samples to the tensors that a speech network takes, one clip at a time and as a batch.

Features are computed for each clip alone, so that they do not depend on the other clips of a batch
and can be computed before it is formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import SeamlessM4TFeatureExtractor, Speech2TextFeatureExtractor

from .filterbank import LogMelFilterbank

Samples = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

_MIN_SECONDS = 0.1
"""Shorter clips are filled up with silence: a network's first layers need at least one frame."""


class SpeechFeatures:
    """The feature extraction and batching of one checkpoint.

    Attributes:
        sample_rate: The rate, in Hz, of the samples that it takes.
        max_seconds: The longest clip that the network takes, or None.
        padded: Whether clips of different length may share a batch. The answer to a clip is then
            the same in any batch; where a network's normalisation or convolutions would see the
            padding, only clips of equal length run together.
    """

    def __init__(self, extractor: Any, config: Any) -> None:
        self.sample_rate: int = extractor.sampling_rate
        self.max_seconds = _max_seconds(extractor, config)
        margin = _padding_margin(config)
        self.padded = margin is not None
        self._margin = margin or 0
        self._input = extractor.model_input_names[0]
        self._padding_value = float(extractor.padding_value)
        self._extract = _extraction(extractor)

    def __call__(self, samples: Samples) -> Features:
        """The features of FP32 [samples]: time first, or of one fixed shape.

        Safe to call from threads.
        """
        missing = int(_MIN_SECONDS * self.sample_rate) - len(samples)
        if missing > 0:
            samples = np.pad(samples, (0, missing))
        return self._extract(samples)

    def batch(
        self, clips: Sequence[Features], device: torch.device, dtype: torch.dtype
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        """The network's inputs, and the lengths of the clips if they were padded, INT64 [clips]."""
        if not self.padded:
            stacked = torch.from_numpy(np.stack(clips))
            return {self._input: stacked.to(device, dtype)}, None
        lengths = np.array([len(clip) for clip in clips])
        size = int(lengths.max()) + self._margin
        values = np.full((len(clips), size, *clips[0].shape[1:]), self._padding_value, np.float32)
        for row, clip in zip(values, clips, strict=True):
            row[: len(clip)] = clip
        mask = torch.from_numpy(np.arange(size) < lengths[:, None])
        inputs = {
            self._input: torch.from_numpy(values).to(device, dtype),
            "attention_mask": mask.to(device, torch.long),
        }
        return inputs, torch.from_numpy(lengths)


def _max_seconds(extractor: Any, config: Any) -> float | None:
    if config.model_type == "whisper":
        return float(extractor.chunk_length)
    if config.model_type == "speech_to_text":
        return float(config.max_source_positions) / 100
    return None


def _padding_margin(config: Any) -> int | None:
    """Frames of padding after the longest clip; None where padding would change the answers.

    A convolution at a clip's end reads zeros beyond a batch's longest clip, but what earlier layers
    made of the padding beyond the others. With the margin it is the latter for all of them.
    """
    kind = config.model_type
    if kind == "speech_to_text":
        return int(max(config.conv_kernel_sizes) * 2**config.num_conv_layers)
    if kind == "wav2vec2-bert":
        if not config.add_adapter:
            return 0
        return int(config.adapter_kernel_size * config.adapter_stride**config.num_adapter_layers)
    if kind in ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat"):
        sees_padding = (
            config.feat_extract_norm == "group"
            or getattr(config, "conv_pos_batch_norm", False)
            or getattr(config, "add_adapter", False)
        )
        return None if sees_padding else 0
    return None


def _extraction(extractor: Any) -> Callable[[Samples], Features]:
    if isinstance(extractor, SeamlessM4TFeatureExtractor):
        return _stacked_log_mel(extractor)
    if isinstance(extractor, Speech2TextFeatureExtractor) and not extractor.dither:
        return _normalised_log_mel(extractor)
    name = extractor.model_input_names[0]

    def extract(samples: Samples) -> Features:
        encoded = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="np")
        features: Features = np.asarray(encoded[name][0], np.float32)
        return features

    return extract


def _stacked_log_mel(extractor: Any) -> Callable[[Samples], Features]:
    """SeamlessM4T's: each mel bin normalised over the clip, `stride` frames joined into one."""
    log_mel = LogMelFilterbank(extractor.num_mel_bins, extractor.sampling_rate)
    stride: int = extractor.stride

    def extract(samples: Samples) -> Features:
        frames = log_mel(samples)
        frames -= frames.mean(axis=0)
        frames /= np.sqrt(frames.var(axis=0, ddof=1) + 1e-7)
        count = len(frames)
        # As the stock extractor does for a lone clip: an odd frame is paired with padding before
        # groups are formed, and a group counts when its second frame is sound.
        if len(frames) % 2:
            frames = np.pad(frames, ((0, 1), (0, 0)), constant_values=extractor.padding_value)
        groups = min(len(frames) // stride, (count + stride - 2) // stride)
        return frames[: groups * stride].reshape(groups, -1)

    return extract


def _normalised_log_mel(extractor: Any) -> Callable[[Samples], Features]:
    """Speech2Text's: each mel bin normalised over the clip, as the extractor is configured."""
    log_mel = LogMelFilterbank(extractor.num_mel_bins, extractor.sampling_rate)

    def extract(samples: Samples) -> Features:
        frames = log_mel(samples)
        if extractor.do_ceptral_normalize and extractor.normalize_means:
            frames -= frames.mean(axis=0)
        if extractor.do_ceptral_normalize and extractor.normalize_vars:
            # Digital silence has no variance; the stock extractor would answer with NaN.
            deviation = frames.std(axis=0)
            frames /= np.where(deviation > 0, deviation, 1)
        return frames

    return extract
