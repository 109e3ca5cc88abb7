"""Features and labels of spoken utterances, without speaking any."""

import random
from functools import partial

import numpy as np
import pytest

from zoo.speech import (
    HELD_OUT_VOICES,
    Utterance,
    development_utterances,
    held_out_utterances,
    training_utterances,
)
from zoo.speech_data import Example, build_processor, fast_log_mel

RATE = 16_000


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


def test_utterances_are_a_function_of_the_seed() -> None:
    assert training_utterances(0, 40) == training_utterances(0, 40)
    assert training_utterances(0, 40) != training_utterances(1, 40)
    assert training_utterances(0, 60)[:40] == training_utterances(0, 40)


def test_held_out_variants_occur_nowhere_in_training() -> None:
    held_out = {voice.split("+")[1] for voice in HELD_OUT_VOICES}
    trained = {u.voice.split("+")[1] for u in training_utterances(0, 3000)}
    trained |= {u.voice.split("+")[1] for u in development_utterances(0, 200)}
    assert len(held_out) == 2
    assert len(trained) > 20
    assert held_out.isdisjoint(trained)
    assert {u.voice for u in held_out_utterances(0, 10)} == set(HELD_OUT_VOICES)


def test_no_held_out_transcript_is_trained() -> None:
    trained = {sentence for u in training_utterances(0, 3000) for sentence in u.texts}
    assert not any(set(u.texts) & trained for u in held_out_utterances(1, 300))


def test_a_transcript_joins_the_sentences() -> None:
    utterance = Utterance(("Anna is thirty-five.", "Who is she?"), "en-us+m1")
    assert utterance.transcript == "anna is thirty five who is she"


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
    batches = list(training._batches(examples, random.Random(1)))
    assert sorted(e.transcript for b in batches for e in b) == sorted(map(str, range(200)))
    assert all(max(len(e.features) for e in b) * len(b) <= 1600 for b in batches)
