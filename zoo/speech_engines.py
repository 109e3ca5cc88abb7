"""`say`: a text as sound, by one of several speech synthesizers.

An engine's voices sound alike in ways that those of another do not: espeak-ng computes formants,
flite and Pico have statistical models of human speakers, festival also joins pieces of
recordings, and hibari is a neural network.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
_USUAL_SPEED = 175
_USUAL_PITCH = 50
# Of flite's voices that can be told one, in Hz.
_FLITE_PITCH = {"awb": 130, "slt": 175}

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Engine:
    """A speech synthesizer.

    Attributes:
        package: What has it.
        voices: Those that are used here, by the language that they speak, an ISO 639-1 code.
            espeak-ng has more than can be named.
        speak: A text, voice, words a minute and pitch of 0 to 99, as samples and their rate.
            Raises RuntimeError.
    """

    package: str
    voices: Mapping[str, tuple[str, ...]]
    speak: Callable[[str, str, int, int], tuple[Samples, int]]


def _by_program(
    program: str, package: str, arguments: Callable[[str, int, int, Path], list[str]]
) -> Callable[[str, str, int, int], tuple[Samples, int]]:
    """Speech of `program`, which reads the text from its standard input and writes a file.

    Args:
        arguments: Of the program, for a voice, words a minute, a pitch and a file.
    """

    def speak(text: str, voice: str, speed: int, pitch: int) -> tuple[Samples, int]:
        path = shutil.which(program)
        if path is None:
            raise RuntimeError(f"{program} is not on the PATH: install {package}")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "spoken.wav"
            # Some read on until the line ends.
            done = subprocess.run(
                [path, *arguments(voice, speed, pitch, file)],
                input=f"{text}\n".encode(),
                capture_output=True,
                check=False,
            )
            if done.returncode or not file.exists():
                problem = done.stderr.decode(errors="replace").strip()
                raise RuntimeError(f"{program} with voice {voice!r} failed: {problem}")
            return soundfile.read(file, dtype="float32")  # type: ignore[no-any-return]

    return speak


def _espeak(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    return ["--stdin", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(file)]


def _flite(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    arguments = ["-voice", voice, "--setf", f"duration_stretch={_USUAL_SPEED / speed:.3f}"]
    if voice in _FLITE_PITCH:
        hertz = _FLITE_PITCH[voice] * _pitch_factor(pitch)
        arguments += ["--setf", f"int_f0_target_mean={hertz:.1f}"]
    return [*arguments, "-f", "/dev/stdin", "-o", str(file)]


def _festival(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    chosen = f"(begin (voice_{voice}) (Parameter.set 'Duration_Stretch {_USUAL_SPEED / speed:.3f}))"
    return ["-eval", chosen, "-o", str(file)]


def _hibari(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    return ["--voice", voice, "--speed", f"{speed / _USUAL_SPEED:.3f}", "-o", str(file)]


def _pico(text: str, voice: str, speed: int, pitch: int) -> tuple[Samples, int]:
    try:
        import ttspico  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise RuntimeError(f"ttspico cannot be imported: install {_PICO}") from error
    engine = ttspico.TtsEngine(voice)
    engine.rate = round(100 * speed / _USUAL_SPEED)
    engine.pitch = round(100 * _pitch_factor(pitch))
    # At its usual loudness it overdrives.
    engine.volume = 50
    return np.frombuffer(engine.speak(text), "<i2").astype(np.float32) / 2**15, SAMPLE_RATE


def _pitch_factor(pitch: int) -> float:
    return float(2 ** ((pitch - _USUAL_PITCH) / 50))


_ESPEAK = "Debian's espeak-ng"
_FLITE = "Debian's flite"
_FESTIVAL = "Debian's festival, festvox-kallpc16k, festvox-kdlpc16k and festvox-us-slt-hts"
_HIBARI_TTS = "PyPI's hibari-tts"
_PICO = "PyPI's ttspico"

ENGINES: dict[str, Engine] = {
    "espeak-ng": Engine(_ESPEAK, {}, _by_program("espeak-ng", _ESPEAK, _espeak)),
    "flite": Engine(_FLITE, {"en": ("awb", "rms", "slt")}, _by_program("flite", _FLITE, _flite)),
    "pico": Engine(_PICO, {"en": ("en-US", "en-GB"), "de": ("de-DE",)}, _pico),
    "festival": Engine(
        _FESTIVAL,
        {"en": ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")},
        _by_program("text2wave", _FESTIVAL, _festival),
    ),
    "hibari": Engine(_HIBARI_TTS, {"en": ("heart",)}, _by_program("hibari", _HIBARI_TTS, _hibari)),
}


def say(engine: str, text: str, voice: str, speed: int, pitch: int) -> Samples:
    """`text` as samples in -1 to 1, mono, at 16 kHz.

    Args:
        engine: One of `ENGINES`.
        voice: One of its voices.
        speed: Words a minute; an engine's usual speed counts as 175.
        pitch: 0 to 99, 50 is usual; voices that have but one pitch ignore it.

    Raises:
        RuntimeError: If the engine is missing, or does not know the voice.
    """
    samples, rate = ENGINES[engine].speak(text, voice, speed, pitch)
    resampled: Samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return resampled
