"""Trains the embedded text-to-speech checkpoints: a small FastSpeech2Conformer for each language.

    python -m zoo.train_text_to_speech --output model-settings/text-to-speech/embedded

Needs espeak-ng, which is the teacher, and PyPI's pyspellchecker, whose lists have the words whose
pronunciation is learned.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infergraph.tasks.speech.spectrogram import MelSpectrogram
from infergraph.tasks.speech.spellers import VOCABULARY
from infergraph.tasks.speech.vocoders import SPECTROGRAM
from zoo.text_to_speech_data import VOICES, Example, speak, training_texts
from zoo.train_pronunciation import learn
from zoo.train_pronunciation import save as save_pronunciation

logger = logging.getLogger(__name__)

PAD, UNKNOWN = "<pad>", "<unk>"
_IGNORED = -100.0
_LOG_EVERY = 50
_SAVE_EVERY = 100
_BATCH_FRAMES = 1400


def build_model(tokens: int, mel: MelSpectrogram) -> Any:
    """An untrained model of about 1.2 million parameters, for `tokens` kinds of token."""
    from transformers import FastSpeech2ConformerConfig, FastSpeech2ConformerModel

    return FastSpeech2ConformerModel(
        FastSpeech2ConformerConfig(
            vocab_size=tokens,
            num_mel_bins=mel.num_mel_bins,
            hidden_size=96,
            encoder_layers=2,
            encoder_num_attention_heads=2,
            encoder_linear_units=256,
            decoder_layers=2,
            decoder_num_attention_heads=2,
            decoder_linear_units=256,
            use_macaron_style_in_conformer=False,
            encoder_kernel_size=7,
            decoder_kernel_size=15,
            speech_decoder_postnet_layers=2,
            speech_decoder_postnet_units=96,
            speech_decoder_postnet_dropout=0.0,
            duration_predictor_channels=96,
            duration_predictor_dropout_rate=0.1,
            pitch_predictor_layers=2,
            pitch_predictor_channels=96,
            pitch_predictor_dropout=0.1,
            pitch_embed_dropout=0.0,
            energy_predictor_channels=96,
            energy_predictor_dropout=0.1,
            energy_embed_dropout=0.0,
            encoder_dropout_rate=0.0,
            encoder_positional_dropout_rate=0.0,
            encoder_attention_dropout_rate=0.0,
            decoder_dropout_rate=0.0,
            decoder_positional_dropout_rate=0.0,
            decoder_attention_dropout_rate=0.0,
            convolution_bias=True,
            speaking_speed=1.0,
        )
    )


class Scaling:
    """Brings frames, pitch and energy to about zero mean and unit deviation.

    Attributes:
        mean: float32 [80], of the frames.
        scale: float32 [80].
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        frames = np.concatenate([each.frames for each in examples]).astype(np.float32)
        self.mean, self.scale = frames.mean(axis=0), frames.std(axis=0)
        voiced = np.concatenate([each.pitch[each.pitch > 0] for each in examples])
        self._tone, self._tones = float(voiced.mean()), float(voiced.std())
        loud = np.concatenate([each.energy[each.durations > 0] for each in examples])
        self._loud, self._loudness = float(loud.mean()), float(loud.std())

    def frames(self, example: Example) -> np.ndarray[Any, np.dtype[np.float32]]:
        scaled: np.ndarray[Any, np.dtype[np.float32]]
        scaled = (example.frames.astype(np.float32) - self.mean) / self.scale
        return scaled

    def pitch(self, example: Example) -> Any:
        return np.where(example.pitch > 0, (example.pitch - self._tone) / self._tones, 0)

    def energy(self, example: Example) -> Any:
        return np.where(example.durations > 0, (example.energy - self._loud) / self._loudness, 0)


def collate(
    batch: Sequence[Example], vocabulary: dict[str, int], scaling: Scaling
) -> dict[str, torch.Tensor]:
    """What the network takes to learn from a batch, padded."""
    tokens = max(len(each.tokens) for each in batch)
    frames = max(len(each.frames) for each in batch)
    size = len(batch)
    made = {
        "input_ids": torch.zeros(size, tokens, dtype=torch.long),
        "attention_mask": torch.zeros(size, tokens, dtype=torch.long),
        "duration_labels": torch.zeros(size, tokens, dtype=torch.long),
        "pitch_labels": torch.zeros(size, tokens, 1),
        "energy_labels": torch.zeros(size, tokens, 1),
        "spectrogram_labels": torch.full((size, frames, len(scaling.mean)), _IGNORED),
    }
    for row, each in enumerate(batch):
        count = len(each.tokens)
        made["input_ids"][row, :count] = torch.tensor([vocabulary[t] for t in each.tokens])
        made["attention_mask"][row, :count] = 1
        made["duration_labels"][row, :count] = torch.from_numpy(each.durations)
        made["pitch_labels"][row, :count, 0] = torch.from_numpy(scaling.pitch(each)).float()
        made["energy_labels"][row, :count, 0] = torch.from_numpy(scaling.energy(each)).float()
        made["spectrogram_labels"][row, : len(each.frames)] = torch.from_numpy(scaling.frames(each))
    return made


