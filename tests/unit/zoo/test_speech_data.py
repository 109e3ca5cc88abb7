"""Features and labels of spoken utterances, without speaking any."""

import json
import math
import random
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from infergraph.tasks.text.language_model import read_language_model
from zoo.speech import (
    HELD_OUT_ENGINES,
    SPEAKERS,
    Utterance,
    development_utterances,
    held_out_utterances,
    outside_utterances,
    speak,
    training_utterances,
    varied_utterances,
)
from zoo.speech_augmentation import _warped, augment
from zoo.speech_data import Example, build_processor, fast_log_mel
from zoo.speech_engines import ENGINES, say
from zoo.speech_language_model import bigrams, save_language_model
from zoo.world import vocabulary

RATE = 16_000
by_language = pytest.mark.parametrize("language", SPEAKERS)


def _sound(seconds: float, seed: int = 0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * noise).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 0.51, 0.515, 1.237])
def test_fast_features_are_those_of_the_saved_extractor(seconds: float) -> None:
    saved = build_processor().feature_extractor
    fast = build_processor().feature_extractor
    fast._extract_fbank_features = partial(fast_log_mel, fast)
    samples = _sound(seconds)
    expected = saved(samples, sampling_rate=RATE, return_tensors="np")
    made = fast(samples, sampling_rate=RATE, return_tensors="np")
    np.testing.assert_allclose(made.input_features, expected.input_features, atol=1e-3)
    np.testing.assert_array_equal(made.attention_mask, expected.attention_mask)


def test_the_tokenizer_spells_a_transcript_and_back() -> None:
    tokenizer = build_processor().tokenizer
    tokens = tokenizer("who's anna").input_ids
    assert tokenizer.convert_ids_to_tokens(tokens) == [*"who's", "|", *"anna"]
    # A blank between the two n: CTC merges equal neighbours.
    spelled = [t for i, t in enumerate(tokens) for t in ([0, t] if t == tokens[i - 1] else [t])]
    assert tokenizer.decode(spelled) == "who's anna"


def test_letters_of_a_language_come_after_those_of_all() -> None:
    english, german = (build_processor(each).tokenizer for each in ("en", "de"))
    assert {**german.get_vocab(), **english.get_vocab()} == german.get_vocab()
    assert set(german.get_vocab()) - set(english.get_vocab()) == set("äöüß")
    tokens = german("größer").input_ids
    assert german.unk_token_id not in tokens
    spelled = [t for i, t in enumerate(tokens) for t in ([0, t] if t == tokens[i - 1] else [t])]
    assert german.decode(spelled) == "größer"


def test_utterances_are_a_function_of_the_seed() -> None:
    assert training_utterances(0, 40) == training_utterances(0, 40)
    assert training_utterances(0, 40) != training_utterances(1, 40)
    assert training_utterances(0, 60)[:40] == training_utterances(0, 40)


@by_language
def test_held_out_variants_occur_nowhere_in_training(language: str) -> None:
    voices = SPEAKERS[language].held_out
    held_out = {voice.split("+")[1] for voice in voices}
    heard = (
        *training_utterances(0, 3000, language),
        *varied_utterances(0, 3000, language),
        *development_utterances(0, 200, language),
    )
    trained = {u.voice.split("+")[1] for u in heard if u.engine == "espeak-ng"}
    assert len(held_out) == 2
    assert len(trained) > 20
    assert held_out.isdisjoint(trained)
    held_out_voices = {u.voice for u in held_out_utterances(0, 10, language=language)}
    assert held_out_voices == set(voices)
    assert {u.language for u in heard} == {language}


def test_held_out_engines_speak_nowhere_in_training() -> None:
    trained = {u.engine for u in varied_utterances(0, 1000)}
    trained |= {u.engine for u in development_utterances(0, 200)}
    assert trained == {"espeak-ng", "flite", "pico"}
    assert trained.isdisjoint(HELD_OUT_ENGINES)
    for engine in HELD_OUT_ENGINES:
        spoken = held_out_utterances(1, 12, engine)
        assert {u.engine for u in spoken} == {engine}
        assert {u.voice for u in spoken} == {*ENGINES[engine].voices["en"]}
        assert [u.texts for u in spoken] == [u.texts for u in held_out_utterances(1, 12)]


def test_an_engine_without_a_voice_is_named() -> None:
    assert {u.voice for u in held_out_utterances(1, 4, "pico", "de")} == {"de-DE"}
    with pytest.raises(ValueError, match="festival has no voice for 'de'"):
        held_out_utterances(1, 4, "festival", "de")


