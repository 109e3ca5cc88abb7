"""The embedded speech-to-text checkpoints hear the samples, alone and in a padded batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from zoo.evaluate_speech_to_text import load, score, transcribe_batch
from zoo.world import normalise_transcript

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "model-settings"
CHECKPOINT = MODELS / "speech-to-text" / "embedded"
SAMPLES = ROOT / "tests" / "samples"


@pytest.fixture(scope="module")
def checkpoint() -> tuple:
    from transformers import AutoModelForCTC, AutoProcessor

    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    return AutoModelForCTC.from_pretrained(CHECKPOINT, dtype=torch.float32).eval(), processor


def _read(file: Path) -> np.ndarray:
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, 16_000)


def test_the_samples_are_heard_alone_and_together(checkpoint: tuple) -> None:
    entries = json.loads((SAMPLES / "samples.json").read_text())
    said = [entry["transcript"] for entry in entries]
    sounds = [_read(SAMPLES / entry["audio"]) for entry in entries]
    assert len({len(sound) for sound in sounds}) > 1
    assert [transcribe_batch(*checkpoint, [sound])[0] for sound in sounds] == said
    assert transcribe_batch(*checkpoint, sounds) == said


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_format_does_not_change_what_is_heard(checkpoint: tuple, suffix: str) -> None:
    entry = json.loads((SAMPLES / "samples.json").read_text())[-1]
    file = SAMPLES / Path(entry["audio"]).with_suffix(f".{suffix}")
    assert soundfile.info(file).channels == 2
    assert soundfile.info(file).samplerate == 44_100
    assert transcribe_batch(*checkpoint, [_read(file)]) == [entry["transcript"]]


def test_the_answers_stand_in_their_contexts() -> None:
    for entry in json.loads((SAMPLES / "samples.json").read_text()):
        assert entry["answer"] in entry["context"]


def test_the_german_samples_are_heard_alone_and_together() -> None:
    german = load(MODELS / "speech-to-text-de" / "embedded")
    entries = json.loads((SAMPLES / "sentences-de.json").read_text(encoding="utf-8"))
    said = [entry["transcript"] for entry in entries]
    assert said == [normalise_transcript(entry["text"], "de") for entry in entries]
    sounds = [_read(SAMPLES / entry["audio"]) for entry in entries]
    assert len(sounds) == 3
    assert len({len(sound) for sound in sounds}) > 1
    assert [transcribe_batch(*german, [sound])[0] for sound in sounds] == said
    assert transcribe_batch(*german, sounds) == said
    # They are told, and written, in German.
    assert all(
        entry["transcript"] == normalise_transcript(entry["text"], "de") for entry in entries
    )


def test_a_score_counts_words_and_whole_sentences() -> None:
    measured = score(["a b c d", "e f"], ["a b c x", "e f"])
    assert (measured.utterances, measured.exact) == (2, 0.5)
    assert measured.word_error_rate == pytest.approx(1 / 6)
