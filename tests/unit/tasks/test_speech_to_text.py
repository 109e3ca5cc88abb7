"""Every family of the variants runs through the same runtime, on small random checkpoints."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers as hf

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.tasks.speech.recognizers import Transcript
from infergraph.tasks.speech_to_text import SpeechToText
from infergraph.v2 import Message, Tensor
from tests import checkpoints
from tests.exhaustive import one_in
from tests.sounds import chirps, encoded, sine, warble
from tests.unit.runtime.workbench import settle

from .conftest import MODEL_SETTINGS, Ask, Serve

CTC = [
    "wav2vec2-group",
    "wav2vec2-layer",
    "hubert-layer",
    "wavlm-layer",
    "wav2vec2-bert",
    "wav2vec2-bert-adapter",
]
SAMPLES = Path(__file__).parents[2] / "samples"
EMBEDDED = str(MODEL_SETTINGS / "speech-to-text" / "embedded")
of_each_language = pytest.mark.parametrize("model", ["speech-to-text", "speech-to-text-de"])
QUESTIONS = json.loads((SAMPLES / "samples.json").read_text())
SEQUENCE = ["speech2text", "whisper-en", "whisper-multilingual"]

# Untrained networks find nothing likely, hence `min_score=0` where their texts matter.
# WavLM's own code mixes mask types.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning"),
]


def clips() -> list[bytes]:
    """Of uneven length, one below the receptive field of any network, two of the same length."""
    lengths = [1.3, 0.02, 2.7, 2.7, 0.5, 3.1]
    return [encoded(chirps(seconds, seed)) for seed, seconds in enumerate(lengths)]


@pytest.mark.parametrize("family", one_in(2, CTC + SEQUENCE))
async def test_an_answer_does_not_depend_on_its_batch(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint(family), max_batch_size=4, min_score=0)
    sounds = clips()

    alone = [(await ask(runtime, audio=[sound]))["text"][0] for sound in sounds]
    together = (await ask(runtime, audio=sounds))["text"]
    reversed_order = (await ask(runtime, audio=sounds[::-1]))["text"]

    assert together == alone
    assert reversed_order[::-1] == alone
    assert len(set(alone)) >= 4, "different sounds should give different texts"


def within_silence(sound: np.ndarray) -> np.ndarray:
    """Sound that nothing is added to."""
    return np.pad(sound, (3_200, 8_000))


@pytest.mark.parametrize("family", [each for each in CTC if not each.endswith("adapter")])
async def test_ctc_texts_are_those_of_transformers(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("speech-to-text", folder, min_score=0)
    sound = within_silence(chirps(2.0, 21))
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    network = hf.AutoModelForCTC.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt", padding=True)
    with torch.inference_mode():
        tokens = network(**inputs).logits.argmax(dim=-1)[0]
    # With skip_special_tokens, transformers 5 drops blanks first and then joins double letters.
    expected = re.sub("<[^>]*>", "", tokenizer.decode(tokens)).strip()

    text = (await ask(runtime, audio=[encoded(sound, subtype="FLOAT")]))["text"][0]

    assert len(expected) > 5
    assert text == expected


@pytest.mark.parametrize("family", ["wav2vec2-bert-adapter", "speech2text"])
async def test_where_convolutions_see_the_end_texts_are_those_of_a_padded_batch(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("speech-to-text", folder, min_score=0)
    sound, longer = chirps(2.0, 46), chirps(3.0, 24)
    if family in CTC:
        sound = within_silence(sound)
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    inputs = extractor([sound, longer], sampling_rate=16_000, return_tensors="pt", padding=True)
    if family == "speech2text":
        network = hf.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
        expected = tokenizer.decode(network.generate(**inputs)[0], skip_special_tokens=True)
    else:
        network = hf.AutoModelForCTC.from_pretrained(folder).eval()
        frames = network._get_feat_extract_output_lengths(inputs["attention_mask"].sum(dim=1))
        with torch.inference_mode():
            tokens = network(**inputs).logits.argmax(dim=-1)[0]
        expected = re.sub("<[^>]*>", "", tokenizer.decode(tokens[: int(frames[0])]))

    text = (await ask(runtime, audio=[encoded(sound, subtype="FLOAT")]))["text"][0]

    assert len(expected) > 5
    assert text == expected.strip()


@pytest.mark.parametrize("family", ["whisper-en", "whisper-multilingual"])
async def test_whisper_texts_are_those_of_transformers(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("speech-to-text", folder, min_score=0)
    sound = chirps(2.0, 22)
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    network = hf.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt")
    task = {"task": "transcribe"} if family == "whisper-multilingual" else {}
    tokens = network.generate(inputs["input_features"], **task)
    expected = tokenizer.batch_decode(tokens, skip_special_tokens=True)[0].strip()

    text = (await ask(runtime, audio=[encoded(sound, subtype="FLOAT")]))["text"][0]

    assert len(expected) > 5
    assert text == expected


async def test_every_format_and_rate_gives_the_same_text(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"))
    sound = chirps(1.5, 9)
    stereo = np.stack([sound, sound], axis=1)

    answer = await ask(
        runtime,
        audio=[
            encoded(sound, subtype="PCM_16"),
            encoded(stereo, subtype="PCM_16"),
            encoded(sound, format="FLAC", subtype="PCM_16"),
        ],
    )

    assert len(set(answer["text"])) == 1
    assert len(answer["text"][0]) > 5


class Recorder:
    """A recogniser that says how long each clip is, and records its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(
        self, inputs: dict[str, Any], lengths: torch.Tensor | None, seconds: Sequence[float]
    ) -> list[Transcript]:
        values = next(iter(inputs.values()))
        counts: Sequence[int] = (
            [values.shape[1]] * len(values) if lengths is None else lengths.tolist()
        )
        self.batches.append(len(counts))
        return [Transcript(str(count), -1.0, 1) for count in counts]


