"""Spoken utterances as a speech-to-text model takes them: features and labels, cached on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.speech import SAMPLE_RATE, Utterance, speak

logger = logging.getLogger(__name__)

DEFAULT_CACHE = Path("zoo/.cache/speech")
_CHUNK = 250
MEL_BINS = 80
# Frames of 10 ms that make one input step: 33 steps a second, about twice as many as letters.
STRIDE = 3
# Those of a language come after those of all, so that these keep their numbers.
_LETTERS = "abcdefghijklmnopqrstuvwxyz'"
_FURTHER_LETTERS = {"en": "", "de": "äöüß"}


@dataclass(frozen=True)
class Example:
    """One utterance.

    Attributes:
        features: float16, [steps, 240]: log-mel frames, normalised over the utterance.
        labels: int64, [letters]: token ids.
        transcript: The text that the labels spell.
    """

    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    transcript: str


def build_processor(language: str = "en") -> Any:
    """The processor that is saved beside the model: log-mel features, and letters as tokens."""
    from transformers import (
        SeamlessM4TFeatureExtractor,
        Wav2Vec2BertProcessor,
        Wav2Vec2CTCTokenizer,
    )

    tokens = ["<pad>", "<unk>", "|", *_LETTERS, *_FURTHER_LETTERS[language]]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.json"
        vocabulary.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        tokenizer = Wav2Vec2CTCTokenizer(
            str(vocabulary),
            bos_token=None,
            eos_token=None,
            unk_token="<unk>",
            pad_token="<pad>",
            word_delimiter_token="|",
        )
    extractor = SeamlessM4TFeatureExtractor(
        feature_size=MEL_BINS, num_mel_bins=MEL_BINS, sampling_rate=SAMPLE_RATE, stride=STRIDE
    )
    return Wav2Vec2BertProcessor(feature_extractor=extractor, tokenizer=tokenizer)


def fast_log_mel(extractor: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `extractor` computes of mono samples, [frames, 80], before it normalises and stacks.

    The extractor loops over frames in Python; all frames at once take a tenth of the time. The
    unit tests hold the two together.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64) * 2**15, 400)
    frames = frames[::160]
    frames = frames - frames.mean(axis=1, keepdims=True)
    emphasised = np.empty_like(frames)
    emphasised[:, 1:] = frames[:, 1:] - 0.97 * frames[:, :-1]
    emphasised[:, 0] = frames[:, 0] * (1 - 0.97)
    spectra = np.abs(np.fft.rfft(emphasised * extractor.window, n=512)) ** 2
    mel = np.log(np.maximum(1.192092955078125e-07, spectra @ extractor.mel_filters))
    features: NDArray[np.float32] = mel.astype(np.float32)
    return features


def load_examples(
    utterances: Sequence[Utterance], cache: Path, *, processes: int = 2
) -> list[Example]:
    """The utterances of one language as examples, in order.

    Those that the cache lacks are spoken by `processes`.

    Raises:
        RuntimeError: If an engine is missing, or does not know a voice.
    """
    (language,) = {utterance.language for utterance in utterances}
    chunks = [list(utterances[i : i + _CHUNK]) for i in range(0, len(utterances), _CHUNK)]
    cache.mkdir(parents=True, exist_ok=True)
    processor = build_processor(language)
    examples = []
    # Forking a process that has run torch threads is unsafe.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        files = pool.imap(partial(_make_chunk, cache=cache), chunks)
        for number, (file, chunk) in enumerate(zip(files, chunks, strict=True), 1):
            with np.load(file) as stored:
                flat, lengths = stored["features"], stored["lengths"]
            ends = np.cumsum(lengths)
            for utterance, end, length in zip(chunk, ends, lengths, strict=True):
                labels = processor.tokenizer(utterance.transcript).input_ids
                examples.append(
                    Example(
                        features=flat[end - length : end],
                        labels=np.array(labels, dtype=np.int64),
                        transcript=utterance.transcript,
                    )
                )
            if number % 4 == 0 or number == len(chunks):
                logger.info("%d of %d utterances are spoken", len(examples), len(utterances))
    return examples


def _make_chunk(chunk: list[Utterance], cache: Path) -> Path:
    key = hashlib.sha256(f"{STRIDE}/{MEL_BINS}/{chunk}".encode()).hexdigest()[:24]
    file = cache / f"{key}.npz"
    if not file.exists():
        extractor = build_processor().feature_extractor
        extractor._extract_fbank_features = partial(fast_log_mel, extractor)
        parts = []
        for utterance in chunk:
            made = extractor(speak(utterance), sampling_rate=SAMPLE_RATE, return_tensors="np")
            steps = int(made.attention_mask.sum())
            parts.append(made.input_features[0, :steps].astype(np.float16))
        # Renamed when whole: an interrupted run leaves no half file.
        partial_file = file.with_suffix(".partial.npz")
        np.savez(
            partial_file, features=np.concatenate(parts), lengths=[len(part) for part in parts]
        )
        partial_file.replace(file)
    return file
