from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from infergraph.tasks.speech.chunks import cut_at_pauses
from tests.sounds import chirps

RATE = 1_000


def with_pauses(seconds: float, *pauses: tuple[float, float]) -> np.ndarray:
    sound = np.sin(np.arange(round(seconds * RATE)) * 0.7).astype(np.float32)
    for start, end in pauses:
        sound[round(start * RATE) : round(end * RATE)] = 0
    return sound


def lengths(chunks: list[np.ndarray]) -> list[float]:
    return [len(chunk) / RATE for chunk in chunks]


def test_short_audio_stays_whole() -> None:
    sound = with_pauses(3)

    assert lengths(cut_at_pauses(sound, RATE, 3)) == [3]


def test_cuts_in_the_middle_of_a_pause_before_the_limit() -> None:
    sound = with_pauses(8, (4.0, 4.2))

    assert lengths(cut_at_pauses(sound, RATE, 5)) == [4.1, 3.9]


def test_a_pause_too_early_is_not_used() -> None:
    sound = with_pauses(8, (1.0, 1.4), (4.2, 4.5))
    first, second = lengths(cut_at_pauses(sound, RATE, 5))

    assert 4.2 < first < 4.5
    assert first + second == 8


def test_among_equal_pauses_the_latest() -> None:
    sound = with_pauses(9, (4.2, 4.5), (5.2, 5.5))

    assert 5.2 < lengths(cut_at_pauses(sound, RATE, 6))[0] < 5.5


def test_the_quieter_pause_wins() -> None:
    sound = with_pauses(9, (5.2, 5.5))
    sound[5200:5500] = 0.01
    sound[4200:4500] = 0.001

    assert 4.2 < lengths(cut_at_pauses(sound, RATE, 6))[0] < 4.5


def test_silence_makes_the_fewest_chunks() -> None:
    assert len(cut_at_pauses(np.zeros(20 * RATE, np.float32), RATE, 5)) == 5


@settings(deadline=None)
@given(st.floats(0.01, 40), st.floats(1, 12), st.integers(0, 3))
def test_the_chunks_are_the_whole(seconds: float, longest: float, seed: int) -> None:
    sound = chirps(seconds, seed, rate=RATE)
    chunks = cut_at_pauses(sound, RATE, longest)

    np.testing.assert_array_equal(np.concatenate(chunks), sound)
    assert all(0 < len(chunk) <= longest * RATE for chunk in chunks) or not len(sound)
    assert len(chunks) <= 1 + len(sound) / (RATE * longest * 0.6)
