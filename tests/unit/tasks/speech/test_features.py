"""Our features are those of the stock extractors, and a batch is what they would have made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    SeamlessM4TFeatureExtractor,
    Speech2TextConfig,
    Speech2TextFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from infergraph.tasks.speech.features import SpeechFeatures
from infergraph.tasks.speech.filterbank import LogMelFilterbank
from tests.sounds import chirps, sine

# Kaldi's framing of 16 kHz sound: odd and even numbers of frames, and one more than a block.
LENGTHS = [1_600, 16_000, 16_160, 24_001, 400 + 160 * 128]


@pytest.mark.parametrize("samples", LENGTHS)
def test_log_mel_equals_the_stock_extractor(samples: int) -> None:
    sound = chirps(2, 1)[:samples]
    stock = SeamlessM4TFeatureExtractor()._extract_fbank_features(sound)

    np.testing.assert_allclose(LogMelFilterbank(80, 16_000)(sound), stock, atol=1e-4)


def test_log_mel_of_silence_is_the_floor() -> None:
    features = LogMelFilterbank(80, 16_000)(np.zeros(1_600, np.float32))

    np.testing.assert_allclose(features, np.log(np.finfo(np.float32).eps), rtol=1e-6)


@pytest.mark.parametrize("samples", [*LENGTHS, *(400 + 160 * frames for frames in range(9, 16))])
@pytest.mark.parametrize("stride", [2, 3, 4])
def test_seamless_features_equal_the_stock_extractor(samples: int, stride: int) -> None:
    extractor = SeamlessM4TFeatureExtractor(stride=stride)
    sound = chirps(2, 2)[:samples]
    stock = extractor(sound, sampling_rate=16_000, return_tensors="np")
    counted = int(stock["attention_mask"].sum())

    features = SpeechFeatures(extractor, Wav2Vec2BertConfig())(sound)

    assert features.dtype == np.float32
    np.testing.assert_allclose(features, stock["input_features"][0][:counted], atol=1e-3)


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("normalize", [True, False])
def test_speech2text_features_equal_the_stock_extractor(samples: int, normalize: bool) -> None:
    extractor = Speech2TextFeatureExtractor(do_ceptral_normalize=normalize)
    sound = chirps(2, 3)[:samples]
    stock = extractor(sound, sampling_rate=16_000, return_tensors="np")

    features = SpeechFeatures(extractor, Speech2TextConfig())(sound)

    np.testing.assert_allclose(features, stock["input_features"][0], atol=1e-3)


def test_whisper_features_are_the_stock_extractors() -> None:
    extractor = WhisperFeatureExtractor()
    sound = chirps(1, 4)
    features = SpeechFeatures(extractor, WhisperConfig())

    stock = extractor(sound, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    np.testing.assert_array_equal(features(sound), stock)
    assert features(sound).shape == (80, 3000)
    assert features.max_seconds == 30
    assert not features.padded


@pytest.mark.parametrize(
    ("extractor", "config"),
    [
        (SeamlessM4TFeatureExtractor(), Wav2Vec2BertConfig()),
        (Speech2TextFeatureExtractor(), Speech2TextConfig()),
        (Wav2Vec2FeatureExtractor(), Wav2Vec2Config()),
        (WhisperFeatureExtractor(), WhisperConfig()),
    ],
)
@pytest.mark.parametrize(
    "sound", [sine(1)[:1], np.zeros(1, np.float32), np.zeros(16_000, np.float32)]
)
def test_very_short_or_silent_sound_has_finite_features(extractor, config, sound) -> None:
    features = SpeechFeatures(extractor, config)(sound)

    assert len(features) > 0
    assert np.isfinite(features).all()


def test_a_padded_batch_masks_what_it_adds() -> None:
    features = SpeechFeatures(SeamlessM4TFeatureExtractor(), Wav2Vec2BertConfig())
    clips = [features(chirps(seconds, 5)) for seconds in (0.5, 1.0)]

    inputs, lengths = features.batch(clips, torch.device("cpu"), torch.float32)

    assert lengths is not None
    assert lengths.tolist() == [len(clip) for clip in clips] == [24, 49]
    assert inputs["input_features"].shape == (2, 49, 160)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [24, 49]
    np.testing.assert_array_equal(inputs["input_features"][0, :24].numpy(), clips[0])
    assert (inputs["input_features"][0, 24:] == 0).all()


def test_a_margin_follows_where_convolutions_would_see_the_end() -> None:
    features = SpeechFeatures(Speech2TextFeatureExtractor(), Speech2TextConfig())
    clip = features(chirps(0.5, 6))

    inputs, _ = features.batch([clip], torch.device("cpu"), torch.float32)

    # Two strided convolutions of width 5 reach 6 frames beyond the end.
    assert inputs["input_features"].shape[1] >= len(clip) + 6
    assert int(inputs["attention_mask"].sum()) == len(clip)


def test_group_normalised_networks_get_no_padding_and_no_mask() -> None:
    features = SpeechFeatures(Wav2Vec2FeatureExtractor(), Wav2Vec2Config(feat_extract_norm="group"))
    clip = features(chirps(0.5, 7))

    inputs, lengths = features.batch([clip, clip], torch.device("cpu"), torch.float32)

    assert not features.padded
    assert lengths is None
    assert list(inputs) == ["input_values"]
    assert inputs["input_values"].shape == (2, 8_000)
    assert SpeechFeatures(
        Wav2Vec2FeatureExtractor(), Wav2Vec2Config(feat_extract_norm="layer")
    ).padded


def test_the_batch_has_the_wanted_dtype() -> None:
    features = SpeechFeatures(SeamlessM4TFeatureExtractor(), Wav2Vec2BertConfig())

    inputs, _ = features.batch([features(chirps(0.5, 8))], torch.device("cpu"), torch.bfloat16)

    assert inputs["input_features"].dtype == torch.bfloat16
    assert inputs["attention_mask"].dtype == torch.long
