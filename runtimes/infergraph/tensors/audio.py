"""Encoded audio (WAV, FLAC, OGG, MP3) or raw samples to samples, in bounded memory."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ..errors import InvalidInput

ACCEPTED = "the bytes of a WAV, FLAC, OGG or MP3 file"
"""What error texts call acceptable audio."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 384_000
MAX_CHANNELS = 64

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "MPEG"})
_BLOCK_SAMPLES = 1 << 18
# libsndfile reports the largest count it has where a container does not say its length.
_UNKNOWN_FRAMES = (1 << 63) - 1
# How base64 of RIFF, RF64, fLaC, OggS, ID3 and the MPEG frames of layers II and III begins.
_BASE64_OF_AUDIO = re.compile(rb"UklGR|UkY2N|ZkxhQ|T2dnUw|SUQz|//[I-Po-v]")

Samples = npt.NDArray[np.float32]


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Reads front to back; seeking, as soundfile does after each read, needs a known length."""

    def seekable(self) -> bool:
        return False


def decode_audio(
    data: bytes, *, sample_rate: int, max_seconds: float, tensor: str = "audio"
) -> Samples:
    """Decodes an audio file to mono samples at the wanted rate.

    Channels are averaged. The file's header is checked before anything is decoded, and decoding
    stops at the limit whatever the header says, so that memory stays proportional to `max_seconds`.

    Args:
        data: The bytes of a WAV, FLAC, OGG or MP3 file, recognised by their first bytes.
        sample_rate: The rate of the result, in Hz.
        max_seconds: The longest audio accepted.
        tensor: Names the input in error texts.

    Returns:
        FP32 [samples], nominally from -1 to 1; at least one sample.

    Raises:
        InvalidInput: not audio, damaged, of zero length, too long, or with samples that are not
            finite.
    """
    if not is_audio(data):
        raise InvalidInput(f"tensor '{tensor}': {_not_audio(data)}; accepted: {ACCEPTED}")
    try:
        with _Stream(io.BytesIO(data)) as file:
            _check_header(file, max_seconds, tensor)
            samples = _read(file, sample_rate, max_seconds, tensor)
    except (soundfile.SoundFileError, TypeError) as error:
        # soundfile raises TypeError for files that only seem to have no header ("RAW").
        raise InvalidInput(
            f"tensor '{tensor}': damaged audio, or of an unknown encoding{_reason(error)}; "
            f"accepted: {ACCEPTED}"
        ) from None
    if not samples.size:
        raise InvalidInput(f"tensor '{tensor}': the audio has zero length")
    return samples


def accept_samples(
    samples: npt.NDArray[Any],
    *,
    rate: int,
    sample_rate: int,
    max_seconds: float,
    tensor: str = "samples",
) -> Samples:
    """Checks raw mono samples, and brings them to the wanted rate.

    Args:
        samples: FP32 [samples], nominally from -1 to 1.
        rate: Their rate, in Hz.
        sample_rate: The rate of the result, in Hz.
        max_seconds: The longest audio accepted.
        tensor: Names the input in error texts.

    Returns:
        FP32 [samples]; at least one. At the wanted rate, the array that came.

    Raises:
        InvalidInput: the rate is out of range, or the samples are none, too many or not finite.
    """
    _check_rate(rate, tensor)
    if not samples.size:
        raise InvalidInput(f"tensor '{tensor}': the audio has zero length")
    if samples.size > max_seconds * rate:
        raise _too_long(f"{samples.size / rate:.1f} s of", max_seconds, tensor)
    if not np.isfinite(samples).all():
        raise InvalidInput(f"tensor '{tensor}': the audio has samples that are NaN or infinite")
    if rate == sample_rate:
        return samples
    resampled: Samples = soxr.resample(samples, rate, sample_rate)
    return resampled if resampled.size else np.zeros(1, np.float32)


def is_audio(data: bytes) -> bool:
    """Whether the first bytes are those of a WAV, FLAC, OGG or MP3 file."""
    if data[:4] in (b"RIFF", b"RF64"):
        return data[8:12] == b"WAVE"
    return data[:4] in (b"fLaC", b"OggS") or data[:3] == b"ID3" or _is_mpeg_frame(data)


def _is_mpeg_frame(data: bytes) -> bool:
    """Whether an MPEG audio frame begins here: 11 sync bits, and a layer (AAC has none)."""
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06 != 0


def _not_audio(data: bytes) -> str:
    if not data:
        return "no bytes"
    if _BASE64_OF_AUDIO.match(data):
        return (
            f"base64 text (begins with {data[:8]!r}); over REST, declare it with the tensor's "
            "parameter content_type 'base64'"
        )
    return f"not audio (begins with {data[:8]!r})"


def _check_header(file: soundfile.SoundFile, max_seconds: float, tensor: str) -> None:
    rate, channels, frames = file.samplerate, file.channels, file.frames
    if file.format not in _FORMATS:
        raise InvalidInput(
            f"tensor '{tensor}': audio of the format {file.format}; accepted: {ACCEPTED}"
        )
    _check_rate(rate, tensor)
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInput(f"tensor '{tensor}': {channels} channels; accepted: 1 to {MAX_CHANNELS}")
    if frames < _UNKNOWN_FRAMES and frames > max_seconds * rate:
        raise _too_long(f"{frames / rate:.1f} s of", max_seconds, tensor)


def _check_rate(rate: int, tensor: str) -> None:
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise InvalidInput(
            f"tensor '{tensor}': a sample rate of {rate} Hz; "
            f"accepted: {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )


def _read(file: soundfile.SoundFile, sample_rate: int, max_seconds: float, tensor: str) -> Samples:
    rate, limit = file.samplerate, max_seconds * file.samplerate
    resampler = (
        None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    )
    # A product is ten times as fast as numpy's mean over so short an axis.
    channels = file.channels
    weights = None if channels == 1 else np.full(channels, 1 / channels, np.float32)
    pieces: list[Samples] = []
    block_frames = _BLOCK_SAMPLES // file.channels
    read = 0
    while True:
        block: npt.NDArray[Any] = file.read(block_frames, dtype="float32", always_2d=True)
        read += len(block)
        if read > limit:
            raise _too_long("more", max_seconds, tensor)
        mono: Samples = block[:, 0] if weights is None else block.dot(weights)
        if not np.isfinite(mono).all():
            raise InvalidInput(f"tensor '{tensor}': the audio has samples that are NaN or infinite")
        last = len(block) < block_frames
        pieces.append(mono if resampler is None else resampler.resample_chunk(mono, last=last))
        if last:
            break
    samples = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if read and not samples.size:
        # A clip shorter than one sample of the wanted rate.
        samples = np.zeros(1, np.float32)
    return samples


def _too_long(length: str, max_seconds: float, tensor: str) -> InvalidInput:
    unit = "audio" if length.endswith("of") else f"than {max_seconds:g} s of audio"
    return InvalidInput(
        f"tensor '{tensor}': {length} {unit}; accepted: at most {max_seconds:g} s "
        "(setting 'max_audio_seconds')"
    )


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error)).strip().rstrip(".")
    # What libsndfile says of bytes in which no MPEG frame could be decoded, though it read no file.
    if "not a regular file" in text:
        return ""
    return f" ({text})"