def batches(examples: Sequence[Example], rng: random.Random) -> Iterator[list[Example]]:
    """Batches of similar lengths, in random order, without end."""
    while True:
        ordered = sorted(examples, key=lambda each: len(each.frames) * rng.uniform(0.9, 1.1))
        made: list[list[Example]] = [[]]
        longest = 0
        for each in ordered:
            longest = max(longest, len(each.frames))
            if made[-1] and longest * (len(made[-1]) + 1) > _BATCH_FRAMES:
                made.append([])
                longest = len(each.frames)
            made[-1].append(each)
        rng.shuffle(made)
        yield from made


def save(
    model: Any, vocabulary: dict[str, int], mel: MelSpectrogram, scaling: Scaling, folder: Path
) -> None:
    """Writes the checkpoint: float16 safetensors, the tokens, and how its frames are made."""
    stored = build_model(len(vocabulary), mel)
    stored.load_state_dict(model.state_dict())
    stored.half().save_pretrained(folder)
    (folder / VOCABULARY).write_text(
        f"{json.dumps(vocabulary, ensure_ascii=False, indent=0)}\n", encoding="utf-8"
    )
    said = {
        **mel.to_dict(),
        "mean": [round(float(each), 4) for each in scaling.mean],
        "scale": [round(float(each), 4) for each in scaling.scale],
    }
    (folder / SPECTROGRAM).write_text(f"{json.dumps(said, indent=1)}\n")


def start_from(model: Any, vocabulary: dict[str, int], folder: Path) -> None:
    """Gives a model the weights of a checkpoint, also of another language's: by token."""
    trained = type(model).from_pretrained(folder, dtype=torch.float32)
    known: dict[str, int] = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    weights, own = trained.state_dict(), model.state_dict()
    name = "encoder.embed.weight"
    for token, number in vocabulary.items():
        # A stressed phoneme that is new begins as the same one without stress.
        like = next((each for each in (token, token[1:]) if each in known), None)
        if like is not None:
            own[name][number] = weights[name][known[like]]
    model.load_state_dict({**weights, name: own[name]})


def train(
    output: Path,
    language: str,
    utterances: int,
    steps: int,
    peak: float,
    seed: int,
    initial: Path | None = None,
) -> None:
    """Trains for so many steps, and writes the checkpoint to `output` now and then.

    With `initial`, a checkpoint of this architecture, training goes on from it.
    """
    torch.manual_seed(seed)
    mel = MelSpectrogram()
    started = time.monotonic()
    examples = speak(training_texts(seed, utterances, language), VOICES[language], mel)
    kinds = sorted({token for each in examples for token in each.tokens})
    vocabulary = {token: number for number, token in enumerate([PAD, UNKNOWN, *kinds])}
    scaling = Scaling(examples)
    model = build_model(len(vocabulary), mel)
    if initial is not None:
        start_from(model, vocabulary, initial)
    logger.info(
        "%d utterances, %d frames, %d tokens, %d parameters, %.0f s",
        *(len(examples), sum(len(each.frames) for each in examples), len(vocabulary)),
        *(model.num_parameters(), time.monotonic() - started),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=steps + 1, pct_start=0.08
    )
    model.train()
    losses: list[float] = []
    for step, batch in zip(
        range(1, steps + 1), batches(examples, random.Random(seed)), strict=False
    ):
        loss = model(**collate(batch, vocabulary, scaling)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % _LOG_EVERY == 0:
            logger.info("step %d: loss %.3f", step, np.mean(losses[-_LOG_EVERY:]))
        if step % _SAVE_EVERY == 0 or step == steps:
            save(model, vocabulary, mel, scaling, output)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--language", choices=sorted(VOICES), default="en")
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--peak", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--words", type=int, default=40_000, help="whose pronunciation is learned")
    parser.add_argument("--told", type=int, default=1500, help="sentences whose words are, too")
    parser.add_argument("--initial", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    pronunciation, _ = learn(arguments.language, arguments.words, arguments.told, arguments.seed)
    save_pronunciation(pronunciation, arguments.output)
    train(
        arguments.output,
        arguments.language,
        arguments.utterances,
        arguments.steps,
        arguments.peak,
        arguments.seed,
        arguments.initial,
    )


if __name__ == "__main__":
    main()
