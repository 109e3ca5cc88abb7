"""Text to speech: every family, alone and with neighbours, whole and in parts."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers as hf

from infergraph.errors import ConfigurationError, InvalidInput, Rejected
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tasks.speech.synthesizers import FastSpeech2
from infergraph.v2 import Message, Tensor

from .conftest import Ask, Serve

Checkpoint = Callable[[str], str]

FAMILIES = ["fastspeech2", "fastspeech2-hifigan", "speecht5"]
TEXT = "Ab lama one. Two sam, and more!"


async def spoken(
    checkpoint: Checkpoint, serve: Serve, family: str = "fastspeech2", **settings: Any
) -> Runtime:
    if family == "speecht5":
        settings = {"vocoder": checkpoint("hifigan"), **settings}
    return await serve("text-to-speech", checkpoint(family), **settings)


def samples(audio: bytes) -> np.ndarray[Any, Any]:
    return soundfile.read(io.BytesIO(audio), dtype="int16")[0]


async def parts(
    runtime: Runtime, text: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    message = Message([Tensor.of_bytes("text", [text.encode()])], parameters=dict(parameters or {}))
    return [
        {tensor.name: tensor.data.ravel()[0] for tensor in part.tensors}
        async for part in runtime.infer_stream(message, RequestContext())
    ]


@pytest.mark.parametrize("family", FAMILIES)
async def test_what_is_said_does_not_depend_on_neighbours(
    family: str, checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, family)
    texts = [TEXT, "baa", "a longer text that lasts and lasts, and goes on and on", TEXT]
    together = await ask(runtime, text=texts)
    for number, text in enumerate(texts):
        alone = await ask(runtime, text=[text])
        one, other = samples(alone["audio"][0]), samples(together["audio"][number])
        assert len(one) == len(other) == alone["num_samples"][0]
        # Of sums in another order the last bits differ.
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 8
    first, second = (samples(together["audio"][number]) for number in (0, 1))
    assert len(first) != len(second)


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_parts_of_a_stream_are_the_whole(
    family: str, checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, family)
    whole = await ask(runtime, text=[TEXT])
    came = await parts(runtime, TEXT)
    assert len(came) > 2
    joined = np.concatenate([samples(part["audio"]) for part in came])
    assert np.array_equal(joined, samples(whole["audio"][0]))
    assert sum(part["num_samples"] for part in came) == whole["num_samples"][0]
    assert {part["sampling_rate"] for part in came} == {whole["sampling_rate"][0]}


async def test_sound_comes_before_half_of_it_is_computed(
    checkpoint: Checkpoint, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await spoken(checkpoint, serve)
    vocoder = type(runtime.model.vocoder)
    begun: list[int] = []
    begin = vocoder.begin

    def counted(self: Any, frames: torch.Tensor) -> Any:
        begun.append(len(frames))
        return begin(self, frames)

    monkeypatch.setattr(vocoder, "begin", counted)
    text = " ".join(["Ab lama one."] * 6)
    message = Message([Tensor.of_bytes("text", [text.encode()])])
    stream = runtime.infer_stream(message, RequestContext())
    await anext(stream)
    seen = len(begun)
    async for _ in stream:
        pass
    assert len(begun) == 6
    assert seen <= 3


async def test_flac_is_the_same_sound(checkpoint: Checkpoint, serve: Serve, ask: Ask) -> None:
    runtime = await spoken(checkpoint, serve)
    wav = await ask(runtime, text=[TEXT])
    flac = await ask(runtime, {"format": "flac"}, text=[TEXT])
    assert wav["audio"][0].startswith(b"RIFF")
    assert flac["audio"][0].startswith(b"fLaC")
    assert np.array_equal(samples(wav["audio"][0]), samples(flac["audio"][0]))


async def test_speed_changes_how_long_it_takes(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, pause_seconds=0)
    lengths = {
        speed: (await ask(runtime, {"speed": speed}, text=[TEXT]))["num_samples"][0]
        for speed in (0.5, 1.0, 2.0)
    }
    assert 1.7 < lengths[0.5] / lengths[1.0] < 2.3
    assert 1.5 < lengths[1.0] / lengths[2.0] < 2.5


async def test_a_network_without_speed_refuses_one(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, "speecht5")
    with pytest.raises(InvalidInput, match=r"'speed' = 2: .*accepted: 1"):
        await ask(runtime, {"speed": 2}, text=[TEXT])
    with pytest.raises(ConfigurationError, match=r"setting 'speed' = 2: .*accepted: 1"):
        await spoken(checkpoint, serve, "speecht5", speed=2)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"speed": 3}, "'speed' = 3: input should be less than or equal to 2"),
        ({"format": "mp3"}, "'format' = 'mp3': input should be 'wav' or 'flac'"),
        ({"voice": "x"}, "unknown parameter 'voice'; accepted: format, speed"),
    ],
)
async def test_wrong_parameters_are_named(
    parameters: dict[str, Any], said: str, checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve)
    with pytest.raises(InvalidInput, match=said):
        await ask(runtime, parameters, text=[TEXT])


async def test_an_empty_text_is_refused_and_no_other_one(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve)
    for text in ("", "  \n", "?!", "..."):
        with pytest.raises(Rejected, match="accepted: at least one word"):
            await ask(runtime, text=[text])
    with pytest.raises(InvalidInput, match=r"item 1.*U\+4E16.*cannot be said"):
        await ask(runtime, text=["fine", "not \u4e16"])
    assert (await ask(runtime, text=["fine"]))["num_samples"][0] > 0


async def test_long_texts_are_spoken_and_longer_ones_refused(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, "fastspeech2-hifigan", speed=2)
    text = ("all small balls. " * 600)[:10_000]
    answer = await ask(runtime, text=[text])
    one = await ask(runtime, text=["all small balls."])
    assert answer["num_samples"][0] > 100 * one["num_samples"][0]
    with pytest.raises(InvalidInput, match="10001 characters; accepted: at most 10000"):
        await ask(runtime, text=["a" * 10_001])


async def test_pauses_stand_around_sentences(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, pause_seconds=0.5)
    sound = samples((await ask(runtime, text=["Ab. Lama."]))["audio"][0])
    rate = 16_000
    assert not sound[: rate // 2].any()
    assert not sound[-rate // 2 :].any()
    assert sound.any()


async def test_letters_that_speecht5_has_no_token_for_are_named(
    checkpoint: Checkpoint, serve: Serve, ask: Ask
) -> None:
    runtime = await spoken(checkpoint, serve, "speecht5")
    speller = runtime.model.speller
    said = speller._tokenizer
    unknown = said.unk_token_id

    class Fewer:
        unk_token_id = unknown

        def __call__(self, text: str) -> Any:
            made = said(text)
            made["input_ids"] = [unknown] if "q" in text else made["input_ids"]
            return made

    speller._tokenizer = Fewer()
    with pytest.raises(InvalidInput, match=r"no token for 'q' \(U\+0071\)"):
        await ask(runtime, text=["a queen"])


async def test_a_speaker_is_a_vector_of_the_right_size(
    checkpoint: Checkpoint, serve: Serve, ask: Ask, tmp_path: Path
) -> None:
    np.save(tmp_path / "voice.npy", np.arange(6, dtype=np.float32))
    np.save(tmp_path / "long.npy", np.zeros(7, np.float32))
    plain = await spoken(checkpoint, serve, "speecht5")
    voiced = await spoken(checkpoint, serve, "speecht5", speaker=str(tmp_path / "voice.npy"))
    one, other = [(await ask(each, text=["ab"]))["audio"][0] for each in (plain, voiced)]
    assert one != other
    with pytest.raises(ConfigurationError, match=r"shape \[7\]; accepted: 6 finite numbers"):
        await spoken(checkpoint, serve, "speecht5", speaker=str(tmp_path / "long.npy"))
    with pytest.raises(ConfigurationError, match=r"setting 'speaker' = .*No such file"):
        await spoken(checkpoint, serve, "speecht5", speaker="none.npy")


async def test_what_is_missing_is_named(
    checkpoint: Checkpoint, serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"setting 'vocoder' is none.*HiFi-GAN"):
        await serve("text-to-speech", checkpoint("speecht5"), vocoder=None)
    with pytest.raises(ConfigurationError, match="kind 'bert'; accepted: fastspeech2_conformer"):
        await serve("text-to-speech", checkpoint("bert"))
    hf.SpeechT5HifiGan(
        hf.SpeechT5HifiGanConfig(model_in_dim=9, upsample_initial_channel=32)
    ).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="frames of 9 bins; accepted: 8"):
        await serve("text-to-speech", checkpoint("speecht5"), vocoder=str(tmp_path))


async def test_a_checkpoint_of_phonemes_needs_a_pronunciation(
    checkpoint: Checkpoint, serve: Serve, ask: Ask, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(
        checkpoint("fastspeech2-hifigan"), bare, ignore=shutil.ignore_patterns("pronunciation*")
    )
    with pytest.raises(ConfigurationError, match=r"setting 'pronunciation' = None.*accepted"):
        await serve("text-to-speech", str(bare))
    given = await serve(
        "text-to-speech", str(bare), pronunciation=checkpoint("fastspeech2-hifigan")
    )
    own = await serve("text-to-speech", checkpoint("fastspeech2-hifigan"))
    one, other = [(await ask(each, text=[TEXT]))["audio"][0] for each in (given, own)]
    assert one == other


def test_fastspeech2_alone_is_what_transformers_computes(checkpoint: Checkpoint) -> None:
    """Masks are for neighbours: alone, the frames are those of the library's own forward pass."""
    network = hf.FastSpeech2ConformerModel.from_pretrained(checkpoint("fastspeech2")).eval()
    count = len(json.loads(Path(checkpoint("fastspeech2"), "vocab.json").read_text()))
    tokens = [index % (count - 2) + 2 for index in range(17)]
    with torch.inference_mode():
        expected = network(torch.tensor([tokens])).spectrogram[0]
        synthesizer = FastSpeech2(network)
        (alone,) = synthesizer([tokens], [1.0])
        beside, _ = synthesizer([tokens, tokens + tokens], [1.0, 1.0])
    torch.testing.assert_close(alone, expected)
    torch.testing.assert_close(beside, expected, atol=1e-4, rtol=1e-4)
