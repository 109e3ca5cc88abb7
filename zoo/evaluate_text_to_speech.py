"""How well a text-to-speech checkpoint speaks: what our recogniser hears, and how like its teacher.

    python -m zoo.evaluate_text_to_speech --checkpoint model-settings/text-to-speech/embedded
    python -m zoo.evaluate_text_to_speech --checkpoint ... --language de

Needs espeak-ng.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from infergraph.tasks.speech.pronunciation import Pronunciation
from infergraph.tasks.speech.spectrogram import MelSpectrogram
from infergraph.tasks.speech.spellers import PhonemeSpeller
from infergraph.tasks.speech.synthesizers import FastSpeech2
from infergraph.tasks.speech.vocoders import GriffinLim, Samples
from infergraph.tasks.speech.voice_activity import without_silence
from infergraph.tasks.speech_to_text import SpeechToTextOptions
from zoo.espeak import Espeak
from zoo.evaluate_speech_to_text import SAMPLE_RATE, load, transcribe_batch
from zoo.text_to_speech_data import VOICES, Voice
from zoo.world import normalise_transcript, sentences

RECOGNIZERS = {
    "en": Path("model-settings/speech-to-text/embedded"),
    "de": Path("model-settings/speech-to-text-de/embedded"),
}
"""By language."""
_SILENCE = 0.2
_RUNTIME = SpeechToTextOptions()


class Spoken:
    """A checkpoint that speaks, without a server.

    Attributes:
        rate: Samples a second.
    """

    def __init__(self, checkpoint: Path) -> None:
        from transformers import FastSpeech2ConformerModel

        folder = str(checkpoint)
        network = FastSpeech2ConformerModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._pronunciation = Pronunciation.load(folder)
        self._speller = PhonemeSpeller(folder, self._pronunciation)
        self._synthesizer = FastSpeech2(network)
        self._vocoder = GriffinLim(folder)
        self.rate = self._vocoder.sampling_rate

    @torch.inference_mode()
    def stretches(self, text: str) -> Iterator[Samples]:
        """The sound as a stream has it: about a second after the other."""
        for tokens in self._speller(text):
            (frames,) = self._synthesizer([tokens], [1.0])
            stretches = self._vocoder.begin(frames)
            while (sound := stretches.next()) is not None:
                yield sound


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The mean distance of frames on the cheapest path through both, in nepers.

    Args:
        one: float32 [frames, bins] of log-mel.
        other: float32 [frames, bins].
    """
    apart = np.abs(one[:, None] - other[None]).mean(axis=2)
    costs = np.full((len(one) + 1, len(other) + 1), np.inf)
    steps = np.zeros(costs.shape, np.int64)
    costs[0, 0] = 0
    for row in range(1, len(one) + 1):
        for column in range(1, len(other) + 1):
            before = [
                (costs[row - 1, column - 1], steps[row - 1, column - 1]),
                (costs[row - 1, column], steps[row - 1, column]),
                (costs[row, column - 1], steps[row, column - 1]),
            ]
            cost, count = min(before)
            costs[row, column] = cost + apart[row - 1, column - 1]
            steps[row, column] = count + 1
    return float(costs[-1, -1] / steps[-1, -1])


def _within_silence(sound: Samples) -> Samples:
    """What the runtime gives a recogniser of a sound at 16 kHz."""
    loud, rise = _RUNTIME.silence_dbfs, _RUNTIME.speech_rise_db
    return without_silence(sound, SAMPLE_RATE, loud, rise, fill=True)


def evaluate(
    checkpoint: Path, texts: Sequence[str], voice: Voice, compared: int
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Scores of the texts, and what the recogniser of their language heard otherwise.

    Args:
        checkpoint: A folder.
        texts: What is spoken.
        voice: The teacher's.
        compared: How many of them are compared with the teacher's.

    `real-time factor` is processor time for a second of sound, and `first audio after` the share of
    a sentence's time when the first part of its sound is there.
    """
    speak = Spoken(checkpoint)
    _ = list(speak.stretches(texts[0]))
    silence = np.zeros(round(_SILENCE * speak.rate), np.float32)
    sounds: list[Samples] = []
    seconds, until_first = 0.0, []
    for text in texts:
        parts, times = [silence], [time.process_time()]
        for part in speak.stretches(text):
            parts.append(part)
            times.append(time.process_time())
        sounds.append(np.concatenate([*parts, silence]))
        seconds += times[-1] - times[0]
        until_first.append((times[1] - times[0]) / (times[-1] - times[0]))
    scores = {
        "sentences": float(len(texts)),
        "real-time factor": seconds * speak.rate / sum(map(len, sounds)),
        "first audio after": float(np.mean(until_first)),
    }
    model, processor = load(RECOGNIZERS[voice.language])
    said = [normalise_transcript(text, voice.language) for text in texts]
    heard = [transcribe_batch(model, processor, [_within_silence(each)])[0] for each in sounds]
    scores["word error rate"] = jiwer.wer(said, heard)
    scores["exact"] = sum(a == b for a, b in zip(said, heard, strict=True)) / len(said)
    mistakes = [pair for pair in zip(said, heard, strict=True) if pair[0] != pair[1]]
    teacher = Espeak(voice.name, voice.speed, voice.pitch)
    mel = MelSpectrogram()
    apart, longer = [], []
    for text, sound in list(zip(texts, sounds, strict=True))[:compared]:
        taught, _ = teacher.speak(text)
        taught = soxr.resample(taught, teacher.sample_rate, mel.sampling_rate)
        spoken = sound[len(silence) : -len(silence)]
        frames = [mel(torch.from_numpy(each)).numpy() for each in (taught, spoken)]
        apart.append(distance(*frames))
        longer.append(abs(len(spoken) / len(taught) - 1))
    if apart:
        scores["distance to the teacher"] = float(np.mean(apart))
        scores["duration off by"] = float(np.mean(longer))
    return scores, mistakes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--language", choices=sorted(VOICES), default="en")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--compared", type=int, default=20, help="with the teacher's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    texts = sentences(arguments.seed, arguments.sentences, "held_out", language=arguments.language)
    scores, mistakes = evaluate(
        arguments.checkpoint, texts, VOICES[arguments.language], arguments.compared
    )
    if arguments.json:
        print(json.dumps(scores))
        return
    for said, heard in mistakes:
        print(f"said  {said}\nheard {heard}")
    for name, score in scores.items():
        print(f"{name:24} {score:.4f}")


if __name__ == "__main__":
    main()
