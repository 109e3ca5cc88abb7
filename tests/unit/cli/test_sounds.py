"""`infergraph demo --save`: the sound of an answer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from infergraph.cli import sounds
from infergraph.errors import ConfigurationError
from infergraph.v2 import Message, Tensor

SOUND = (np.sin(np.arange(1600) / 5) * 9000).astype(np.int16)


def file_of(sound: np.ndarray, format: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format=format, subtype="PCM_16")
    return file.getvalue()


def answered(*audio: bytes) -> Message:
    return Message([Tensor.of_bytes("text", [b"a"]), Tensor.of_bytes("audio", list(audio))])


@pytest.mark.parametrize("name", ["out.wav", "out.flac"])
@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_sound_is_saved_in_the_format_of_the_name(tmp_path: Path, name: str, format: str) -> None:
    sounds.check(tmp_path / name)
    assert sounds.save(tmp_path / name, answered(file_of(SOUND, format)), "voice") == [
        tmp_path / name
    ]
    samples, rate = soundfile.read(tmp_path / name, dtype="int16")
    assert rate == 16_000
    assert np.array_equal(samples, SOUND)
    assert soundfile.info(tmp_path / name).format == name.rpartition(".")[2].upper()


def test_several_sounds_get_numbers(tmp_path: Path) -> None:
    saved = sounds.save(
        tmp_path / "out.wav", answered(file_of(SOUND), file_of(SOUND[:800])), "voice"
    )
    assert [each.name for each in saved] == ["out-1.wav", "out-2.wav"]
    assert len(soundfile.read(saved[1])[0]) == 800


def test_an_answer_without_sound_is_said_to_be_one(tmp_path: Path) -> None:
    answer = Message([Tensor.of_bytes("text", [b"a"])])
    with pytest.raises(ConfigurationError, match=r"of words has no sound.*its outputs: text BYTES"):
        sounds.save(tmp_path / "out.wav", answer, "words")


def test_a_place_that_is_not_there_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        sounds.check(tmp_path / "none" / "out.wav")
    (tmp_path / "out.wav").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        sounds.check(tmp_path / "out.wav")
