from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from infergraph.tasks.speech import voice_activity
from infergraph.tasks.speech.voice_activity import Samples
from tests.sounds import chirps, sine, warble

RATE = 16_000
LIMIT, RISE = -55.0, 12.0
SAMPLES = Path(__file__).parents[3] / "samples"


def without_silence(
    sound: Samples, rate: int = RATE, limit: float = LIMIT, rise: float = RISE
) -> Samples:
    return voice_activity.without_silence(sound, rate, limit, rise)


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


def coloured(seconds: float, level: float, fall: float) -> Samples:
    """Noise whose power falls with frequency to this power: 1 is pink, 2 brown."""
    spectrum = np.fft.rfft(noise(seconds, 0))
    frequencies = np.maximum(np.fft.rfftfreq(round(seconds * RATE), 1 / RATE), 20)
    sound = np.fft.irfft(spectrum * frequencies ** (-fall / 2), round(seconds * RATE))
    return (sound / sound.std() * 10 ** (level / 20)).astype(np.float32)


def hum(seconds: float) -> Samples:
    return sum((sine(seconds, hertz=50.0 * n) / n for n in range(1, 12)), np.float32(0))


def fan(seconds: float) -> Samples:
    """Noise that swells and fades by some 5 dB, and the tone of the blades."""
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.7 * np.arange(round(seconds * RATE)) / RATE)
    return (coloured(seconds, -30, 1.5) * swell + 0.05 * sine(seconds, hertz=120.0)).astype("f4")


NOTHING = {
    "silence": silence(3),
    "faint noise": noise(3, -60),
    "less faint noise": noise(60, -57),
    "noise": noise(20, -40),
    "loud noise": noise(3, -10),
    "a burst of noise": np.concatenate([silence(1), noise(0.5, -20), silence(1)]),
    "pink noise": coloured(20, -40, 1),
    "brown noise": coloured(20, -40, 2),
    "hum": hum(5),
    "hum and noise": hum(5) + noise(5, -30),
    "a fan": fan(20),
    "a tone": sine(2),
    "one sample": np.ones(1, np.float32),
    "less than a frame": noise(0.019, -10),
    "two frames": warble(1)[1200:1840],
    "a click": click(2),
    "an offset": silence(2) + 0.5,
    "an offset and noise": noise(2, -60) - 1,
}


@pytest.mark.parametrize("sound", NOTHING.values(), ids=NOTHING)
def test_nothing_is_left_where_nobody_speaks(sound: Samples) -> None:
    assert without_silence(sound).shape == (0,)


@pytest.mark.parametrize(
    "sound",
    [warble(1), warble(0.2), warble(1) * np.float32(0.01), chirps(2, 1), warble(1) + 0.5],
    ids=["a warble", "a short one", "a quiet one", "chirps", "one with an offset"],
)
def test_what_rises_and_falls_throughout_is_left_as_it_is(sound: Samples) -> None:
    assert without_silence(sound) is sound


@pytest.mark.parametrize("name", ["question-1", "question-2", "review-1", "sentence-3"])
@pytest.mark.parametrize("ratio", [20, 10, 5])
def test_speech_is_left_in_noise_almost_as_loud(name: str, ratio: float) -> None:
    speech, rate = soundfile.read(SAMPLES / f"{name}.wav", dtype="float32")
    clean = without_silence(speech)
    # Between stretches of noise alone, which are not left.
    sound = np.concatenate([silence(4), speech, silence(4)])
    sound += noise(len(sound) / RATE, float(10 * np.log10(np.mean(clean**2))) - ratio)

    left = without_silence(sound)

    assert rate == RATE
    assert len(left) == pytest.approx(len(clean), abs=0.6 * RATE)
    np.testing.assert_array_equal(left, _piece_around(sound, left))
    # All of the words: what is cut is weaker than they are.
    said = sound[4 * RATE : 4 * RATE + len(speech)]
    assert np.abs(left).max() == np.abs(said).max()


def test_without_a_rise_all_that_is_loud_is_left() -> None:
    sound = noise(1, -50)

    assert without_silence(sound, rise=0) is sound
    assert without_silence(sound).shape == (0,)
    assert without_silence(fan(20), rise=3).shape != (0,)


def _piece_around(whole: Samples, piece: Samples) -> Samples:
    start = int(np.flatnonzero(whole == piece[0])[0])
    return whole[start : start + len(piece)]


@pytest.mark.parametrize("quiet", [silence, lambda seconds: noise(seconds, -60)])
def test_long_silence_is_left_out_but_for_what_is_next_to_speech(quiet) -> None:  # type: ignore[no-untyped-def]
    # Whole frames, so that all lengths are exact.
    first, second = warble(1), 0.5 * warble(2)
    pauses = [quiet(1), quiet(3), quiet(1)]
    sound = np.concatenate([pauses[0], first, pauses[1], second, pauses[2]])

    left = without_silence(sound)

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


@pytest.mark.parametrize("before", [0.0, 0.1, 0.2, 3.0])
@pytest.mark.parametrize("after", [0.0, 0.3, 0.5, 3.0])
def test_an_abrupt_beginning_and_end_are_filled_up(before: float, after: float) -> None:
    speech = warble(1)
    sound = np.concatenate([silence(before), speech, silence(after)])

    left = voice_activity.without_silence(sound, RATE, -55, 12, fill=True)

    np.testing.assert_array_equal(left, np.concatenate([silence(0.2), speech, silence(0.5)]))


@pytest.mark.parametrize("seconds", [0.02, 0.7, 1.5])
def test_a_pause_between_sentences_is_left(seconds: float) -> None:
    sound = np.concatenate([silence(0.2), warble(1), silence(seconds), warble(1), silence(0.5)])

    assert without_silence(sound) is sound


def test_the_limit_is_a_level() -> None:
    sound = warble(1)
    sound *= 10 ** (-45 / 20) / sound.std()

    assert without_silence(sound, limit=-48) is sound
    assert without_silence(sound, limit=-42).shape == (0,)


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000])
def test_times_hold_at_any_rate(rate: int) -> None:
    pause = np.zeros(3 * rate, np.float32)
    sound = np.concatenate([warble(1, rate=rate), pause, warble(1, rate=rate), pause])

    left = without_silence(sound, rate)

    # A frame may be loud in part.
    assert len(left) / rate == pytest.approx(1 + 0.5 + 0.2 + 1 + 0.5, abs=0.1)
