from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
import soundfile

from infergraph.errors import InvalidInput, Overloaded
from infergraph.tensors import audio
from infergraph.tensors.audio import accept_samples, decode_audio, is_audio
from infergraph.tensors.decode_memory import DecodeMemory, decode_memory
from infergraph.tensors.request_limit import RequestLimit
from tests.sounds import encoded, sine

RATE = 16_000


def decode(data: bytes, *, rate: int = RATE, seconds: float = 10) -> np.ndarray:
    return decode_audio(data, sample_rate=rate, max_seconds=seconds)


@pytest.mark.parametrize(
    ("format", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-3),
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "FLOAT", 1e-6),
        ("WAVEX", "PCM_24", 1e-3),
        ("RF64", "PCM_16", 1e-3),
        ("FLAC", "PCM_16", 1e-3),
        ("OGG", "VORBIS", 0.05),
        ("MP3", "MPEG_LAYER_III", 0.05),
    ],
)
def test_formats_give_their_samples(format: str, subtype: str, tolerance: float) -> None:
    sound = sine(1.5)
    data = encoded(sound, format=format, subtype=subtype)

    samples = decode(data)

    assert is_audio(data)
    assert samples.dtype == np.float32
    assert samples.shape == sound.shape
    np.testing.assert_allclose(samples[2000:-2000], sound[2000:-2000], atol=tolerance)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_sample_rate_becomes_the_wanted_one(rate: int) -> None:
    samples = decode(encoded(sine(2, rate=rate), rate=rate, subtype="FLOAT"))

    assert abs(len(samples) - 2 * RATE) <= 1
    np.testing.assert_allclose(samples[1000:-1000], sine(2)[1000 : len(samples) - 1000], atol=2e-3)


def test_resampling_in_blocks_leaves_no_seams() -> None:
    # More than one block of 2**18 samples.
    samples = decode(encoded(sine(8, rate=48_000), rate=48_000, subtype="FLOAT"))

    np.testing.assert_allclose(samples[1000:-1000], sine(8)[1000:-1000], atol=2e-3)


def test_channels_are_averaged() -> None:
    left, right = sine(1), sine(1, hertz=1000)

    samples = decode(encoded(np.stack([left, right], axis=1), subtype="FLOAT"))

    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)


