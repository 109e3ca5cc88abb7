"""`say`: a text as sound, by one of the speech synthesizers that are programs on the PATH.

An engine's voices sound alike in ways that those of another do not: espeak-ng computes formants,
flite has statistical models of human speakers, festival also joins pieces of recordings, and
hibari is a neural network.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
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
        package: What has its program.
        program: Is called.
        voices: Of those that speak English, the ones that are used here. espeak-ng has more than
            can be named.
        arguments: Of the program, for a voice, words a minute, a pitch of 0 to 99 and a file.
            The text is read from the standard input.
    """

    package: str
    program: str
    voices: tuple[str, ...]
    arguments: Callable[[str, int, int, Path], list[str]]


def _espeak(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    return ["--stdin", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(file)]


def _flite(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    arguments = ["-voice", voice, "--setf", f"duration_stretch={_USUAL_SPEED / speed:.3f}"]
    if voice in _FLITE_PITCH:
        hertz = _FLITE_PITCH[voice] * 2 ** ((pitch - _USUAL_PITCH) / 50)
        arguments += ["--setf", f"int_f0_target_mean={hertz:.1f}"]
    return [*arguments, "-f", "/dev/stdin", "-o", str(file)]


def _festival(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    chosen = f"(begin (voice_{voice}) (Parameter.set 'Duration_Stretch {_USUAL_SPEED / speed:.3f}))"
    return ["-eval", chosen, "-o", str(file)]


def _hibari(voice: str, speed: int, pitch: int, file: Path) -> list[str]:
    return ["--voice", voice, "--speed", f"{speed / _USUAL_SPEED:.3f}", "-o", str(file)]


ENGINES: dict[str, Engine] = {
    "espeak-ng": Engine("Debian's espeak-ng", "espeak-ng", (), _espeak),
    "flite": Engine("Debian's flite", "flite", ("awb", "rms", "slt"), _flite),
    "festival": Engine(
        "Debian's festival, festvox-kallpc16k, festvox-kdlpc16k and festvox-us-slt-hts",
        "text2wave",
        ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts"),
        _festival,
    ),
    "hibari": Engine("PyPI's hibari-tts", "hibari", ("heart",), _hibari),
}


def say(engine: str, text: str, voice: str, speed: int, pitch: int) -> Samples:
    """`text` as samples in -1 to 1, mono, at 16 kHz.

    Args:
        engine: One of `ENGINES`.
        voice: One of its voices.
        speed: Words a minute; an engine's usual speed counts as 175.
        pitch: 0 to 99, 50 is usual; voices that have but one pitch ignore it.

    Raises:
        RuntimeError: If the engine's program is missing, or does not know the voice.
    """
    program = shutil.which(ENGINES[engine].program)
    if program is None:
        raise RuntimeError(
            f"{ENGINES[engine].program} is not on the PATH: install {ENGINES[engine].package}"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        arguments = ENGINES[engine].arguments(voice, speed, pitch, file)
        # Some read on until the line ends.
        done = subprocess.run(
            [program, *arguments], input=f"{text}\n".encode(), capture_output=True, check=False
        )
        if done.returncode or not file.exists():
            problem = done.stderr.decode(errors="replace").strip()
            raise RuntimeError(f"{engine} with voice {voice!r} failed: {problem}")
        samples, rate = soundfile.read(file, dtype="float32")
    resampled: Samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return resampled
