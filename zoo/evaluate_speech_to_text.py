"""Word error rate of a speech-to-text checkpoint on held-out sentences in held-out voices.

    python -m zoo.evaluate_speech_to_text --checkpoint model-settings/speech-to-text/embedded
    python -m zoo.evaluate_speech_to_text --checkpoint ... --engine festival

Needs the engine that speaks the sentences, espeak-ng by default. Fails where a transcript from a
padded batch is not that of the utterance alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import torch

from zoo.speech import held_out_utterances, speak
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


@torch.inference_mode()
def transcribe_batch(model: Any, processor: Any, batch: Sequence[Samples]) -> list[str]:
    """The transcripts of mono samples at 16 kHz, computed as one padded batch.

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
    tokens = model(input_features=features, attention_mask=mask).logits.argmax(-1)
    blank = processor.tokenizer.pad_token_id
    transcripts: list[str] = processor.batch_decode(tokens.masked_fill(mask == 0, blank))
    return transcripts


def evaluate(
    checkpoint: Path, utterances: int, seed: int, engine: str = "espeak-ng"
) -> tuple[dict[str, Score], list[tuple[str, str]]]:
    """Scores by voice, and of all utterances under `overall`; and the mistakes: said, heard.

    Raises:
        AssertionError: If a batch gives another transcript than the utterance alone.
        RuntimeError: If the engine is missing.
    """
    from transformers import AutoModelForCTC, AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForCTC.from_pretrained(checkpoint, dtype=torch.float32).eval()
    spoken = held_out_utterances(seed, utterances, engine)
    with multiprocessing.get_context("spawn").Pool(torch.get_num_threads()) as pool:
        audio = pool.map(speak, spoken, chunksize=16)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--engine", choices=ENGINES, default="espeak-ng")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scores, mistakes = evaluate(
        arguments.checkpoint, arguments.utterances, arguments.seed, arguments.engine
    )
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
