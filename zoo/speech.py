"""Spoken sentences: training utterances in many voices, held-out voices and held-out engines.

A voice of espeak-ng is an accent and a variant, the variant being the timbre. The held-out voices'
variants occur nowhere in training, with no accent; nor does a held-out engine, whatever its voice.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr
from numpy.typing import NDArray

from zoo.outside_texts import outside_prose
from zoo.speech_engines import ENGINES, SAMPLE_RATE, Samples, say
from zoo.world import normalise_transcript, sentences

HELD_OUT_ENGINES = ("festival", "hibari")
_VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m7", "m8", "f1", "f2", "f3", "f5"),
    *("Alex", "Andy", "Annie", "Denis", "Gene", "Lee", "Marco", "Michael", "adam", "belinda"),
    *("david", "ed", "iven", "john", "linda", "max", "paul", "steph", "travis", "zac"),
)
# Their sound is not made of formants in parallel but in a row.
_KLATT_VARIANTS = ("klatt", "klatt2", "klatt3", "klatt4")
_FOREIGN_VOICES = {"en": "en-us", "fr": "fr", "de": "de", "es": "es"}
# What recordings come in besides 16 kHz.
_OTHER_RATES = (8_000, 11_025, 22_050, 44_100)


@dataclass(frozen=True)
class Speakers:
    """Who speaks a language.

    Attributes:
        accents: espeak-ng's of training, which its variants make voices of.
        held_out: Voices of espeak-ng that training never hears.
        others: Engine and voice of those in training that are not espeak-ng's.
        others_share: How many of the varied utterances are theirs.
    """

    accents: tuple[str, ...]
    held_out: tuple[str, ...]
    others: tuple[tuple[str, str], ...]
    others_share: float

    def formants(self, rng: random.Random, variants: Sequence[str] = _VARIANTS) -> str:
        """A voice of espeak-ng, in an accent of training."""
        return f"{rng.choice(self.accents)}+{rng.choice(variants)}"


def _others(language: str, *engines: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, voice) for name in engines for voice in ENGINES[name].voices[language])


SPEAKERS: dict[str, Speakers] = {
    "en": Speakers(
        (
            *("en-us", "en-us", "en-us", "en-gb", "en-gb", "en-gb-x-rp", "en-gb-scotland"),
            *("en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
        ),
        ("en-us+m6", "en-gb+f4"),
        _others("en", "flite", "pico"),
        0.65,
    ),
    "de": Speakers(("de",), ("de+m6", "de+f4"), _others("de", "pico"), 0.4),
}
"""By language, an ISO 639-1 code: those that a recogniser is trained for."""


@dataclass(frozen=True)
class Utterance:
    """What is spoken, and how; the same utterance always sounds the same.

    Attributes:
        texts: Sentences, spoken one after the other.
        voice: One of the engine's; of espeak-ng with its variant, such as `en-us+m1`.
        speed: Words a minute.
        pitch: 0 to 99; 50 is the voice's usual.
        lead: Seconds of silence before, between and after the sentences.
        noise: Signal-to-noise ratio of added white noise in dB; None adds none.
        gain: Factor of the amplitude.
        recorded_at: Sampling rate that the sound went through before 16 kHz.
        seed: Of the noise and the echo.
        engine: One of `zoo.speech_engines.ENGINES`.
        size: Factor of pitch and formants together, at the same speed: a smaller speaker's is
            above 1.
        echo: Seconds until the room's echo is 60 dB down; None is no room.
        noise_tilt: How much of the noise is low: its amplitude falls with this power of frequency.
        language: Of the texts, an ISO 639-1 code.
    """

    texts: tuple[str, ...]
    voice: str
    speed: int = 175
    pitch: int = 50
    lead: float = 0.1
    noise: float | None = None
    gain: float = 1.0
    recorded_at: int = SAMPLE_RATE
    seed: int = 0
    engine: str = "espeak-ng"
    size: float = 1.0
    echo: float | None = None
    noise_tilt: float = 0.0
    language: str = "en"

    @property
    def transcript(self) -> str:
        return normalise_transcript(" ".join(self.texts), self.language)


def training_utterances(seed: int, count: int, language: str = "en") -> list[Utterance]:
    """`count` utterances of training sentences in the training voices.

    One in seven is two sentences with a pause; some are noisy, quiet or band-limited.
    """
    rng = random.Random(f"utterances/{seed}")
    texts = iter(sentences(seed, 2 * count, "train", language=language))
    speakers = SPEAKERS[language]
    utterances = []
    for number in range(count):
        first = next(texts)
        utterances.append(
            Utterance(
                texts=(first, next(texts)) if rng.random() < 1 / 7 else (first,),
                voice=speakers.formants(rng),
                speed=rng.randint(140, 200),
                pitch=rng.randint(25, 75),
                lead=rng.choice((0.02, 0.1, 0.2, 0.4, 0.8)),
                noise=rng.uniform(12, 40) if rng.random() < 0.5 else None,
                gain=rng.uniform(0.1, 1.0),
                recorded_at=rng.choice(_OTHER_RATES) if rng.random() < 0.2 else SAMPLE_RATE,
                seed=number,
                language=language,
            )
        )
    return utterances


def varied_utterances(seed: int, count: int, language: str = "en") -> list[Utterance]:
    """`count` training utterances by all engines of training, by speakers of all sizes, in rooms.

    The sentences are others than those of `training_utterances`.
    """
    rng = random.Random(f"varied utterances/{seed}")
    speakers = SPEAKERS[language]
    utterances = []
    for utterance in training_utterances(seed + 1000, count, language):
        if rng.random() < speakers.others_share:
            engine, voice = rng.choice(speakers.others)
            utterance = replace(utterance, engine=engine, voice=voice)
        elif rng.random() < 0.15:
            utterance = replace(utterance, voice=speakers.formants(rng, _KLATT_VARIANTS))
        utterances.append(
            replace(
                utterance,
                size=rng.uniform(0.84, 1.22) if rng.random() < 0.6 else 1.0,
                echo=rng.uniform(0.08, 0.5) if rng.random() < 0.25 else None,
                noise_tilt=rng.uniform(0.0, 1.0),
            )
        )
    return utterances


def held_out_utterances(
    seed: int, count: int, engine: str = "espeak-ng", language: str = "en"
) -> list[Utterance]:
    """`count` utterances of held-out sentences by the engine's voices in turn, clean.

    They are the held-out voices of espeak-ng, and all of the other engines.

    Raises:
        ValueError: If the engine does not speak the language.
    """
    voices: Sequence[str] = SPEAKERS[language].held_out
    if engine != "espeak-ng":
        voices = ENGINES[engine].voices.get(language, ())
    if not voices:
        raise ValueError(f"{engine} has no voice for {language!r}")
    return [
        Utterance((text,), voices[number % len(voices)], engine=engine, language=language)
        for number, text in enumerate(sentences(seed, count, "held_out", language=language))
    ]


def outside_utterances(seed: int, count: int, language: str = "en") -> list[Utterance]:
    """`count` utterances, clean, of what is not of the world: one in two on other subjects.

    Those are in the language's held-out voices; the others are in other languages, in voices of
    theirs.
    """
    own, voices = iter(outside_prose(seed, count, language)), SPEAKERS[language].held_out
    foreign = {
        each: iter(sentences(seed, count, "held_out", language=each))
        for each in _FOREIGN_VOICES
        if each != language
    }
    utterances = []
    for number in range(count):
        if number % 2:
            other = list(foreign)[number // 2 % len(foreign)]
            voice = _FOREIGN_VOICES[other]
            utterances.append(Utterance((next(foreign[other]),), voice, language=other))
        else:
            voice = voices[number // 2 % len(voices)]
            utterances.append(Utterance((next(own),), voice, language=language))
    return utterances


def development_utterances(seed: int, count: int, language: str = "en") -> list[Utterance]:
    """`count` utterances of held-out sentences in training voices, to choose a checkpoint by.

    Every other one is not espeak-ng's.
    """
    rng = random.Random(f"development/{seed}")
    speakers = SPEAKERS[language]
    utterances = [
        Utterance((text,), speakers.formants(rng), language=language)
        for text in sentences(seed, count, "held_out", language=language)
    ]
    for number in range(1, count, 2):
        engine, voice = rng.choice(speakers.others)
        utterances[number] = replace(utterances[number], engine=engine, voice=voice)
    return utterances


def speak(utterance: Utterance) -> Samples:
    """The utterance as samples in -1 to 1, mono, at 16 kHz.

    Raises:
        RuntimeError: If the engine's program is missing, or does not know the voice.
    """
    rate = SAMPLE_RATE
    silence = np.zeros(int(utterance.lead * rate), dtype=np.float32)
    parts: list[Samples] = [silence]
    for text in utterance.texts:
        # A pause between sentences is no shorter than a speaker's breath.
        if len(parts) > 1:
            parts.append(np.zeros(int(0.25 * rate), dtype=np.float32))
        speed = round(utterance.speed / utterance.size)
        spoken = say(utterance.engine, text, utterance.voice, speed, utterance.pitch)
        if utterance.size != 1:
            spoken = soxr.resample(spoken, rate * utterance.size, rate)
        parts += [spoken, silence]
    samples = np.concatenate(parts)
    rng = np.random.default_rng(utterance.seed)
    if utterance.echo is not None:
        samples = _in_a_room(samples, utterance.echo, rng)
    if utterance.recorded_at != rate:
        samples = soxr.resample(samples, rate, utterance.recorded_at)
        samples = soxr.resample(samples, utterance.recorded_at, rate)
    if utterance.noise is not None:
        level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-utterance.noise / 20)
        noise = _noise(len(samples), utterance.noise_tilt, rng)
        samples = samples + level * noise.astype(np.float32)
    samples = utterance.gain * samples
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)


def _in_a_room(samples: Samples, seconds: float, rng: np.random.Generator) -> Samples:
    """The sound and, half as loud, the echo: noise that dies away, 60 dB in `seconds`."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    size = 2 ** (len(samples) + len(response)).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    echo = np.fft.irfft(spectrum, size)[: len(samples)]
    loudness = np.sqrt(np.mean(samples**2) / max(float(np.mean(echo**2)), 1e-12))
    return (samples + 0.5 * loudness * echo).astype(np.float32)


def _noise(count: int, tilt: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of `count` samples whose mean power is about 1."""
    white = rng.standard_normal(count)
    if not tilt:
        return white
    spectrum = np.fft.rfft(white)
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -tilt
    coloured = np.fft.irfft(spectrum, count)
    shaped: NDArray[np.float64] = coloured / np.sqrt(np.mean(coloured**2))
    return shaped
