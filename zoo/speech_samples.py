"""The spoken samples that tests and the demonstration use, in tests/samples/.

    python -m zoo.speech_samples --checkpoint model-settings/speech-to-text/embedded
    python -m zoo.speech_samples --language de \\
        --checkpoint model-settings/speech-to-text-de/embedded

Questions of held-out people in held-out voices; the last one also in other formats, at 44.1 kHz in
stereo. `long.flac` is several sentences with pauses; `review-*` are reviews with their sentiment,
`sentence-*` sentences with their German, and `article-*` articles with their summaries. In German
there are `sentence-de-*` alone, with their English. The samples
show what the checkpoint can do, so they are utterances that it hears rightly; its scores are in its
model card.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch

from zoo.articles import articles
from zoo.evaluate_speech_to_text import transcribe_batch
from zoo.speech import SPEAKERS, Utterance, speak
from zoo.speech_engines import SAMPLE_RATE, Samples
from zoo.world import (
    QuestionExample,
    normalise_transcript,
    parallel,
    questions,
    reviews,
    sentences,
)

_SEED = 7
_VOICES = SPEAKERS["en"].held_out
_QUESTIONS = 4
_REVIEWS = 4
_SENTENCES = 3
_ARTICLES = 3
_STEREO_RATE = 44_100
_LONG_SENTENCES = 13
_PAUSE_SECONDS = 0.7


def _fits(example: QuestionExample) -> bool:
    return bool(example.answer) and 3 <= example.context.count(". ") + 1 <= 6


def _write_questions(model: Any, processor: Any, folder: Path) -> None:
    entries: list[dict[str, str]] = []
    used: set[str] = set()
    for example in filter(_fits, questions(_SEED, 400, "held_out")):
        # Another kind of question about another name each time.
        first, second, *words = example.question.rstrip("?").removesuffix("'s").split()
        topics = {f"{first} {second}", *(word for word in words if word[0].isupper())}
        voice = _VOICES[len(entries) % len(_VOICES)]
        samples = speak(Utterance((example.question,), voice, lead=0.2))
        transcript = normalise_transcript(example.question)
        if topics & used or transcribe_batch(model, processor, [samples]) != [transcript]:
            continue
        used |= topics
        name = f"question-{len(entries) + 1}"
        if len(entries) + 1 < _QUESTIONS:
            _write(folder / f"{name}.wav", samples, SAMPLE_RATE)
        else:
            mono = soxr.resample(samples, SAMPLE_RATE, _STEREO_RATE)
            for suffix in (".wav", ".flac", ".ogg", ".mp3"):
                _write(folder / (name + suffix), np.stack([mono, 0.5 * mono], 1), _STEREO_RATE)
        entries.append(
            {
                "audio": f"{name}.wav",
                "transcript": transcript,
                "question": example.question,
                "context": example.context,
                "answer": example.answer,
            }
        )
        if len(entries) == _QUESTIONS:
            break
    (folder / "samples.json").write_text(json.dumps(entries, indent=2) + "\n")


def _write_reviews(model: Any, processor: Any, folder: Path) -> None:
    entries: list[dict[str, str]] = []
    labels = itertools.cycle(("positive", "negative"))
    wanted = next(labels)
    for text, label in reviews(_SEED, 200, "held_out"):
        if label != wanted:
            continue
        name = f"review-{len(entries) + 1}.wav"
        if entry := _spoken(name, text, len(entries), model, processor, folder):
            entries.append({**entry, "label": label})
            wanted = next(labels)
        if len(entries) == _REVIEWS:
            break
    (folder / "reviews.json").write_text(json.dumps(entries, indent=2) + "\n")


def _write_sentences(
    model: Any, processor: Any, folder: Path, language: str = "en", other: str = "de"
) -> None:
    """Sentences of a language with what they are in the other one."""
    kept = "" if language == "en" else f"-{language}"
    entries: list[dict[str, str]] = []
    endings = itertools.cycle(".?")
    wanted = next(endings)
    for text, translation in parallel(_SEED, 200, "held_out", language, other):
        if not text.endswith(wanted):
            continue
        name = f"sentence{kept}-{len(entries) + 1}.wav"
        if entry := _spoken(name, text, len(entries), model, processor, folder, language):
            entries.append({**entry, other: translation})
            wanted = next(endings)
        if len(entries) == _SENTENCES:
            break
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    (folder / f"sentences{kept}.json").write_text(text + "\n", encoding="utf-8")


def _write_articles(model: Any, processor: Any, folder: Path) -> None:
    entries: list[dict[str, str]] = []
    for article in articles(_SEED, 200, "held_out", most_sentences=5):
        name = f"article-{len(entries) + 1}.flac"
        if entry := _spoken(name, article.text, len(entries), model, processor, folder):
            entries.append({**entry, "summary": normalise_transcript(article.summary)})
        if len(entries) == _ARTICLES:
            break
    (folder / "articles.json").write_text(json.dumps(entries, indent=2) + "\n")


def _spoken(
    name: str,
    text: str,
    turn: int,
    model: Any,
    processor: Any,
    folder: Path,
    language: str = "en",
) -> dict[str, str] | None:
    """Writes a text's sentences as audio, by one voice after the other; None if misheard."""
    voices = SPEAKERS[language].held_out
    parts = tuple(re.split(r"(?<=\.) ", text))
    samples = speak(Utterance(parts, voices[turn % len(voices)], lead=0.2))
    transcript = normalise_transcript(text, language)
    if transcribe_batch(model, processor, [samples]) != [transcript]:
        return None
    _write(folder / name, samples, SAMPLE_RATE)
    return {"audio": name, "transcript": transcript, "text": text}


def _write_long(model: Any, processor: Any, folder: Path) -> None:
    parts: list[Samples] = []
    transcripts: list[str] = []
    pause = np.zeros(int(_PAUSE_SECONDS * SAMPLE_RATE), dtype=np.float32)
    for text in sentences(_SEED, 200, "held_out"):
        samples = speak(Utterance((text,), _VOICES[0], lead=0.05))
        transcript = normalise_transcript(text)
        if transcribe_batch(model, processor, [samples]) == [transcript]:
            parts += [samples, pause]
            transcripts.append(transcript)
        if len(transcripts) == _LONG_SENTENCES:
            break
    _write(folder / "long.flac", np.concatenate(parts[:-1]), SAMPLE_RATE)
    (folder / "long.txt").write_text(" ".join(transcripts) + "\n")


def _write(file: Path, samples: Samples, rate: int) -> None:
    # Containers other than WAV and FLAC choose their own sample format.
    subtype = "PCM_16" if file.suffix in (".wav", ".flac") else None
    soundfile.write(file, samples, rate, subtype=subtype)


def main() -> None:
    from transformers import AutoModelForCTC, AutoProcessor

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--language", choices=sorted(SPEAKERS), default="en")
    parser.add_argument("--output", type=Path, default=Path("tests/samples"))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    processor = AutoProcessor.from_pretrained(arguments.checkpoint)
    model = AutoModelForCTC.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.language != "en":
        _write_sentences(model, processor, arguments.output, arguments.language, "en")
        return
    _write_questions(model, processor, arguments.output)
    _write_reviews(model, processor, arguments.output)
    _write_sentences(model, processor, arguments.output)
    _write_articles(model, processor, arguments.output)
    _write_long(model, processor, arguments.output)


if __name__ == "__main__":
    main()
