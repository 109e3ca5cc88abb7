"""Encoded audio (WAV, FLAC, OGG, MP3) or raw samples to samples, in bounded memory."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ..errors import InvalidInput
from .decode_memory import Check, decode_memory, out_of_memory_as_overload
from .request_limit import RequestLimit

ACCEPTED = "the bytes of a WAV, FLAC, OGG or MP3 file"
"""What error texts call acceptable audio."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 384_000
MAX_CHANNELS = 64
MAX_SAMPLE = 1e10
"""The loudest sample: those of 32 bits that nobody scaled are 2e9, and of what is much louder than
1e10 the power is infinite in FP32, so that nothing would be heard in it."""
MAX_SAMPLES_PER_SECOND = 768_000
"""Most samples of all channels in a second of audio: of two channels at 384 kHz, 16 at 48 kHz."""

# Codecs that take longer for a sample than all others, and those of telephones, the longest.
_SLOW_CODECS = dict.fromkeys(("OPUS", "IMA_ADPCM", "MS_ADPCM"), 192_000) | dict.fromkeys(
    ("GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"), 24_000
)

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


class _Bytes(io.BytesIO):
    """A file in memory that ends early when nobody needs it any more.

    libsndfile calls back to read it, and no exception passes through libsndfile: it is kept until
    the call has ended.
    """

    def __init__(self, data: bytes, check: Check | None) -> None:
        super().__init__(data)
        self._check = check or (lambda: None)
        self._stopped: BaseException | None = None

    def readinto(self, buffer: Any, /) -> int:
        if self._stopped is None:
            try:
                self._check()
            except BaseException as error:
                self._stopped = error
        return 0 if self._stopped is not None else super().readinto(buffer)

    def check(self) -> None:
        """Raises what `check` raises, or raised while the file was read."""
        if self._stopped is not None:
            raise self._stopped
        self._check()


def decode_audio(
    data: bytes,
    *,
    sample_rate: int,
    max_seconds: float,
    tensor: str = "audio",
    request: RequestLimit | None = None,
    check: Check | None = None,
) -> Samples:
    """Decodes an audio file to mono samples at the wanted rate.

    Channels are averaged. The file's header is checked before anything is decoded, and decoding
    stops at the limit whatever the header says, so that memory stays proportional to `max_seconds`
    and `sample_rate`, and time to `max_seconds` alone. The memory is reserved in the process's
    budget until the samples are freed.

    Args:
        data: The bytes of a WAV, FLAC, OGG or MP3 file, recognised by their first bytes.
        sample_rate: The rate of the result, in Hz.
        max_seconds: The longest audio accepted.
        tensor: Names the input in error texts.
        request: Limits the seconds of all audio of the request.
        check: Called between the blocks that are decoded, and while this waits for memory; what it
            raises ends the decoding.

    Returns:
        FP32 [samples], nominally from -1 to 1; at least one sample.

    Raises:
        InvalidInput: not audio, damaged, of zero length, too long, of too many samples a second, or
            with samples that are not finite or beyond MAX_SAMPLE.
        Overloaded: there is not enough memory now.
    """
    if not is_audio(data):
        raise InvalidInput(f"tensor '{tensor}': {_not_audio(data)}; accepted: {ACCEPTED}")
    stream = _Bytes(data, check)
    what = f"tensor '{tensor}': audio"
    try:
        # What libsndfile and mpg123 need for themselves is some megabytes.
        with out_of_memory_as_overload(1 << 24, what), _Stream(stream) as file:
            seconds = _check_header(file, max_seconds, tensor)
            if request is not None and seconds is not None:
                request.take(seconds)
            # The samples, and their pieces beside them while they are joined.
            needed = 2 * 4 * math.ceil((seconds or max_seconds) * sample_rate + _BLOCK_SAMPLES)
            reservation = decode_memory().reserve(needed, what, check)
            try:
                samples = _read(file, stream, sample_rate, max_seconds, tensor, request)
            except BaseException:
                reservation.release()
                raise
            reservation.shrink(2 * samples.nbytes)
            reservation.follow(samples)
    except (soundfile.SoundFileError, TypeError) as error:
        stream.check()
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
    request: RequestLimit | None = None,
) -> Samples:
    """Checks raw mono samples, and brings them to the wanted rate.

    Args:
        samples: FP32 [samples], nominally from -1 to 1.
        rate: Their rate, in Hz.
        sample_rate: The rate of the result, in Hz.
        max_seconds: The longest audio accepted.
        tensor: Names the input in error texts.
        request: Limits the seconds of all audio of the request.

    Returns:
        FP32 [samples]; at least one. At the wanted rate, the array that came.

    Raises:
        InvalidInput: the rate is out of range, or the samples are none, too many, not finite or
            beyond MAX_SAMPLE.
    """
    _check_rate(rate, tensor)
    if not samples.size:
        raise InvalidInput(f"tensor '{tensor}': the audio has zero length")
    if samples.size > max_seconds * rate:
        raise _too_long(f"{samples.size / rate:.1f} s of", max_seconds, tensor)
    if request is not None:
        request.take(samples.size / rate)
    _check_samples(samples, tensor)
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


