"""Texts that are spoken together: turns, parts, beginnings again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from infergraph.errors import StageFailure
from infergraph.tasks.speech.utterances import (
    Listening,
    Manner,
    RunningUtterances,
    Utterance,
    encoded,
)

RATE = 100
PAUSE = 5


class Network:
    """A frame for each token, of its number; it fails for a token of 13."""

    network = None
    bins = 1
    speeds = True

    def __init__(self) -> None:
        self.read: list[list[int]] = []

    def __call__(self, sentences: Sequence[Any], speeds: Sequence[float]) -> list[torch.Tensor]:
        self.read.append([len(each) for each in sentences])
        if any(13 in each for each in sentences):
            raise StageFailure("thirteen")
        return [torch.tensor(each, dtype=torch.float32)[:, None] for each in sentences]


class Voice:
    """Two frames at a time, two samples a frame."""

    sampling_rate = RATE
    bins = 1
    steady = True

    def begin(self, frames: torch.Tensor) -> Any:
        return _Pairs(frames)


class _Pairs:
    def __init__(self, frames: torch.Tensor) -> None:
        self._frames = frames.flatten().repeat_interleave(2).numpy() / 100

    def next(self) -> Any:
        sound, self._frames = self._frames[:4], self._frames[4:]
        return sound if len(sound) else None


def running(most: int = 100) -> tuple[RunningUtterances, Network]:
    network = Network()
    made = RunningUtterances(
        network, Voice(), pause=PAUSE, most=most, observe=lambda real, padded: None
    )
    return made, network


def heard(outputs: Any) -> list[int]:
    sound, rate = soundfile.read(io.BytesIO(outputs["audio"]), dtype="float32")
    assert rate == outputs["sampling_rate"][0] == RATE
    assert len(sound) == outputs["num_samples"][0]
    return [round(float(each) * 100) for each in sound]


def all_steps(batch: RunningUtterances, count: int) -> dict[int, Any]:
    results: dict[int, Any] = {}
    for _ in range(100):
        results.update(batch.step())
        if len(results) == count:
            return results
    raise AssertionError(f"only {sorted(results)} ended")


QUIET = [0] * PAUSE


def test_each_text_is_spoken_between_pauses() -> None:
    batch, _ = running()
    batch.add(1, Utterance([[1, 2, 3], [4]]), Manner())
    batch.add(2, Utterance([[5]]), Manner())
    results = all_steps(batch, 2)
    said = [*QUIET, 1, 1, 2, 2, 3, 3, *QUIET, 4, 4, *QUIET]
    assert heard(results[1]) == said
    assert heard(results[2]) == [*QUIET, 5, 5, *QUIET]


def test_sentences_are_read_together_up_to_the_limit() -> None:
    batch, network = running(most=6)
    for number, tokens in enumerate(([1, 2, 3], [4, 5, 6], [7, 8], [9])):
        batch.add(number, Utterance([tokens]), Manner())
    all_steps(batch, 4)
    assert network.read == [[3, 3], [2, 1]]
    batch, network = running(most=0)
    for number in range(3):
        batch.add(number, Utterance([[1, 2]]), Manner())
    all_steps(batch, 3)
    assert network.read == [[2], [2], [2]]


def test_one_that_comes_later_does_not_wait_for_a_long_one() -> None:
    batch, _ = running()
    batch.add(1, Utterance([list(range(1, 13))] * 20), Manner())
    batch.step()
    batch.add(2, Utterance([[5]]), Manner())
    ended = [number for _ in range(3) for number, _ in batch.step()]
    assert ended == [2]


def test_one_that_is_dropped_is_not_spoken_on() -> None:
    batch, network = running()
    batch.add(1, Utterance([[1], [2], [3]]), Manner())
    batch.add(2, Utterance([[4]]), Manner())
    batch.step()
    batch.drop(1)
    assert set(all_steps(batch, 1)) == {2}
    assert batch.step() == []
    assert network.read == [[1, 1]]


def test_parts_joined_are_the_whole_and_come_early() -> None:
    batch, _ = running()
    parts: list[Any] = []
    batch.add(1, Utterance([[1, 2, 3, 4], [5]], Listening(parts.append)), Manner())
    batch.step()
    assert heard(parts[0]) == [*QUIET, 1, 1, 2, 2]
    assert all_steps(batch, 1) == {1: None}
    joined = [sample for part in parts for sample in heard(part)]
    assert joined == [*QUIET, 1, 1, 2, 2, 3, 3, 4, 4, *QUIET, 5, 5, *QUIET]
    assert len(parts) > 3


def test_what_was_given_is_not_given_again() -> None:
    """A neighbour makes the batch fail after a part was given; the text begins again alone."""
    parts: list[Any] = []
    utterance = Utterance([[1, 2, 3, 4]], Listening(parts.append))
    batch, _ = running()
    batch.add(1, utterance, Manner())
    batch.step()
    batch.add(2, Utterance([[13]]), Manner())
    with pytest.raises(StageFailure, match="thirteen"):
        batch.step()
    given = [sample for part in parts for sample in heard(part)]
    assert given == [*QUIET, 1, 1, 2, 2]

    again, _ = running()
    again.add(1, utterance, Manner())
    assert all_steps(again, 1) == {1: None}
    joined = [sample for part in parts for sample in heard(part)]
    assert joined == [*QUIET, 1, 1, 2, 2, 3, 3, 4, 4, *QUIET]


@pytest.mark.parametrize(("format", "magic"), [("wav", b"RIFF"), ("flac", b"fLaC")])
def test_files_are_of_16_bits(format: str, magic: bytes) -> None:
    sound = np.linspace(-1, 1, 50, dtype=np.float32)
    made = encoded(sound, RATE, format)
    assert made["audio"].startswith(magic)
    back, _ = soundfile.read(io.BytesIO(made["audio"]), dtype="int16")
    assert back.tolist() == np.round(sound * 32767).astype(int).tolist()
