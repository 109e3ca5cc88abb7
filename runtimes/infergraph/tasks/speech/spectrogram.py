"""`MelSpectrogram`: from sound to log-mel frames, and by Griffin and Lim's iterations back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from transformers.audio_utils import mel_filter_bank

_FLOOR = 1e-5
_MOMENTUM = 0.99
# The filters overlap: this much of a bin's own weight keeps the inverse from amplifying noise.
_RIDGE = 1e-4


@dataclass(frozen=True)
class MelSpectrogram:
    """Natural logarithms of magnitudes in mel bands, as Slaney scales them.

    Attributes:
        sampling_rate: In Hz.
        n_fft: Samples of the Fourier transform.
        win_length: Samples of the Hann window.
        hop_length: Samples from one frame to the next.
        num_mel_bins: Bands.
        fmin: Lower edge of the lowest band in Hz.
        fmax: Upper edge of the highest band in Hz.
        iterations: Of Griffin and Lim's.
    """

    sampling_rate: int = 16_000
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    num_mel_bins: int = 80
    fmin: float = 0.0
    fmax: float = 8_000.0
    iterations: int = 24

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @cached_property
    def _filters(self) -> torch.Tensor:
        """float32 [n_fft / 2 + 1, num_mel_bins]."""
        filters: Any = mel_filter_bank(
            self.n_fft // 2 + 1,
            self.num_mel_bins,
            self.fmin,
            self.fmax,
            self.sampling_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        made: torch.Tensor = torch.from_numpy(filters).float()
        return made

    @cached_property
    def _inverse(self) -> torch.Tensor:
        """float32 [num_mel_bins, n_fft / 2 + 1]."""
        filters = self._filters.double()
        gram = filters.T @ filters
        ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        inverse: torch.Tensor = torch.linalg.solve(gram + ridge, filters.T)
        return inverse.float()

    @cached_property
    def _window(self) -> torch.Tensor:
        return torch.hann_window(self.win_length)

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """The frames, float32 [1 + samples / hop_length, num_mel_bins], of float32 [samples]."""
        magnitudes = self._stft(samples).abs()
        frames: torch.Tensor = (magnitudes.T @ self._filters).clamp(min=_FLOOR).log()
        return frames

    def invert(self, frames: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
        """Sound of which these are the frames, about: float32 [(frames - 1) * hop_length].

        Phases begin as those of a tone in each bin, and come to agree with each other.

        Args:
            frames: float32 [frames, num_mel_bins], at least two.
            before: Sound that the first of them were heard in, to go on from: float32 [samples].
        """
        magnitudes = (frames.exp() @ self._inverse).clamp(min=_FLOOR).T
        steps = torch.arange(magnitudes.shape[0])[:, None] * torch.arange(magnitudes.shape[1])
        turns = steps * self.hop_length % self.n_fft
        phases = torch.polar(torch.ones(turns.shape), turns * (2 * math.pi / self.n_fft))
        if before is not None:
            # The last frames reach beyond its end.
            known = self._stft(before)[:, : -(self.win_length // self.hop_length) // 2]
            known = known[:, : phases.shape[1]]
            phases[:, : known.shape[1]] = known / known.abs().clamp(min=1e-12)
        last = torch.zeros_like(phases)
        for _ in range(self.iterations):
            rebuilt = self._stft(self._istft(magnitudes * phases))
            moved = rebuilt - last * (_MOMENTUM / (1 + _MOMENTUM))
            phases = moved / moved.abs().clamp(min=1e-12)
            last = rebuilt
        return self._istft(magnitudes * phases)

    def _stft(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.stft(
            samples,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self._window,
            pad_mode="constant",
            return_complex=True,
        )

    def _istft(self, spectrum: torch.Tensor) -> torch.Tensor:
        return torch.istft(spectrum, self.n_fft, self.hop_length, self.win_length, self._window)