def _check_header(file: soundfile.SoundFile, max_seconds: float, tensor: str) -> float | None:
    """The seconds that the header says; None where it does not know."""
    rate, channels, frames = file.samplerate, file.channels, file.frames
    if file.format not in _FORMATS:
        raise InvalidInput(
            f"tensor '{tensor}': audio of the format {file.format}; accepted: {ACCEPTED}"
        )
    _check_rate(rate, tensor)
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInput(f"tensor '{tensor}': {channels} channels; accepted: 1 to {MAX_CHANNELS}")
    most = _SLOW_CODECS.get(file.subtype, MAX_SAMPLES_PER_SECOND)
    if rate * channels > most:
        raise InvalidInput(
            f"tensor '{tensor}': {file.subtype} audio of {channels} channels at {rate} Hz; "
            f"accepted: at most {most} samples a second in all channels"
        )
    if frames >= _UNKNOWN_FRAMES:
        return None
    if frames > max_seconds * rate:
        raise _too_long(f"{frames / rate:.1f} s of", max_seconds, tensor)
    return float(frames / rate)


def _check_rate(rate: int, tensor: str) -> None:
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise InvalidInput(
            f"tensor '{tensor}': a sample rate of {rate} Hz; "
            f"accepted: {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )


def _check_samples(samples: Samples, tensor: str) -> None:
    # Of NaN, which is neither smaller nor larger, no comparison holds.
    loudest = max(-float(samples.min(initial=0)), float(samples.max(initial=0)))
    if loudest <= MAX_SAMPLE:
        return
    if not math.isfinite(loudest):
        raise InvalidInput(f"tensor '{tensor}': the audio has samples that are NaN or infinite")
    raise InvalidInput(
        f"tensor '{tensor}': the audio has samples of up to {loudest:g}; accepted: "
        f"-{MAX_SAMPLE:g} to {MAX_SAMPLE:g}, where 1 is full scale"
    )


def _read(
    file: soundfile.SoundFile,
    stream: _Bytes,
    sample_rate: int,
    max_seconds: float,
    tensor: str,
    request: RequestLimit | None,
) -> Samples:
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
        # Not only where it is read: hours of silence are a few kilobytes.
        stream.check()
        read += len(block)
        if read > limit:
            raise _too_long("more", max_seconds, tensor)
        if request is not None and file.frames >= _UNKNOWN_FRAMES:
            request.take(len(block) / rate)
        mono: Samples = block[:, 0] if weights is None else block.dot(weights)
        _check_samples(mono, tensor)
        last = len(block) < block_frames
        pieces.append(mono if resampler is None else resampler.resample_chunk(mono, last=last))
        if last:
            break
    # A copy of a lone piece, too: it is a view of a whole block.
    samples = np.concatenate(pieces)
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