async def test_long_audio_is_cut_at_its_pauses_and_joined(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "speech-to-text", checkpoint("wav2vec2-bert"), chunk_seconds=2, max_batch_size=3
    )
    assert isinstance(runtime, SpeechToText)
    recorder = Recorder()
    runtime.model = replace(runtime.model, recognizer=recorder)
    sound = warble(5)
    for second in (1.7, 3.3):
        sound[round((second - 0.15) * 16_000) : round((second + 0.15) * 16_000)] = 0

    answer = await ask(runtime, audio=[encoded(sound), encoded(warble(1))])

    long, short = ([int(count) for count in text.split()] for text in answer["text"])
    # Frames of 20 ms: cut within the pauses around 1.7 s and 3.3 s, each piece with silence around.
    assert [each * 0.02 for each in long] == pytest.approx([2.25, 2.0, 2.25], abs=0.06)
    assert [each * 0.02 for each in short] == pytest.approx([1.7], abs=0.03)
    assert max(recorder.batches) <= 3
    assert sum(recorder.batches) == 4


async def test_chunks_without_speech_are_not_transcribed(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"), chunk_seconds=2)
    assert isinstance(runtime, SpeechToText)
    recorder = Recorder()
    runtime.model = replace(runtime.model, recognizer=recorder)
    sound = np.concatenate([warble(1.5), np.zeros(20 * 16_000, np.float32), warble(1.5)])

    answer = await ask(
        runtime, audio=[encoded(sound), encoded(np.zeros(32_000)), encoded(warble(1))]
    )

    # Frames of 20 ms: what is said, and the silence that is left or made before and after it.
    frames = [sum(map(int, text.split())) for text in answer["text"]]
    # The second time somebody speaks, a cut falls into it.
    assert frames[0] * 0.02 == pytest.approx(2 * 1.5 + 3 * (0.2 + 0.5), abs=0.1)
    assert answer["text"][1] == ""
    assert frames[2] * 0.02 == pytest.approx(0.2 + 1 + 0.5, abs=0.03)
    assert sum(recorder.batches) <= 5


def spoken(stem: str) -> np.ndarray:
    samples, rate = soundfile.read(SAMPLES / f"{stem}.wav", dtype="float32")
    assert rate == 16_000
    return samples


def faint_noise(seconds: float) -> np.ndarray:
    """White noise of -60 dB relative to a root mean square of 1."""
    return np.random.default_rng(3).standard_normal(round(seconds * 16_000)) * 1e-3


@of_each_language
async def test_an_embedded_checkpoint_hears_nothing_where_nobody_speaks(
    serve: Serve, ask: Ask, model: str
) -> None:
    runtime = await serve(model, str(MODEL_SETTINGS / model / "embedded"))
    sounds = [np.zeros(48_000), faint_noise(3), faint_noise(40), np.ones(1)]

    assert (await ask(runtime, audio=[encoded(each) for each in sounds]))["text"] == [""] * 4
    assert (await ask(runtime, samples=np.zeros((1, 16_000), np.float32)))["text"] == [""]


async def test_the_embedded_checkpoint_hears_what_is_said_between_silence(
    serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", EMBEDDED)
    said = {each["audio"].split(".")[0]: each["transcript"] for each in QUESTIONS}
    questions = {stem: spoken(stem) for stem in ("question-1", "question-2", "question-3")}
    quiet = [encoded(0.05 * sound, subtype="FLOAT") for sound in questions.values()]
    around = [
        encoded(np.concatenate([faint_noise(4), sound, faint_noise(20)]))
        for sound in questions.values()
    ]

    assert (await ask(runtime, audio=quiet))["text"] == [said[stem] for stem in questions]
    assert (await ask(runtime, audio=around))["text"] == [said[stem] for stem in questions]


def humming(seconds: float) -> np.ndarray:
    return 0.1 * sine(seconds, hertz=100.0) + 10 * faint_noise(seconds)


@of_each_language
async def test_an_embedded_checkpoint_hears_nothing_in_steady_noise(
    serve: Serve, ask: Ask, model: str
) -> None:
    runtime = await serve(model, str(MODEL_SETTINGS / model / "embedded"))
    sounds = [10 * faint_noise(3), humming(5), humming(40), sine(1), sine(1)[:5]]

    answer = await ask(runtime, audio=[encoded(each) for each in sounds])

    assert answer["text"] == [""] * 5
    assert answer["score"] == [1.0] * 5


async def test_the_embedded_checkpoint_hears_what_is_said_in_noise(serve: Serve, ask: Ask) -> None:
    runtime = await serve("speech-to-text", EMBEDDED)
    said = {each["audio"].split(".")[0]: each["transcript"] for each in QUESTIONS}
    stems = ("question-1", "question-2", "question-3")
    in_noise = [
        encoded(
            np.concatenate([np.zeros(64_000), spoken(stem), np.zeros(64_000)])
            + 5 * faint_noise(8 + len(spoken(stem)) / 16_000)
        )
        for stem in stems
    ]

    clean = await ask(runtime, audio=[encoded(spoken(stem)) for stem in stems])
    noisy = await ask(runtime, audio=in_noise)

    assert noisy["text"] == clean["text"] == [said[stem] for stem in stems]
    # Surer of what it hears well.
    assert all(score > 0.8 for score in clean["score"])
    assert sum(noisy["score"]) < sum(clean["score"])


@of_each_language
async def test_letters_that_are_not_likely_are_no_text(serve: Serve, ask: Ask, model: str) -> None:
    sounds = [encoded(chirps(5, seed)) for seed in (0, 4)]
    embedded = str(MODEL_SETTINGS / model / "embedded")
    runtime = await serve(model, embedded)
    believing = await serve(model, embedded, min_score=0)

    answer = await ask(runtime, audio=sounds)
    believed = await ask(believing, audio=sounds)

    assert answer["text"] == ["", ""]
    assert answer["score"] == believed["score"]
    assert all(score < 0.5 for score in answer["score"])
    assert all(len(text) > 5 for text in believed["text"])


async def test_silence_is_what_the_setting_says(serve: Serve, ask: Ask) -> None:
    question = encoded(spoken("question-1"))
    deaf = await serve("speech-to-text", EMBEDDED, silence_dbfs=0)
    alert = await serve(
        "speech-to-text", EMBEDDED, silence_dbfs=-200, speech_rise_db=0, min_score=0
    )

    assert (await ask(deaf, audio=[question]))["text"] == [""]
    assert (await ask(alert, audio=[encoded(faint_noise(3))]))["text"] != [""]


async def test_chunks_are_transcribed_as_if_alone(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "speech-to-text", checkpoint("wav2vec2-bert"), chunk_seconds=2, min_score=0
    )
    parts = [chirps(1.7, seed) for seed in (1, 2, 3)]
    silence = np.zeros(round(0.2 * 16_000), np.float32)
    whole = np.concatenate([part for sound in parts for part in (sound, silence)])
    assert isinstance(runtime, SpeechToText)
    pieces = runtime.prepare({"audio": encoded(whole, subtype="FLOAT")})

    answer = await ask(runtime, audio=[encoded(whole, subtype="FLOAT")])
    alone = [runtime.predict_batch([[piece]], None)[0]["text"] for piece in pieces]

    assert len(pieces) == 3
    assert answer["text"][0] == " ".join(alone)


async def test_group_normalised_networks_run_equal_lengths_together(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-group"))
    assert isinstance(runtime, SpeechToText)
    recorder = Recorder()
    runtime.model = replace(runtime.model, recognizer=recorder)

    seconds = (1, 2, 1, 3, 2, 1)
    answer = await ask(runtime, audio=[encoded(within_silence(warble(each))) for each in seconds])

    assert recorder.batches == [1, 2, 3]
    assert answer["text"] == [str(16_000 * each + 11_200) for each in seconds]


async def test_silence_is_answered(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("speech2text"))
    silence = encoded(np.zeros(16_000, np.float32))

    first, second = (await ask(runtime, audio=[silence, silence]))["text"]

    assert first == second


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "tensor 'audio': no bytes"),
        (b"not sound at all", "tensor 'audio': not audio (begins with b'not soun')"),
        (encoded(sine(0)), "tensor 'audio': the audio has zero length"),
        (encoded(sine(2.5)), "2.5 s of audio; accepted: at most 2 s (setting 'max_audio_seconds')"),
    ],
)
async def test_a_bad_item_is_the_callers_fault(
    data: bytes, text: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"), max_audio_seconds="2")

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, audio=[encoded(sine(1)), data])

    assert caught.value.status_code == 400
    assert text in str(caught.value)
    assert "item 1" in str(caught.value)


