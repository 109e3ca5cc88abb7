"""Word error rate of a speech-to-text checkpoint on held-out sentences in held-out voices.

    python -m zoo.evaluate_speech_to_text --checkpoint model-settings/speech-to-text/embedded
    python -m zoo.evaluate_speech_to_text --checkpoint ... --engine festival
    python -m zoo.evaluate_speech_to_text --checkpoint ... --outside
    python -m zoo.evaluate_speech_to_text --checkpoint ... --language de

Needs the engine that speaks the sentences, espeak-ng by default. Fails where a transcript from a
padded batch is not that of the utterance alone. With `--outside` it says what scores mean, in the
world and for other subjects and languages.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch

from infergraph.tasks.speech.recognizers import (
    MIN_SCORE_OF_LETTERS,
    CtcRecognizer,
    Transcript,
)
from infergraph.tasks.text.language_model import read_language_model
from zoo.calibration import auroc, expected_calibration_error, false_accepts
from zoo.speech import SPEAKERS, Utterance, held_out_utterances, outside_utterances, speak
from zoo.speech_engines import ENGINES, SAMPLE_RATE, Samples

# The training script chooses its checkpoint by sentences of seed 0.
DEFAULT_SEED = 1
_BATCH = 8


@dataclass(frozen=True)
class Score:
    """How well utterances were heard: word error rate and share of sentences without an error."""

    utterances: int
    word_error_rate: float
    exact: float


def score(references: Sequence[str], transcripts: Sequence[str]) -> Score:
    """The score of `transcripts` of what was said, `references`; neither may be empty."""
    pairs = list(zip(references, transcripts, strict=True))
    return Score(
        utterances=len(pairs),
        word_error_rate=jiwer.wer(list(references), list(transcripts)),
        exact=sum(said == heard for said, heard in pairs) / len(pairs),
    )


def recognizer_of(model: Any, processor: Any) -> CtcRecognizer:
    """The runtime's recognizer, which drops no text; with the checkpoint's language model."""
    language = read_language_model(Path(model.config.name_or_path))
    return CtcRecognizer(model, processor.tokenizer, {"min_score": 0.0}, language)


@torch.inference_mode()
def hear_batch(model: Any, processor: Any, batch: Sequence[Samples]) -> list[Transcript]:
    """What the runtime's recognizer hears in mono samples at 16 kHz, computed as one padded batch.

    Features are extracted from each clip alone: the extractor joins three frames into one step,
    and, given several clips, may count one step more of the shorter ones than of the clip alone.
    """
    clips = []
    for samples in batch:
        made = processor(audio=samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        clips.append(made["input_features"][0, : int(made["attention_mask"].sum())])
    lengths = torch.tensor([len(clip) for clip in clips])
    features = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    mask = (torch.arange(features.shape[1]) < lengths[:, None]).long()
    recognizer = recognizer_of(model, processor)
    seconds = [len(samples) / SAMPLE_RATE for samples in batch]
    return recognizer({"input_features": features, "attention_mask": mask}, lengths, seconds)


def transcribe_batch(model: Any, processor: Any, batch: Sequence[Samples]) -> list[str]:
    """The texts that `hear_batch` hears."""
    return [transcript.text for transcript in hear_batch(model, processor, batch)]


def load(checkpoint: Path) -> tuple[Any, Any]:
    """A checkpoint's model and processor."""
    from transformers import AutoModelForCTC, AutoProcessor

    model = AutoModelForCTC.from_pretrained(checkpoint, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(checkpoint)


def _spoken(utterances: Sequence[Utterance]) -> list[Samples]:
    with multiprocessing.get_context("spawn").Pool(torch.get_num_threads()) as pool:
        return pool.map(speak, utterances, chunksize=16)


def evaluate(
    checkpoint: Path, utterances: int, seed: int, engine: str = "espeak-ng", language: str = "en"
) -> tuple[dict[str, Score], list[tuple[str, str]]]:
    """Scores by voice, and of all utterances under `overall`; and the mistakes: said, heard.

    Raises:
        AssertionError: If a batch gives another transcript than the utterance alone.
        RuntimeError: If the engine is missing.
        ValueError: If the engine does not speak the language.
    """
    model, processor = load(checkpoint)
    spoken = held_out_utterances(seed, utterances, engine, language)
    audio = _spoken(spoken)
    alone = [transcribe_batch(model, processor, [samples])[0] for samples in audio]
    batched: list[str] = []
    for start in range(0, len(audio), _BATCH):
        batched += transcribe_batch(model, processor, audio[start : start + _BATCH])
    for one, many in zip(alone, batched, strict=True):
        if one != many:
            raise AssertionError(f"alone {one!r}, in a padded batch {many!r}")
    said = [utterance.transcript for utterance in spoken]
    scores = {}
    for voice in dict.fromkeys(utterance.voice for utterance in spoken):
        rows = [i for i, utterance in enumerate(spoken) if utterance.voice == voice]
        scores[voice] = score([said[i] for i in rows], [alone[i] for i in rows])
    scores["overall"] = score(said, alone)
    mistakes = [pair for pair in zip(said, alone, strict=True) if pair[0] != pair[1]]
    return scores, mistakes


def report_scores(
    checkpoint: Path, utterances: int, seed: int, engine: str = "espeak-ng", language: str = "en"
) -> dict[str, float]:
    """What the scores mean: of held-out sentences by `engine`, and of as many from outside.

    `calibration error` is how far scores are from the share of sentences without an error, and
    `dropped` the share whose score is too low for the runtime to give a text.

    Raises:
        RuntimeError: If an engine is missing.
        ValueError: If the engine does not speak the language.
    """
    model, processor = load(checkpoint)
    spoken = [
        *held_out_utterances(seed, utterances, engine, language),
        *outside_utterances(seed, utterances, language),
    ]
    heard = [hear_batch(model, processor, [samples])[0] for samples in _spoken(spoken)]
    scores = np.array([math.exp(each.log_probability) for each in heard])
    inside, outside = scores[:utterances], scores[utterances:]
    right = [
        utterance.transcript == each.text
        for utterance, each in zip(spoken[:utterances], heard, strict=False)
    ]
    return {
        "calibration error": expected_calibration_error(inside, right),
        "mean score": float(inside.mean()),
        "mean score outside": float(outside.mean()),
        "dropped": float((inside < MIN_SCORE_OF_LETTERS).mean()),
        "dropped outside": float((outside < MIN_SCORE_OF_LETTERS).mean()),
        "auroc": auroc(inside, outside),
        "false accepts": false_accepts(inside, outside),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--language", choices=sorted(SPEAKERS), default="en")
    parser.add_argument("--engine", choices=ENGINES, default="espeak-ng")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--outside", action="store_true", help="say what the scores mean, and outside of the world"
    )
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    drawn = (
        *(arguments.checkpoint, arguments.utterances, arguments.seed),
        *(arguments.engine, arguments.language),
    )
    if arguments.outside:
        numbers = report_scores(*drawn)
        if arguments.json:
            print(json.dumps(numbers))
            return
        for name, number in numbers.items():
            print(f"{name:22} {number:.4f}")
        return
    scores, mistakes = evaluate(*drawn)
    if arguments.json:
        print(json.dumps({voice: vars(entry) for voice, entry in scores.items()}))
        return
    for reference, transcript in mistakes:
        print(f"said  {reference}\nheard {transcript}")
    for voice, entry in scores.items():
        print(
            f"{voice:22} {entry.utterances:4} utterances  "
            f"WER {entry.word_error_rate:6.2%}  exact {entry.exact:6.1%}"
        )


if __name__ == "__main__":
    main()
