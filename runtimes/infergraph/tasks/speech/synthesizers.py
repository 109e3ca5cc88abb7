"""Synthesizers: networks that make mel frames of a sentence's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ...errors import StageFailure
from ...finite import check_finite

Tokens = Sequence[int]


class Synthesizer(Protocol):
    """From tokens to frames.

    Attributes:
        network: The one that was given.
        bins: Numbers of a frame.
        speeds: Whether it can be told how fast to speak.
    """

    network: Any
    bins: int
    speeds: bool

    def __call__(self, sentences: Sequence[Tokens], speeds: Sequence[float]) -> list[torch.Tensor]:
        """The frames of each sentence, float32 [frames, bins]; none depends on another's.

        Raises:
            StageFailure: the network computed values that are no numbers.
        """


class FastSpeech2:
    """FastSpeech2Conformer, whose sentences share batches.

    transformers' own forward pass knows no masks when it answers: a sentence's last frames would
    depend on how long the others are. Here each convolution sees zeros after a sentence's end, as
    if it were alone, and no attention sees anything there.

    Args:
        network: A placed FastSpeech2ConformerModel; it is changed.
    """

    speeds = True

    def __init__(self, network: Any) -> None:
        self.network = network
        self.bins: int = network.config.num_mel_bins
        self._mask: torch.Tensor | None = None
        for module in network.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self._masked)

    def _masked(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
        if self._mask is None:
            return None
        return (inputs[0] * self._mask[:, None, :].to(inputs[0].dtype), *inputs[1:])

    def __call__(self, sentences: Sequence[Tokens], speeds: Sequence[float]) -> list[torch.Tensor]:
        network = self.network
        device = network.device
        lengths = torch.tensor([len(each) for each in sentences], device=device)
        ids = nn.utils.rnn.pad_sequence(
            [torch.tensor(each) for each in sentences], batch_first=True
        ).to(device)
        try:
            states, durations = self._read(ids, _mask(lengths), speeds)
            frames = durations.sum(dim=1)
            spoken = self._spoken(states, durations, _mask(frames))
        finally:
            self._mask = None
        check_finite(spoken)
        return [row[:count].float() for row, count in zip(spoken, frames.tolist(), strict=True)]

    def _read(
        self, ids: torch.Tensor, mask: torch.Tensor, speeds: Sequence[float]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The states of the tokens, and how many frames each lasts."""
        network = self.network
        self._mask = mask if len(ids) > 1 else None
        states = network.encoder(ids, mask[:, None].int(), return_dict=True).last_hidden_state
        none = ~mask
        pitch = network.pitch_predictor(states, none[..., None])
        energy = network.energy_predictor(states, none[..., None])
        durations = network.duration_predictor(states).masked_fill(none, 0)
        states = states + network.pitch_embed(pitch) + network.energy_embed(energy)
        slowness = network.config.speaking_speed / torch.tensor(speeds, device=ids.device)
        durations = torch.round(durations.float() * slowness[:, None]).long()
        # A sentence sounds, however little its network makes of it.
        durations[:, 0] += (durations.sum(dim=1) == 0).long() * 2
        return states, durations

    def _spoken(
        self, states: torch.Tensor, durations: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        network = self.network
        self._mask = mask if len(states) > 1 else None
        rows = [
            torch.repeat_interleave(row, each, dim=0)
            for row, each in zip(states, durations, strict=True)
        ]
        expanded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        decoded = network.decoder(expanded, mask[:, None].int(), return_dict=True)
        frames: torch.Tensor = network.speech_decoder_postnet(decoded.last_hidden_state)[1]
        return frames


class SpeechT5:
    """SpeechT5, which writes frames one after the other, sentence after sentence.

    It draws random numbers even when it answers. They are the same for each sentence.

    Args:
        network: A placed SpeechT5ForTextToSpeech.
        speaker: float32 [dimension]: whose voice it is.
    """

    speeds = False

    def __init__(self, network: Any, speaker: torch.Tensor) -> None:
        self.network = network
        self.bins: int = network.config.num_mel_bins
        self._speaker = speaker[None].to(network.device, network.dtype)

    def __call__(self, sentences: Sequence[Tokens], speeds: Sequence[float]) -> list[torch.Tensor]:
        made = []
        for sentence in sentences:
            ids = torch.tensor([list(sentence)], device=self.network.device)
            devices = [ids.device] if ids.device.type == "cuda" else []
            with torch.random.fork_rng(devices):
                torch.manual_seed(0)
                frames = self.network.generate_speech(ids, self._speaker)
            check_finite(frames)
            if not len(frames):
                raise StageFailure("the network made no sound of a sentence")
            made.append(frames.float())
        return made


def _mask(lengths: torch.Tensor) -> torch.Tensor:
    """bool [rows, longest]: what is not padding."""
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
