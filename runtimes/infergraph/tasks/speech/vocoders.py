"""Vocoders: from mel frames to sound, a stretch at a time, so that the first can be sent early."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, PreTrainedModel, SpeechT5HifiGan

from ...devices import Placement
from ...errors import ConfigurationError
from ...weights import loading
from ..checkpoints.pretrained import load_network
from .spectrogram import MelSpectrogram

Samples = NDArray[np.float32]

SPECTROGRAM = "spectrogram.json"
"""Of a checkpoint without a vocoder: the fields of `MelSpectrogram`, and `mean` and `scale`."""
_STRETCH, _FIRST = 64, 32
"""Frames; the first stretch of a sentence is shorter, so that it is heard sooner."""
_OVERLAP = 8


class Vocoder(Protocol):
    """From the frames of a sentence to its sound.

    Attributes:
        sampling_rate: In Hz.
        bins: Numbers of a frame.
        steady: Whether frames that differ in rounding alone make sound that does.
    """

    sampling_rate: int
    bins: int
    steady: bool

    def begin(self, frames: torch.Tensor) -> Stretches:
        """The sound of float32 [frames, bins], to be computed stretch by stretch."""


class Stretches(Protocol):
    """The sound of one sentence; what it is does not depend on what else is computed."""

    def next(self) -> Samples | None:
        """What follows, at first half a second, then one; None after the last."""


class GriffinLim:
    """Sound of which the frames' magnitudes are those of its Fourier transform.

    Where there is next to no sound its phases may be any, and rounding decides which.

    Stretches overlap: each begins with the phases that the one before ends with, and is faded in.

    Args:
        folder: A checkpoint with `SPECTROGRAM`, which says how its frames were scaled.

    Raises:
        ConfigurationError: the file is no such description.
    """

    steady = False

    def __init__(self, folder: str) -> None:
        with loading("spectrogram", folder):
            said = json.loads(Path(folder, SPECTROGRAM).read_text())
            names = [each.name for each in fields(MelSpectrogram)]
            self.mel = MelSpectrogram(**{name: said[name] for name in names})
            self._mean = torch.tensor(said["mean"], dtype=torch.float32)
            self._scale = torch.tensor(said["scale"], dtype=torch.float32)
        self.sampling_rate = self.mel.sampling_rate
        self.bins = self.mel.num_mel_bins

    def begin(self, frames: torch.Tensor) -> Stretches:
        return _GriffinLimStretches(self.mel, frames.cpu().float() * self._scale + self._mean)


class _GriffinLimStretches:
    def __init__(self, mel: MelSpectrogram, frames: torch.Tensor) -> None:
        self._mel = mel
        # The last frame's sound reaches to the end of its hop.
        self._frames = torch.cat([frames, frames[-1:]])
        self._done = 0
        self._held: torch.Tensor | None = None

    def next(self) -> Samples | None:
        total = len(self._frames)
        if self._done >= total:
            return None
        start = max(self._done - _OVERLAP, 0)
        end = self._done + (_STRETCH if self._done else _FIRST)
        if total - end < _STRETCH // 2:
            end = total
        sound = self._mel.invert(self._frames[start:end], self._held)
        if self._held is not None:
            fade = torch.linspace(0, 1, len(self._held))
            sound[: len(fade)] = sound[: len(fade)] * fade + self._held * (1 - fade)
        self._done = end
        if end < total:
            kept = (_OVERLAP - 1) * self._mel.hop_length
            sound, self._held = sound[:-kept], sound[-kept:]
        return sound.clamp(-1, 1).numpy()


class HifiGan:
    """A HiFi-GAN network of transformers.

    It sees as many frames beside a stretch as its convolutions reach, so that the stretches are the
    sound of the whole sentence.
    """

    steady = True

    def __init__(self, network: Any, placement: Placement) -> None:
        """Takes a placed network over, of the families SpeechT5 and FastSpeech2Conformer."""
        config = network.config
        self.sampling_rate: int = config.sampling_rate
        self.bins: int = config.model_in_dim
        self.hop_length = math.prod(config.upsample_rates)
        self.network = network
        self.reach = _reach(config)
        self._placement = placement

    def begin(self, frames: torch.Tensor) -> Stretches:
        return _HifiGanStretches(self, frames)

    def sound(self, frames: torch.Tensor) -> torch.Tensor:
        """float32 [frames * hop_length] of [frames, bins]."""
        placed = frames.to(self._placement.device, self._placement.dtype)
        sound: torch.Tensor = self.network(placed)
        return sound.float().cpu()


class _HifiGanStretches:
    def __init__(self, vocoder: HifiGan, frames: torch.Tensor) -> None:
        self._vocoder = vocoder
        self._frames = frames
        self._done = 0

    def next(self) -> Samples | None:
        if self._done >= len(self._frames):
            return None
        start = self._done
        end = min(start + (_STRETCH if start else _FIRST), len(self._frames))
        reach, hop = self._vocoder.reach, self._vocoder.hop_length
        first = max(start - reach, 0)
        sound = self._vocoder.sound(self._frames[first : end + reach])
        self._done = end
        return sound[(start - first) * hop : (end - first) * hop].numpy()


def _reach(config: Any) -> int:
    """How many frames to either side a sample of a HiFi-GAN depends on."""
    reach, samples = 3.0, 1
    for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        samples *= rate
        reach += kernel / samples
        widest = max(
            sum((size - 1) // 2 * (step + 1) for step in steps)
            for size, steps in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            )
        )
        reach += widest / samples
    return math.ceil(reach + 3 / samples) + 1


def load_vocoder(folder: str, placement: Placement) -> HifiGan:
    """The HiFi-GAN of a checkpoint, placed.

    Raises:
        ConfigurationError: the folder holds none.
    """
    from transformers import FastSpeech2ConformerHifiGan

    with loading("configuration", folder):
        kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    families: dict[str, type[PreTrainedModel]] = {
        "hifigan": SpeechT5HifiGan,
        "speecht5_hifigan": SpeechT5HifiGan,
        "fastspeech2_conformer_hifigan": FastSpeech2ConformerHifiGan,
    }
    if kind not in families:
        raise ConfigurationError(
            f"setting 'vocoder': the checkpoint '{folder}' is of the kind '{kind}'; accepted: "
            f"{', '.join(sorted(families))}"
        )
    return HifiGan(load_network(families[kind], folder, placement), placement)


def check_bins(vocoder: Vocoder, bins: int) -> None:
    """Checks that a vocoder takes frames of so many bins.

    Raises:
        ConfigurationError: it does not.
    """
    if vocoder.bins != bins:
        raise ConfigurationError(
            f"setting 'vocoder': it takes frames of {vocoder.bins} bins; accepted: {bins}, which "
            "the checkpoint's network makes"
        )
