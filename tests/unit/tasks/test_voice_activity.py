from __future__ import annotations

import numpy as np
import pytest

from infergraph.tasks.voice_activity import Samples, without_silence
from tests.sounds import chirps, sine

RATE = 16_000
LIMIT = -55.0


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, level: float) -> Samples:
    """White noise of this level, in dB relative to a root mean square of 1."""
    rng = np.random.default_rng(7)
    sound = rng.standard_normal(round(seconds * RATE)) * 10 ** (level / 20)
    return sound.astype(np.float32)


def click(seconds: float) -> Samples:
    sound = silence(seconds)
    sound[len(sound) // 2 :][:600] = 1
    return sound


@pytest.mark.parametrize(
    "sound",
    [
        silence(3),
        noise(3, -60),
        noise(60, -57),
        np.ones(1, np.float32),
        noise(0.019, -10),
        click(2),
        silence(2) + 0.5,
        noise(2, -60) - 1,
    ],
    ids=[
        *("silence", "faint noise", "less faint noise", "one sample", "less than a frame"),
        *("a click", "an offset", "an offset and noise"),
    ],
)
def test_nothing_is_left_where_nobody_speaks(sound: Samples) -> None:
    assert without_silence(sound, RATE, LIMIT).shape == (0,)


@pytest.mark.parametrize(
    "sound",
    [sine(1), sine(0.06), sine(1) * np.float32(0.01), chirps(2, 1), noise(1, -50), sine(1) + 0.5],
    ids=["a tone", "a short tone", "a quiet tone", "chirps", "noise", "a tone with an offset"],
)
def test_what_is_loud_throughout_is_left_as_it_is(sound: Samples) -> None:
    assert without_silence(sound, RATE, LIMIT) is sound


@pytest.mark.parametrize("quiet", [silence, lambda seconds: noise(seconds, -60)])
def test_long_silence_is_left_out_but_for_what_is_next_to_speech(quiet) -> None:  # type: ignore[no-untyped-def]
    # Whole frames, so that all lengths are exact.
    first, second = sine(1), chirps(2, 3)
    pauses = [quiet(1), quiet(3), quiet(1)]
    sound = np.concatenate([pauses[0], first, pauses[1], second, pauses[2]])

    left = without_silence(sound, RATE, LIMIT)

    before, after = round(0.2 * RATE), round(0.5 * RATE)
    np.testing.assert_array_equal(
        left,
        np.concatenate(
            [
                pauses[0][-before:],
                first,
                pauses[1][:after],
                pauses[1][-before:],
                second,
                pauses[2][:after],
            ]
        ),
    )


@pytest.mark.parametrize("seconds", [0.02, 0.7, 1.5])
def test_a_pause_between_sentences_is_left(seconds: float) -> None:
    sound = np.concatenate([silence(0.2), sine(1), silence(seconds), sine(1), silence(0.5)])

    assert without_silence(sound, RATE, LIMIT) is sound


def test_the_limit_is_a_level() -> None:
    sound = noise(1, -45)

    assert without_silence(sound, RATE, -48) is sound
    assert without_silence(sound, RATE, -42).shape == (0,)


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000])
def test_times_hold_at_any_rate(rate: int) -> None:
    pause = np.zeros(3 * rate, np.float32)
    sound = np.concatenate([sine(1, rate=rate), pause, sine(1, rate=rate), pause])

    left = without_silence(sound, rate, LIMIT)

    # A frame may be loud in part.
    assert len(left) / rate == pytest.approx(1 + 0.5 + 0.2 + 1 + 0.5, abs=0.1)