@pytest.mark.parametrize(
    ("language", "others"), [("en", ["fr", "de", "es"]), ("de", ["en-us", "fr", "es"])]
)
def test_what_is_outside_is_of_other_subjects_and_other_languages(
    language: str, others: list[str]
) -> None:
    spoken = outside_utterances(0, 12, language)
    assert spoken == outside_utterances(0, 12, language)
    assert {u.voice for u in spoken[::2]} == set(SPEAKERS[language].held_out)
    assert [u.voice for u in spoken[1::2]] == others * 2
    known = vocabulary(language)
    for utterance in spoken:
        assert not known.issuperset(utterance.transcript.split()), utterance.transcript


def test_varied_utterances_are_a_function_of_the_seed() -> None:
    assert varied_utterances(0, 40) == varied_utterances(0, 60)[:40]
    assert varied_utterances(0, 40) != varied_utterances(1, 40)
    # Learned from already.
    assert not {u.texts for u in varied_utterances(0, 40)} & {
        u.texts for u in training_utterances(0, 40)
    }


class Tone:
    """An engine that speaks each text as a tone of one second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple] = []
        monkeypatch.setattr("zoo.speech.say", self.say)

    def say(self, *asked: object) -> np.ndarray:
        self.asked.append(asked)
        return _tone(440)


def _tone(hertz: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32)


def test_a_smaller_speaker_is_higher_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    tone = Tone(monkeypatch)
    samples = speak(Utterance(("Hello.",), "slt", engine="flite", size=1.25, lead=0, speed=200))

    assert tone.asked == [("flite", "Hello.", "slt", 160, 50)]
    assert len(samples) == pytest.approx(RATE / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * RATE / len(samples) == pytest.approx(440 * 1.25, abs=3)


def test_a_room_and_noise_change_the_sound_the_same_way_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Tone(monkeypatch)
    plain = Utterance(("Hello.",), "slt", engine="flite", lead=0.5)
    room, noisy = replace(plain, echo=0.4), replace(plain, noise=10.0, noise_tilt=0.8)
    dry, wet, rough = speak(plain), speak(room), speak(noisy)

    assert np.array_equal(speak(room), wet)
    assert np.array_equal(speak(noisy), rough)
    end = slice(int(1.52 * RATE), int(1.6 * RATE))
    assert not dry[end].any()
    assert np.abs(wet[end]).max() > 0.01
    added = rough[: RATE // 2].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(added)) ** 2
    assert spectrum[10:400].mean() > 5 * spectrum[-400:].mean()


def test_a_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(RuntimeError, match="flite is not on the PATH: install Debian's flite"):
        say("flite", "Hello.", "slt", 175, 50)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ttspico", None)
    with pytest.raises(RuntimeError, match="ttspico cannot be imported: install PyPI's ttspico"):
        say("pico", "Hello.", "en-US", 175, 50)


def test_an_engine_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: "/bin/false")
    with pytest.raises(RuntimeError, match="text2wave with voice 'kal_diphone' failed"):
        say("festival", "Hello.", "kal_diphone", 175, 50)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_says_more_when_slower(engine: str) -> None:
    (voice, *_) = ENGINES[engine].voices.get("en", SPEAKERS["en"].held_out)
    try:
        fast, slow = (say(engine, "Anna lives in Oslo.", voice, speed, 50) for speed in (200, 120))
    except RuntimeError as error:
        if "install" not in str(error):
            raise
        pytest.skip(str(error))
    assert RATE < len(fast) < len(slow) < 5 * RATE
    assert np.abs(fast).max() > 0.1


def test_augmented_features_are_others_of_the_same_utterance() -> None:
    features = np.random.default_rng(0).standard_normal((60, 240)).astype(np.float32)
    kept = features.copy()
    made = [augment(features, random.Random(seed), speakers=True) for seed in range(30)]

    assert np.array_equal(features, kept)
    assert all(each.dtype == np.float32 and each.shape[1] == 240 for each in made)
    assert 51 <= min(map(len, made)) < 60 < max(map(len, made)) <= 69
    again = augment(features, random.Random(3), speakers=True)
    assert np.array_equal(again, made[3])
    masked = augment(features, random.Random(0), speakers=False)
    # Only blanked, nothing moved.
    assert masked.shape == features.shape
    assert np.isin(masked, [*features.ravel(), 0]).all()
    assert (masked == 0).any()


def test_a_warped_spectrum_has_its_peaks_elsewhere() -> None:
    frames = np.zeros((1, 80), np.float32)
    frames[0, 40] = 1
    assert _warped(frames, 1.15).argmax() < 40 < _warped(frames, 0.87).argmax()
    np.testing.assert_allclose(_warped(frames, 1.0), frames, atol=1e-4)


@by_language
def test_no_held_out_transcript_is_trained(language: str) -> None:
    heard = (*training_utterances(0, 3000, language), *varied_utterances(0, 3000, language))
    trained = {sentence for u in heard for sentence in u.texts}
    held_out = held_out_utterances(1, 300, language=language)
    assert not any(set(u.texts) & trained for u in held_out)


def test_a_transcript_joins_the_sentences() -> None:
    utterance = Utterance(("Anna is thirty-five.", "Who is she?"), "en-us+m1")
    assert utterance.transcript == "anna is thirty five who is she"


def test_a_german_transcript_keeps_its_letters() -> None:
    assert Utterance(("Große Übung!",), "de+m1", language="de").transcript == "große übung"


@pytest.mark.exhaustive
def test_training_goes_on_from_another_languages_letters(tmp_path: Path) -> None:
    training = pytest.importorskip("zoo.train_speech_to_text")
    english, german = build_processor("en"), build_processor("de")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trained = training.build_model(len(english.tokenizer))
        model = training.build_model(len(german.tokenizer))
    trained.save_pretrained(tmp_path)
    english.save_pretrained(tmp_path)
    training.start_from(model, german, tmp_path)

    before, after = trained.state_dict(), model.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if "lm_head" not in n)
    for letter, base in {"a": "a", "z": "z", "ä": "a", "ö": "o", "ü": "u", "ß": "s"}.items():
        theirs = english.tokenizer.convert_tokens_to_ids(base)
        ours = german.tokenizer.convert_tokens_to_ids(letter)
        assert torch.equal(after["lm_head.weight"][ours], before["lm_head.weight"][theirs])
        assert after["lm_head.bias"][ours] == before["lm_head.bias"][theirs]


def test_a_batch_is_padded_and_masked() -> None:
    training = pytest.importorskip("zoo.train_speech_to_text")
    examples = [
        Example(np.ones((4, 240), np.float16), np.array([5, 6]), "bc"),
        Example(np.ones((2, 240), np.float16), np.array([7]), "d"),
    ]
    features, mask, labels = training._collate(examples, None)
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert features.sum(-1).tolist() == [[240] * 4, [240, 240, 0, 0]]
    assert labels.tolist() == [[5, 6], [7, -100]]


def test_an_epoch_has_each_example_once() -> None:
    training = pytest.importorskip("zoo.train_speech_to_text")
    rng = random.Random(0)
    examples = [
        Example(np.zeros((rng.randint(30, 300), 240), np.float16), np.array([i]), str(i))
        for i in range(200)
    ]
    batches = list(training._batches(examples, random.Random(1), 1600))
    assert sorted(e.transcript for b in batches for e in b) == sorted(map(str, range(200)))
    assert all(max(len(e.features) for e in b) * len(b) <= 1600 for b in batches)


def test_pairs_of_words_are_likelier_than_others_and_all_shares_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "language_model"
    folder.mkdir()
    (folder / "pairs.arpa").write_text(bigrams(["a goat", "a goat", "a cat"], ["a", "goat", "hat"]))
    (folder / "unigrams.txt").write_text("a cat goat hat")
    weights = {"alpha": 1.0, "beta": 0.0, "unk_score_offset": -10.0}
    (folder / "attrs.json").write_text(json.dumps(weights))
    model = read_language_model(tmp_path)

    after_a = {word: math.exp(model.score(("a",), word)[0]) for word in model.words}
    unknown = math.exp(model.score(("a",), "bat")[0] - model.unknown("bat"))
    assert sum(after_a.values()) + unknown == pytest.approx(1, abs=0.01)
    assert after_a["goat"] > after_a["cat"] > after_a["hat"] > 0
    assert math.exp(model.score(model.start, "a")[0]) > 0.7


@pytest.mark.parametrize(
    ("language", "before", "likely", "unlikely"),
    [("en", "who", "is", "goat"), ("de", "wo", "wohnt", "ziege")],
)
def test_the_embedded_language_is_the_worlds(
    tmp_path: Path, language: str, before: str, likely: str, unlikely: str
) -> None:
    save_language_model(tmp_path, language=language)
    model = read_language_model(tmp_path)
    assert model.words == vocabulary(language)
    scores = [model.score((before,), word)[0] for word in (likely, unlikely, "quux")]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
