"""Spoken sentences as a text-to-speech model learns from them: phonemes, durations and frames."""

from __future__ import annotations

import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from infergraph.tasks.speech.spectrogram import MelSpectrogram
from zoo.espeak import Espeak, Misaligned, Phone
from zoo.outside_texts import english_prose
from zoo.speech_engines import Samples
from zoo.world import sentences

MARKS = ",.?!:;"
"""Punctuation that is a token of its own, the pause that it makes."""
BETWEEN_WORDS = " "
GLOTTAL_STOP = "\N{LATIN LETTER GLOTTAL STOP}"
_LONGEST = 12
_LOWEST, _HIGHEST = 60, 400
_VOICED = 0.5


@dataclass(frozen=True)
class Voice:
    """A voice of espeak-ng, and how it speaks.

    Attributes:
        name: espeak-ng's.
        language: Its ISO 639-1 code.
        speed: Words a minute.
        pitch: 0 to 99.
    """

    name: str
    language: str
    speed: int = 160
    pitch: int = 50


VOICES = {"en": Voice("en-us", "en"), "de": Voice("de", "de")}


@dataclass(frozen=True)
class Example:
    """One spoken text.

    Attributes:
        text: What was spoken.
        tokens: Phonemes, `BETWEEN_WORDS` and `MARKS`.
        durations: int64 [tokens]: frames of each.
        frames: float16 [frames, 80]: log-mel, not normalised.
        pitch: float32 [tokens]: mean logarithm of the fundamental frequency in Hz; 0 is unvoiced.
        energy: float32 [tokens]: mean of the frames' bands.
    """

    text: str
    tokens: tuple[str, ...]
    durations: NDArray[np.int64]
    frames: NDArray[np.float16]
    pitch: NDArray[np.float32]
    energy: NDArray[np.float32]


def training_texts(seed: int, count: int, language: str) -> list[str]:
    """`count` texts to speak: half are the world's, the others have other words and numbers.

    Raises:
        ValueError: the world is not told in that language.
    """
    rng = random.Random(f"text to speech/{language}/{seed}")
    told = iter(sentences(seed, 2 * count, "train", language=language))
    prose = iter(english_prose(seed, count, "train") if language == "en" else [])
    texts = []
    for _ in range(count):
        drawn = rng.random()
        if drawn < 0.6:
            texts.append(next(told))
        elif drawn < 0.7:
            texts.append(_counted(rng))
        elif drawn < 0.85 and language == "en":
            texts.append(" ".join(next(prose).split()[:_LONGEST]))
        else:
            # Phonemes beside others than the world's words put them.
            words = " ".join(next(told) for _ in range(2)).rstrip(".?!").split()
            texts.append(" ".join(rng.sample(words, min(len(words), rng.randint(3, 7)))) + ".")
    return texts


def _counted(rng: random.Random) -> str:
    """Numbers of all sizes."""
    return ", ".join(
        str(rng.randrange(10 ** rng.randint(1, 6))) for _ in range(rng.randint(1, 2))
    ) + rng.choice(".?")


def speak(texts: Iterable[str], voice: Voice, mel: MelSpectrogram) -> list[Example]:
    """The texts, spoken; those left out whose marks of stress are not known.

    Raises:
        RuntimeError: espeak-ng is missing.
    """
    espeak = Espeak(voice.name, voice.speed, voice.pitch)
    examples = []
    for text in texts:
        with contextlib.suppress(Misaligned):
            examples.append(example(text, *espeak.speak(text), espeak.sample_rate, mel))
    return examples


def example(
    text: str, sound: Samples, phones: Sequence[Phone], rate: int, mel: MelSpectrogram
) -> Example:
    """What is learned from a text, its sound at `rate` Hz and its phonemes."""
    samples = soxr.resample(sound, rate, mel.sampling_rate)
    frames = mel(torch.from_numpy(samples)).numpy()
    tokens, starts = tokens_of(text, phones)
    edges = np.round(np.array(starts) / rate * mel.sampling_rate / mel.hop_length).astype(np.int64)
    edges = np.append(np.minimum(edges, len(frames)), len(frames))
    edges[0] = 0
    tone = _log_pitch(samples, mel)[: len(frames)]
    loud = frames.mean(axis=1)
    pitch, energy = np.zeros((2, len(tokens)), np.float32)
    for row, (start, end) in enumerate(pairwise(edges)):
        if end > start:
            voiced = tone[start:end][tone[start:end] > 0]
            pitch[row] = voiced.mean() if len(voiced) else 0
            energy[row] = loud[start:end].mean()
    return Example(text, tuple(tokens), np.diff(edges), frames.astype(np.float16), pitch, energy)


def tokens_of(text: str, phones: Sequence[Phone]) -> tuple[list[str], list[int]]:
    """The tokens of a text that was spoken, and the samples at which they begin."""
    tokens: list[str] = []
    starts: list[int] = []
    word = -1
    for number, phone in enumerate(phones):
        if phone.ends_clause:
            if tokens and tokens[-1] not in MARKS:
                following = next((p.word for p in phones[number:] if p.phoneme), len(text))
                marks = [mark for mark in text[max(word, 0) : following] if mark in MARKS]
                tokens.append(marks[-1] if marks else ",")
                starts.append(phone.start)
            continue
        if not phone.phoneme and phone.word == word:
            # It belongs to the sound that it follows.
            continue
        if phone.word != word and tokens and tokens[-1] not in MARKS:
            tokens.append(BETWEEN_WORDS)
            starts.append(phone.start)
        word = phone.word
        tokens.append(phone.phoneme or GLOTTAL_STOP)
        starts.append(phone.start)
    return tokens, starts


def _log_pitch(samples: Samples, mel: MelSpectrogram) -> NDArray[np.float32]:
    """The logarithm of each frame's fundamental frequency; 0 where it has none."""
    # Half the rate is enough for a voice's lowest tone.
    size, rate = 512, mel.sampling_rate // 2
    padded = np.pad(samples[::2], (size // 2, size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: mel.hop_length // 2]
    windows = windows * np.hanning(size).astype(np.float32)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(windows, 2 * size)) ** 2)
    shortest, longest = rate // _HIGHEST, rate // _LOWEST
    lags = correlation[:, shortest:longest] / np.maximum(correlation[:, :1], 1e-3)
    best = lags.argmax(axis=1)
    tone = np.log(rate / (best + shortest))
    return np.where(lags.max(axis=1) > _VOICED, tone, 0).astype(np.float32)


def pronunciations(texts: Iterable[str], voice: Voice) -> dict[str, tuple[str, ...]]:
    """Each word of the texts, in lower case, with the phonemes that it most often has there."""
    espeak = Espeak(voice.name, voice.speed, voice.pitch)
    heard: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for text in texts:
        try:
            _, phones = espeak.speak(text)
        except Misaligned:
            continue
        spoken: dict[int, list[str]] = defaultdict(list)
        for phone in phones:
            if (
                not phone.ends_clause
                and phone.word >= 0
                and (phone.phoneme or not spoken[phone.word])
            ):
                spoken[phone.word].append(phone.phoneme or GLOTTAL_STOP)
        for start, phonemes in spoken.items():
            word = text[start:].split()[0].strip(MARKS + '"()').lower()
            if word and phonemes:
                heard[word][tuple(phonemes)] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in sorted(heard.items())}