def test_a_single_sample_is_audio() -> None:
    assert decode(encoded(sine(1)[:1], rate=48_000)).shape == (1,)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "tensor 'audio': no bytes; accepted: the bytes of a WAV, FLAC, OGG or MP3 file"),
        (
            b"hello world",
            "tensor 'audio': not audio (begins with b'hello wo'); accepted: the bytes",
        ),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", r"not audio (begins with b'\xff\xd8\xff\xe0\x00\x10JF')"),
        (b"\xff\xf1\x50\x80aac", "not audio"),
        (b"RIFF\0\0\0\0AVI LIST", "not audio"),
        (b"RIFF\0\0\0\0WAVE", "damaged audio"),
        (b"OggS" + bytes(60), "damaged audio"),
        (b"fLaC" + bytes(60), "damaged audio"),
        (b"ID3" + bytes(60), "damaged audio"),
    ],
)
def test_what_is_not_audio_is_named(data: bytes, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(data)

    assert text in str(caught.value)
    assert "accepted: the bytes of a WAV, FLAC, OGG or MP3 file" in str(caught.value)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_base64_text_is_recognised(format: str) -> None:
    data = base64.b64encode(encoded(sine(0.5), format=format))

    with pytest.raises(InvalidInput, match=r"base64 text .* content_type 'base64'"):
        decode(data)


def test_zero_length() -> None:
    with pytest.raises(InvalidInput, match="tensor 'speech': the audio has zero length"):
        decode_audio(encoded(sine(0)), sample_rate=RATE, max_seconds=1, tensor="speech")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_must_be_finite(value: float) -> None:
    sound = sine(1)
    sound[700] = value

    with pytest.raises(InvalidInput, match="NaN or infinite"):
        decode(encoded(sound, subtype="FLOAT"))


@pytest.mark.parametrize("loudest", [-1.0001e10, 3e38])
def test_samples_whose_power_would_be_infinite_are_refused(loudest: float) -> None:
    sound = sine(1)
    sound[700] = loudest
    said = re.escape(f"has samples of up to {abs(loudest):g}; accepted: -1e+10 to 1e+10")

    with pytest.raises(InvalidInput, match=said):
        decode(encoded(sound, subtype="FLOAT"))
    # Checked before they are resampled: what comes of that may be no number.
    for rate in (RATE, 8_000):
        with pytest.raises(InvalidInput, match=said):
            accept_samples(sound, rate=rate, sample_rate=RATE, max_seconds=10)


@pytest.mark.parametrize("scale", [2.0**31, 9e9])
def test_samples_that_nobody_scaled_are_taken(scale: float) -> None:
    sound = (sine(1) * scale).astype(np.float32)
    for samples in (
        decode(encoded(sound, subtype="FLOAT")),
        accept_samples(sound, rate=RATE, sample_rate=RATE, max_seconds=10),
    ):
        np.testing.assert_array_equal(samples, sound)


def test_too_long_by_the_header() -> None:
    data = encoded(sine(2.5))

    assert len(decode(data, seconds=2.5)) == 40_000
    with pytest.raises(
        InvalidInput,
        match=r"2\.5 s of audio; accepted: at most 2 s \(setting 'max_audio_seconds'\)",
    ):
        decode(data, seconds=2)


def test_a_header_that_claims_more_than_there_is_fails_before_decoding() -> None:
    with pytest.raises(InvalidInput, match=r"4294967\.3 s of audio"):
        decode(flac_claiming(sine(1), frames=2**36 - 1))


def test_a_header_of_unknown_length_is_read_to_the_end_or_the_limit() -> None:
    data = flac_claiming(sine(3), frames=0)

    assert len(decode(data)) == 3 * RATE
    with pytest.raises(InvalidInput, match="more than 2 s of audio"):
        decode(data, seconds=2)


def test_a_streamed_wav_of_unknown_length() -> None:
    data = bytearray(encoded(sine(1)))
    size = data.index(b"data") + 4
    data[size : size + 4] = b"\xff\xff\xff\xff"

    assert len(decode(bytes(data))) == RATE


def test_a_truncated_wav_gives_what_is_there() -> None:
    data = encoded(sine(1))

    assert len(decode(data[: len(data) // 2])) == pytest.approx(RATE / 2, abs=30)


@pytest.mark.parametrize("rate", [1, 999, 400_000])
def test_absurd_sample_rates(rate: int) -> None:
    data = bytearray(encoded(sine(0.1)))
    data[24:28] = rate.to_bytes(4, "little")

    with pytest.raises(InvalidInput, match=f"a sample rate of {rate} Hz; accepted: 1000 to 384000"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("channels", "rate", "format", "subtype", "most"),
    [
        (2, 384_000, "WAV", "PCM_16", None),
        (3, 384_000, "WAV", "PCM_16", 768_000),
        (64, 384_000, "WAV", "PCM_16", 768_000),
        (16, 48_000, "WAV", "FLOAT", None),
        (8, 192_000, "FLAC", "PCM_16", 768_000),
        (9, 96_000, "OGG", "VORBIS", 768_000),
        (4, 48_000, "OGG", "OPUS", None),
        (5, 48_000, "OGG", "OPUS", 192_000),
        (2, 96_000, "WAV", "IMA_ADPCM", None),
        (2, 192_000, "WAV", "IMA_ADPCM", 192_000),
        (2, 192_000, "WAV", "MS_ADPCM", 192_000),
        (1, 22_050, "WAV", "GSM610", None),
        (1, 44_100, "WAV", "GSM610", 24_000),
        (1, 48_000, "WAV", "G721_32", 24_000),
    ],
)
def test_the_samples_in_a_second_are_limited(
    channels: int, rate: int, format: str, subtype: str, most: int | None
) -> None:
    sound = np.repeat(sine(0.05, rate=rate)[:, None], channels, axis=1)
    data = encoded(sound, rate=rate, format=format, subtype=subtype)

    if most is None:
        assert decode(data).size >= 700
    else:
        with pytest.raises(InvalidInput) as caught:
            decode(data)
        assert str(caught.value) == (
            f"tensor 'audio': {subtype} audio of {channels} channels at {rate} Hz; accepted: at "
            f"most {most} samples a second in all channels"
        )


class Gone(BaseException):
    """What a check raises when nobody waits any more."""


class Check:
    """Raises Gone when it is called for the n-th time."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls >= self.at:
            raise Gone


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_decoding_can_be_stopped_wherever_it_is(
    format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # Three blocks of 2**18 samples; of silence, which some formats keep in a few kilobytes.
    data = encoded_in_pieces(np.zeros(3 << 18, np.float32), format)
    counting = Check(10**9)
    decode_audio(data, sample_rate=RATE, max_seconds=100, check=counting)
    assert counting.calls >= 4

    for at in {1, 2, counting.calls // 2, counting.calls}:
        check = Check(at)
        with pytest.raises(Gone):
            decode_audio(data, sample_rate=RATE, max_seconds=100, check=check)
        assert check.calls <= at + 1
        assert decode_memory().held == 0
    # libsndfile's callbacks tell of exceptions there.
    assert capfd.readouterr() == ("", "")


def test_a_file_that_nobody_needs_any_more_ends() -> None:
    file, buffer = audio._Bytes(bytes(100), Check(3)), bytearray(10)

    assert [file.readinto(buffer) for _ in range(4)] == [10, 10, 0, 0]
    assert file.tell() == 20
    with pytest.raises(Gone):
        file.check()


def test_the_seconds_of_a_request_are_limited() -> None:
    limit = RequestLimit(5, lambda seconds: f"{seconds:g} s together")
    for _ in range(2):
        decode_audio(encoded(sine(2)), sample_rate=RATE, max_seconds=3, request=limit)

    with pytest.raises(InvalidInput, match=r"^6 s together$"):
        decode_audio(encoded(sine(2)), sample_rate=RATE, max_seconds=3, request=limit)


def test_the_seconds_of_a_request_are_limited_where_a_header_does_not_say_them() -> None:
    data = flac_claiming(sine(3), frames=0)
    limit = RequestLimit(5, lambda seconds: f"{seconds:g} s together")
    decode_audio(data, sample_rate=RATE, max_seconds=3, request=limit)

    with pytest.raises(InvalidInput, match=r"^6 s together$"):
        decode_audio(data, sample_rate=RATE, max_seconds=3, request=limit)


def test_raw_samples_count_in_the_seconds_of_a_request() -> None:
    limit = RequestLimit(5, lambda seconds: f"{seconds:g} s together")

    def accept() -> np.ndarray:
        return accept_samples(
            sine(3, rate=8_000), rate=8_000, sample_rate=RATE, max_seconds=3, request=limit
        )

    assert len(accept()) == 3 * RATE
    with pytest.raises(InvalidInput, match=r"^6 s together$"):
        accept()


@pytest.mark.parametrize(
    "error", [MemoryError(), soundfile.SoundFileRuntimeError("Internal malloc () failed.")]
)
def test_a_lack_of_memory_is_no_damage(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)

    with pytest.raises(
        Overloaded, match=r"^tensor 'audio': audio: not enough memory to decode it now; try again"
    ):
        decode(encoded(sine(1)))
    assert decode_memory().held == 0


def test_memory_is_reserved_until_the_samples_are_freed() -> None:
    samples = decode(encoded(sine(2)))
    chunk = samples[100:200]

    assert decode_memory().held == 2 * 4 * 2 * RATE
    del samples
    assert decode_memory().held == 2 * 4 * 2 * RATE
    del chunk
    assert decode_memory().held == 0


@pytest.mark.parametrize("frames", [0, RATE])
def test_audio_that_the_budget_has_no_room_for_is_refused(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = flac_claiming(sine(1), frames=frames)
    monkeypatch.setattr(audio, "decode_memory", lambda: DecodeMemory(1_000_000))

    with pytest.raises(InvalidInput, match="INFERGRAPH_DECODE_MEMORY_BYTES"):
        decode(data)


def encoded_in_pieces(samples: np.ndarray, format: str) -> bytes:
    """A file of any length: libsndfile's Vorbis encoder has no room for much at a time."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, format=format) as encoder:
        for start in range(0, len(samples), 1 << 13):
            encoder.write(samples[start : start + (1 << 13)])
    return file.getvalue()


def flac_claiming(sound: np.ndarray, *, frames: int) -> bytes:
    """A FLAC file whose header says that it has `frames` samples; 0 means unknown."""
    data = bytearray(encoded(sound, format="FLAC"))
    data[21] = (data[21] & 0xF0) | (frames >> 32)
    data[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)
