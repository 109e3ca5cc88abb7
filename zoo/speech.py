"""Sentences spoken by espeak-ng: training utterances in many voices, and two held-out voices.

A voice is an accent and a variant, the variant being the timbre. The held-out voices' variants
occur nowhere in training, with no accent.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from zoo.world import normalise_transcript, sentences

SAMPLE_RATE = 16_000

HELD_OUT_VOICES = ("en-us+m6", "en-gb+f4")
_ACCENTS = (
    "en-us",
    "en-us",
    "en-us",
    "en-gb",
    "en-gb",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
_VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m7", "m8", "f1", "f2", "f3", "f5"),
    *("Alex", "Andy", "Annie", "Denis", "Gene", "Lee", "Marco", "Michael", "adam", "belinda"),
    *("david", "ed", "iven", "john", "linda", "max", "paul", "steph", "travis", "zac"),
)
# What recordings come in besides 16 kHz.
_OTHER_RATES = (8_000, 11_025, 22_050, 44_100)

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """What is spoken, and how; the same utterance always sounds the same.

    Attributes:
        texts: Sentences, spoken one after the other.
        voice: An espeak-ng voice with its variant, such as `en-us+m1`.
        speed: Words a minute.
        pitch: 0 to 99; espeak-ng's usual is 50.
        lead: Seconds of silence before, between and after the sentences.
        noise: Signal-to-noise ratio of added white noise in dB; None adds none.
        gain: Factor of the amplitude.
        recorded_at: Sampling rate that the sound went through before 16 kHz.
        seed: Of the noise.
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

    @property
    def transcript(self) -> str:
        return normalise_transcript(" ".join(self.texts))


def training_utterances(seed: int, count: int) -> list[Utterance]:
    """`count` utterances of training sentences in the training voices.

    One in seven is two sentences with a pause; some are noisy, quiet or band-limited.
    """
    rng = random.Random(f"utterances/{seed}")
    texts = iter(sentences(seed, 2 * count, "train"))
    utterances = []
    for number in range(count):
        first = next(texts)
        utterances.append(
            Utterance(
                texts=(first, next(texts)) if rng.random() < 1 / 7 else (first,),
                voice=f"{rng.choice(_ACCENTS)}+{rng.choice(_VARIANTS)}",
                speed=rng.randint(140, 200),
                pitch=rng.randint(25, 75),
                lead=rng.choice((0.02, 0.1, 0.2, 0.4, 0.8)),
                noise=rng.uniform(12, 40) if rng.random() < 0.5 else None,
                gain=rng.uniform(0.1, 1.0),
                recorded_at=rng.choice(_OTHER_RATES) if rng.random() < 0.2 else SAMPLE_RATE,
                seed=number,
            )
        )
    return utterances


def held_out_utterances(seed: int, count: int) -> list[Utterance]:
    """`count` utterances of held-out sentences by the held-out voices in turn, clean."""
    return [
        Utterance(texts=(text,), voice=HELD_OUT_VOICES[number % len(HELD_OUT_VOICES)])
        for number, text in enumerate(sentences(seed, count, "held_out"))
    ]


def development_utterances(seed: int, count: int) -> list[Utterance]:
    """`count` utterances of held-out sentences in training voices, to choose a checkpoint by."""
    rng = random.Random(f"development/{seed}")
    return [
        Utterance(texts=(text,), voice=f"{rng.choice(_ACCENTS)}+{rng.choice(_VARIANTS)}")
        for text in sentences(seed, count, "held_out")
    ]


def speak(utterance: Utterance) -> Samples:
    """The utterance as samples in -1 to 1, mono, at 16 kHz.

    Raises:
        RuntimeError: If espeak-ng is missing, or does not know the voice.
    """
    rate = SAMPLE_RATE
    silence = np.zeros(int(utterance.lead * rate), dtype=np.float32)
    parts: list[Samples] = [silence]
    for text in utterance.texts:
        # A pause between sentences is no shorter than a speaker's breath.
        if len(parts) > 1:
            parts.append(np.zeros(int(0.25 * rate), dtype=np.float32))
        parts += [_espeak(text, utterance.voice, utterance.speed, utterance.pitch), silence]
    samples = np.concatenate(parts)
    if utterance.recorded_at != rate:
        samples = soxr.resample(samples, rate, utterance.recorded_at)
        samples = soxr.resample(samples, utterance.recorded_at, rate)
    if utterance.noise is not None:
        level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-utterance.noise / 20)
        noise = np.random.default_rng(utterance.seed).standard_normal(len(samples))
        samples = samples + level * noise.astype(np.float32)
    samples = utterance.gain * samples
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)


def _espeak(text: str, voice: str, speed: int, pitch: int) -> Samples:
    program = shutil.which("espeak-ng")
    if program is None:
        raise RuntimeError("espeak-ng is not on the PATH: install the package espeak-ng")
    command = [program, "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), "--", text]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise RuntimeError(f"espeak-ng with voice {voice!r} failed: {done.stderr.decode().strip()}")
    # A WAV header that was written before the length was known: 44 bytes, then 16-bit samples.
    rate = int.from_bytes(done.stdout[24:28], "little")
    samples = np.frombuffer(done.stdout[44:], dtype="<i2").astype(np.float32) / 32768
    resampled: Samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return resampled
