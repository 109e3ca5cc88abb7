"""Text to speech: FastSpeech2Conformer and SpeechT5, with and without a HiFi-GAN."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers as hf

from infergraph.tasks.speech.pronunciation import PRONUNCIATION
from infergraph.tasks.speech.spectrogram import MelSpectrogram
from infergraph.tasks.speech.vocoders import SPECTROGRAM

from .saving import save, seeded
from .tokenizers import TEXT

BINS = 8
# Letters are their own phonemes, but for two.
RULES = {letter: letter for letter in string.ascii_lowercase} | {"x": "k s", "sh": "\u0283"}
WORDS = {"one": "w \u02c8\u028c n"}
_ARPABET = ["AH0", "AH1", "B", "D", "K", "L", "M", "N", "S", "T", "W", "IY1", "AA1"]
_VOCODER: dict[str, Any] = {
    "model_in_dim": BINS,
    "sampling_rate": 16_000,
    "upsample_initial_channel": 16,
    "upsample_rates": [8, 8],
    "upsample_kernel_sizes": [16, 16],
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "initializer_range": 0.3,
}


def _small(tokens: int) -> Any:
    return hf.FastSpeech2ConformerConfig(
        vocab_size=tokens,
        num_mel_bins=BINS,
        hidden_size=16,
        encoder_layers=1,
        encoder_num_attention_heads=2,
        encoder_linear_units=24,
        decoder_layers=1,
        decoder_num_attention_heads=2,
        decoder_linear_units=24,
        speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=12,
        duration_predictor_channels=12,
        pitch_predictor_layers=2,
        pitch_predictor_channels=12,
        energy_predictor_channels=12,
    )


def _slow(network: Any) -> None:
    """Has a network's tokens last a few frames each, which random weights would not."""
    with torch.no_grad():
        network.duration_predictor.linear.weight.mul_(0.3)
        network.duration_predictor.linear.bias.fill_(1.5)


def _tokens(folder: Path, tokens: list[str]) -> int:
    (folder / "vocab.json").write_text(json.dumps({each: i for i, each in enumerate(tokens)}))
    return len(tokens)


def _pronunciation(folder: Path) -> None:
    said = {"language": "en", "words": WORDS, "rules": RULES}
    (folder / PRONUNCIATION).write_text(json.dumps(said))


def fastspeech2(folder: Path) -> str:
    """A FastSpeech2Conformer that reads IPA, whose frames become sound as `GriffinLim` does it."""
    kinds = sorted({each for said in (*RULES.values(), *WORDS.values()) for each in said.split()})
    count = _tokens(folder, ["<pad>", "<unk>", " ", *",.?!:;", *kinds])
    _pronunciation(folder)
    mel = MelSpectrogram(num_mel_bins=BINS, iterations=4)
    said = {**mel.to_dict(), "mean": [-4.0] * BINS, "scale": [1.0] * BINS}
    (folder / SPECTROGRAM).write_text(json.dumps(said))
    network = seeded(lambda: hf.FastSpeech2ConformerModel(_small(count)))
    _slow(network)
    return save(folder, network)


def fastspeech2_with_hifigan(folder: Path) -> str:
    """A FastSpeech2Conformer that reads ARPAbet, with its HiFi-GAN, as those of the hub."""
    tokens = ["<blank>", "<unk>", *",.?!", *_ARPABET, "<sos/eos>"]
    count = _tokens(folder, tokens)
    _pronunciation(folder)
    config = hf.FastSpeech2ConformerWithHifiGanConfig(
        model_config=_small(count).to_dict(),
        vocoder_config=hf.FastSpeech2ConformerHifiGanConfig(**_VOCODER).to_dict(),
    )
    network = seeded(lambda: hf.FastSpeech2ConformerWithHifiGan(config))
    _slow(network.model)
    return save(folder, network)


def hifigan(folder: Path) -> str:
    """A HiFi-GAN of the family SpeechT5, for frames of `BINS`."""
    config = hf.SpeechT5HifiGanConfig(**_VOCODER)
    return save(folder, seeded(lambda: hf.SpeechT5HifiGan(config)))


def speecht5(folder: Path) -> str:
    """A SpeechT5 with a tokenizer of letters; it stops after a few frames for each token."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT, string.ascii_lowercase, ",.?!'"] * 4),
        model_prefix=str(folder / "spm_char"),
        model_type="char",
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    tokenizer = hf.SpeechT5Tokenizer(str(folder / "spm_char.model"))
    config = hf.SpeechT5Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        num_mel_bins=BINS,
        reduction_factor=2,
        speech_decoder_prenet_units=12,
        speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=12,
        speaker_embedding_dim=6,
        max_speech_positions=600,
        max_text_positions=300,
        initializer_range=0.3,
    )
    network = seeded(lambda: hf.SpeechT5ForTextToSpeech(config))
    return save(folder, network, tokenizer)