@pytest.mark.parametrize("raw", [False, True])
async def test_the_seconds_of_a_request_are_limited(
    raw: bool, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "speech-to-text", checkpoint("wav2vec2-bert"), max_request_audio_seconds="2.5"
    )

    async def send(count: int) -> list[Any]:
        if raw:
            return (await ask(runtime, samples=np.stack([sine(1)] * count)))["text"]
        return (await ask(runtime, audio=[encoded(sine(1))] * count))["text"]

    assert len(await send(2)) == 2
    with pytest.raises(InvalidInput) as caught:
        await send(3)

    assert (
        "3.0 s or more of audio in 3 items together; accepted: at most 2.5 s in a request "
        "(setting 'max_request_audio_seconds')"
    ) in str(caught.value)
    # A limit of each request, not of all.
    assert len(await send(2)) == 2


def rows(samples: Any, dtype: type = np.float32) -> Any:
    return np.asarray(samples, dtype)[None]


async def test_raw_samples_are_heard_like_a_file_of_them(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"))
    sound = chirps(1.7, 5)
    file = encoded(sound, subtype="FLOAT")

    (wanted,) = (await ask(runtime, audio=[file]))["text"]

    assert len(wanted) > 5
    assert (await ask(runtime, samples=rows(sound)))["text"] == [wanted]
    rate = np.array([[16_000]])
    assert (await ask(runtime, samples=rows(sound), sampling_rate=rate))["text"] == [wanted]
    half = np.asarray(sound, np.float16)
    wide = await ask(runtime, samples=rows(half.astype(np.float32)))
    assert await ask(runtime, samples=rows(half, np.float16)) == wide


async def test_raw_samples_of_another_rate(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"))
    sound = chirps(1.7, 5, rate=22_050)

    answer = await ask(runtime, samples=rows(sound), sampling_rate=np.array([[22_050]]))

    file = encoded(sound, rate=22_050, subtype="FLOAT")
    assert answer["text"] == (await ask(runtime, audio=[file]))["text"]


async def test_files_and_samples_of_any_length_run_in_one_batch(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"))
    inputs = [
        Tensor.of_bytes("audio", [encoded(sine(0.4))]),
        Tensor.of("samples", rows(sine(0.5))),
        Tensor.of("samples", rows(sine(0.6), np.float16)),
    ]

    # The model's thread is held until all are prepared: some then wait behind the first batch.
    release = threading.Event()
    blocker = runtime._thread.submit(release.wait, 60)
    asked = [
        asyncio.ensure_future(runtime.infer(Message([each]), RequestContext(trace=True)))
        for each in inputs
    ]
    await asyncio.sleep(0)
    while runtime._engine._preparation._running:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    await settle()
    release.set()
    answers = await asyncio.gather(*asked)
    blocker.result()

    sizes = [answer.trace["batch_size"] for answer in answers if answer.trace]
    batches = round(sum(1 / size for size in sizes))
    assert batches <= 2, sizes


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"samples": rows([])}, "tensor 'samples': the audio has zero length"),
        ({"samples": rows([0, np.nan])}, "tensor 'samples': the audio has samples that are NaN"),
        ({"samples": rows(sine(2.5))}, "2.5 s of audio; accepted: at most 2 s"),
        (
            {"samples": rows(sine(1)), "sampling_rate": np.array([[10]])},
            "tensor 'samples': a sample rate of 10 Hz; accepted: 1000 to 384000 Hz",
        ),
        (
            {"samples": rows(sine(1)), "audio": [encoded(sine(1))]},
            "both of the tensors 'audio' and 'samples' came; accepted: 'audio'",
        ),
        ({"sampling_rate": np.array([[16_000]])}, "neither of the tensors 'audio' and 'samples'"),
        (
            {"audio": [encoded(sine(1))], "sampling_rate": np.array([[16_000]])},
            "tensor 'sampling_rate' came with 'audio', whose file says it",
        ),
    ],
)
async def test_samples_that_are_not_accepted(
    inputs: dict[str, Any], text: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"), max_audio_seconds="2")

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, **inputs)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("family", "settings", "text"),
    [
        ("wav2vec2-bert", {"language": "fr"}, "'language' = 'fr': wav2vec2-bert is a CTC model"),
        ("wav2vec2-group", {"task": "translate"}, "'task' = 'translate': wav2vec2 is a CTC model"),
        ("wav2vec2-bert", {"num_beams": 4}, "'num_beams' = 4: wav2vec2-bert is a CTC model"),
        ("wav2vec2-bert", {"max_new_tokens": 9}, "'max_new_tokens' = 9: wav2vec2-bert is a CTC"),
        ("whisper-en", {"language": "en"}, "'language' = 'en': this Whisper checkpoint is for one"),
        ("whisper-en", {"task": "translate"}, "'task' = 'translate': this Whisper checkpoint"),
        ("whisper-multilingual", {"language": "xx"}, "'language' = 'xx'; accepted: de, en, fr"),
        ("whisper-en", {"max_new_tokens": 61}, "'max_new_tokens' = 61: the checkpoint's decoder"),
        ("speech2text", {"task": "translate"}, "speech_to_text only transcribes"),
        (
            "speech2text",
            {"logprob_threshold": -2},
            "'logprob_threshold' = -2.0: speech_to_text is no CTC",
        ),
        ("wav2vec2-bert", {"max_tokens_per_second": 9}, "= 9.0: wav2vec2-bert is a CTC model"),
        ("whisper-en", {"no_speech_threshold": 2}, "less than or equal to 1"),
        ("speech2text", {"language": "fr"}, "'language' = 'fr'; accepted: none, the checkpoint"),
        (
            "whisper-en",
            {"chunk_seconds": 31},
            "'chunk_seconds' = 31: the checkpoint takes at most 30",
        ),
        ("wav2vec2-bert", {"chunk_seconds": 0.5}, "greater than or equal to 1"),
        ("wav2vec2-bert", {"task": "sing"}, "'transcribe' or 'translate'"),
        ("bert-qa", {}, "the architecture 'bert' does not transcribe speech; accepted: CTC ("),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    family: str,
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve("speech-to-text", checkpoint(family), **settings)

    assert text in str(caught.value)


async def test_language_and_task_choose_whispers_prompt(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    sound = encoded(chirps(2, 30))
    texts = set()
    for settings in ({"language": "fr"}, {"language": "German"}, {"task": "translate"}):
        runtime = await serve(
            "speech-to-text", checkpoint("whisper-multilingual"), max_new_tokens=12, **settings
        )
        text = (await ask(runtime, audio=[sound]))["text"][0]
        assert len(text) <= 12
        texts.add(text)

    assert len(texts) == 3


async def test_beams_are_searched(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    sounds = clips()
    runtime = await serve("speech-to-text", checkpoint("speech2text"), num_beams=3, min_score=0)

    alone = [(await ask(runtime, audio=[sound]))["text"][0] for sound in sounds]

    assert (await ask(runtime, audio=sounds))["text"] == alone


async def test_bin_is_read_where_there_are_no_safetensors(
    tmp_path: Path, serve: Serve, ask: Ask
) -> None:
    folder = checkpoints.wav2vec2_bert(tmp_path)
    sound = encoded(chirps(2.0, 22))
    expected = await ask(await serve("speech-to-text", folder, min_score=0), audio=[sound])
    network = hf.AutoModelForCTC.from_pretrained(folder)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")

    runtime = await serve("speech-to-text", folder, min_score=0)

    assert expected["text"] != [""]
    assert await ask(runtime, audio=[sound]) == expected


@pytest.mark.parametrize("family", one_in(2, CTC + SEQUENCE))
async def test_the_score_is_a_probability_and_that_of_the_clip_alone(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("speech-to-text", checkpoint(family), max_batch_size=4, min_score=0)
    sounds = clips()

    together = (await ask(runtime, audio=sounds))["score"]
    alone = [(await ask(runtime, audio=[sound]))["score"][0] for sound in sounds]

    assert all(0 < score <= 1 for score in together)
    assert len(set(together)) >= 4
    assert together == pytest.approx(alone, rel=1e-3)


async def test_the_score_of_several_chunks_is_the_mean_of_their_tokens(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("speech-to-text", checkpoint("wav2vec2-bert"), chunk_seconds=2)
    assert isinstance(runtime, SpeechToText)
    transcripts = iter([Transcript("one", -1.0, 3), Transcript("", -5.0, 1)])
    runtime.model = replace(
        runtime.model,
        recognizer=lambda inputs, lengths, seconds: [next(transcripts) for _ in seconds],
    )
    chunks = [each for _ in range(2) for each in runtime.prepare({"samples": warble(1)})]

    answer = runtime.predict_batch([chunks], None)

    assert answer == [{"text": "one", "score": pytest.approx(np.exp(-2.0))}]


async def test_the_score_of_a_text_is_what_its_network_thinks_of_it(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("whisper-en")
    runtime = await serve("speech-to-text", folder, num_beams=2)
    sound = chirps(2.0, 22)
    network = hf.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    features = hf.AutoFeatureExtractor.from_pretrained(folder)(
        sound, sampling_rate=16_000, return_tensors="pt"
    )["input_features"]

    answer = await ask(runtime, audio=[encoded(sound, subtype="FLOAT")])

    # It begins with a space, of which answers are stripped.
    said = tokenizer(" " + answer["text"][0], add_special_tokens=False).input_ids
    prompt = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
    with torch.inference_mode():
        logits = network(
            input_features=features, decoder_input_ids=torch.tensor([prompt + said])
        ).logits[0, 1:]
    likely = logits.log_softmax(dim=-1)
    wanted = [*said, tokenizer.eos_token_id]
    mean = np.mean([float(row[token]) for row, token in zip(likely, wanted, strict=True)])
    assert len(said) > 5
    assert answer["score"] == [pytest.approx(np.exp(mean), rel=1e-3)]


async def test_a_text_that_repeats_itself_for_ever_ends(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("speech2text")
    sound = chirps(2.0, 26)
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    network = hf.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt")
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    unbounded = tokenizer.decode(network.generate(**inputs)[0], skip_special_tokens=True)
    runtime = await serve("speech-to-text", folder, min_score=0)

    text = (await ask(runtime, audio=[encoded(sound, subtype="FLOAT")]))["text"][0]

    assert unbounded.count("in") >= 16
    assert unbounded.startswith(text)
    assert text.count("in") == 1


async def test_short_audio_has_few_tokens(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    sounds = [encoded(chirps(seconds, 22)) for seconds in (1.0, 2.0)]
    texts = {}
    for rate in (8, 12):
        runtime = await serve(
            "speech-to-text", checkpoint("whisper-en"), max_tokens_per_second=rate
        )
        texts[rate] = (await ask(runtime, audio=sounds))["text"]

    # The test's tokens are letters, or a space at the end; 16 are always allowed.
    assert [len(text) for text in texts[8]] == [16, 16]
    assert len(texts[12][0]) == 16 < len(texts[12][1]) <= 24


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"no_speech_threshold": 0, "logprob_threshold": 0}, False),
        ({"no_speech_threshold": 0, "logprob_threshold": -100}, True),
        ({"no_speech_threshold": 1, "logprob_threshold": 0}, True),
        ({"compression_ratio_threshold": 0.1}, False),
        ({"compression_ratio_threshold": 9}, True),
        ({"min_score": 0.9}, False),
    ],
    ids=["nobody speaks", "but it is sure", "somebody speaks", "repetitions", "none", "unlikely"],
)
async def test_what_whisper_itself_doubts_is_dropped(
    settings: dict[str, Any],
    kept: bool,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    sound = encoded(chirps(2.0, 22))
    plain = await serve("speech-to-text", checkpoint("whisper-en"), no_speech_threshold=1)
    runtime = await serve("speech-to-text", checkpoint("whisper-en"), **settings)

    wanted = await ask(plain, audio=[sound])
    answer = await ask(runtime, audio=[sound])

    assert len(wanted["text"][0]) > 5
    assert answer == (wanted if kept else wanted | {"text": [""]})
