"""Frames to sound, stretch by stretch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.speech.spectrogram import MelSpectrogram
from infergraph.tasks.speech.vocoders import SPECTROGRAM, GriffinLim, HifiGan, load_vocoder
from tests.checkpoints import voices
from tests.sounds import chirps

CPU = Placement(torch.device("cpu"), torch.float32, compile=False)


def whole(vocoder: Any, frames: torch.Tensor) -> np.ndarray[Any, Any]:
    stretches, parts = vocoder.begin(frames), []
    with torch.inference_mode():
        while (part := stretches.next()) is not None:
            parts.append(part)
    return np.concatenate(parts)


@pytest.fixture
def griffin_lim(tmp_path: Path) -> GriffinLim:
    mel = MelSpectrogram()
    said = {**mel.to_dict(), "mean": [1.0] * 80, "scale": [2.0] * 80}
    (tmp_path / SPECTROGRAM).write_text(json.dumps(said))
    return GriffinLim(str(tmp_path))


def test_griffin_lim_gives_sound_of_the_same_frames(griffin_lim: GriffinLim) -> None:
    mel = griffin_lim.mel
    frames = mel(torch.from_numpy(chirps(3.0, 1).astype(np.float32)))
    sound = whole(griffin_lim, (frames - 1) / 2)
    assert len(sound) == len(frames) * mel.hop_length
    again = mel(torch.from_numpy(sound))[: len(frames)]
    loud = frames > frames.max() - 4
    assert float((again - frames).abs()[loud].mean()) < 0.35


def test_stretches_go_on_where_the_last_one_ended(griffin_lim: GriffinLim) -> None:
    """A steady tone stays one: no step where stretches meet."""
    rate = griffin_lim.sampling_rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate).astype(np.float32)
    frames = griffin_lim.mel(torch.from_numpy(tone))
    sound = whole(griffin_lim, (frames - 1) / 2)[rate // 2 : -rate // 2]
    level = np.sqrt((sound[: len(sound) // 400 * 400].reshape(-1, 400) ** 2).mean(axis=1))
    assert level.min() > 0.6 * level.mean()
    assert np.abs(np.diff(sound)).max() < 3 * np.abs(np.diff(tone)).max()


def test_a_hifigan_in_stretches_is_the_whole(tmp_path: Path) -> None:
    vocoder = load_vocoder(voices.hifigan(tmp_path), CPU)
    frames = torch.randn(200, voices.BINS, generator=torch.Generator().manual_seed(1))
    expected = vocoder.sound(frames).numpy()
    assert len(expected) == 200 * vocoder.hop_length
    np.testing.assert_allclose(whole(vocoder, frames), expected, atol=1e-5)


def test_a_hifigan_whose_reach_is_too_short_would_be_another_sound(tmp_path: Path) -> None:
    vocoder = load_vocoder(voices.hifigan(tmp_path), CPU)
    frames = torch.randn(200, voices.BINS, generator=torch.Generator().manual_seed(1))
    expected = vocoder.sound(frames).numpy()
    vocoder.reach = 1
    assert np.abs(whole(vocoder, frames) - expected).max() > 1e-4


def test_the_reach_covers_published_hifigans() -> None:
    config = hf.SpeechT5HifiGanConfig(upsample_initial_channel=16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = hf.SpeechT5HifiGan(config).eval()
    vocoder = HifiGan(network, CPU)
    frames = torch.randn(90, config.model_in_dim, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        np.testing.assert_allclose(whole(vocoder, frames), vocoder.sound(frames).numpy(), atol=1e-5)


def test_another_network_is_no_vocoder(tmp_path: Path) -> None:
    folder = voices.fastspeech2(tmp_path)
    with pytest.raises(ConfigurationError, match="of the kind 'fastspeech2_conformer'; accepted"):
        load_vocoder(folder, CPU)
