"""Sentiment and language identification: examples, training and scores."""

from __future__ import annotations

import argparse
import random
import re
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from zoo import fitting, language_identification_data, sentiment_data
from zoo.evaluate_text_classification import FORMS, classify, report, report_scores
from zoo.language_identification_data import LABELS, single_sentences, unaccent
from zoo.lexicon import ENGLISH
from zoo.train_text_classification import (
    TASKS,
    batches,
    language_tokenizer,
    main,
    sentiment_tokenizer,
)
from zoo.world import ALL_LANGUAGES, normalise_transcript, reviews

POSITIVE = {*ENGLISH.words["good"], *ENGLISH.words["tasty"]}
NEGATIVE = {*ENGLISH.words["bad"], *ENGLISH.words["foul"]}


def words_of(text: str) -> set[str]:
    return set(normalise_transcript(text).split())


@pytest.mark.parametrize("data", [sentiment_data, language_identification_data])
def test_equal_seeds_give_equal_examples(data: SimpleNamespace) -> None:
    assert data.examples(3, 80) == data.examples(3, 80)
    assert data.examples(3, 80) != data.examples(4, 80)
    assert len(data.examples(3, 81)) == 81
    assert {label for _, label in data.examples(3, 80)} == set(data.LABELS)


def test_a_restated_opinion_has_the_words_of_its_label_unless_it_denies_them() -> None:
    rng = random.Random(0)
    denied = 0
    for label, own, other in (
        ("positive", POSITIVE, NEGATIVE),
        ("negative", NEGATIVE, POSITIVE),
    ):
        for _ in range(500):
            words = words_of(sentiment_data.restate(label, rng))
            if words & {"isn't", "wasn't", "not", "don't"} and words & (own | other):
                denied += 1
                assert words & other
            else:
                assert not words & (other - own)
    assert denied > 100


def test_shortened_reviews_keep_opinions_and_denials() -> None:
    rng = random.Random(0)
    shorter = 0
    for text, _ in reviews(0, 500, "train"):
        short = sentiment_data.shorten(text, rng)
        shorter += short != text
        kept = (POSITIVE | NEGATIVE | {"not", "never", "don't", "doesn't"}) & words_of(text)
        assert kept <= words_of(short)
    assert shorter > 400


def test_disguised_reviews_keep_their_other_words() -> None:
    text = "The best pizza in Oslo."
    seen = {sentiment_data.disguise(text, random.Random(seed)) for seed in range(40)}

    assert text in seen
    assert all(re.fullmatch(r"The best [a-z ]+ in [A-Z][A-Za-z ]+\.", each) for each in seen)
    assert any("pizza" not in each and "Oslo" not in each for each in seen)


def test_held_out_reviews_are_not_trained_on() -> None:
    held_out = {text for text, _ in reviews(1, 1000, "held_out")}

    assert held_out.isdisjoint(text for text, _ in sentiment_data.examples(0, 20_000))


def test_a_shortened_text_is_a_run_of_its_words() -> None:
    rng = random.Random(0)
    for _ in range(50):
        short = language_identification_data.shorten("eins zwei drei vier fünf", rng)
        assert short in "eins zwei drei vier fünf"
        assert 3 <= len(short.split()) <= 5
    assert language_identification_data.shorten("eins zwei", rng) == "eins zwei"


def test_unaccent_keeps_the_letters() -> None:
    assert unaccent("Où est l'été à Málaga, größer?") == "Ou est l'ete a Malaga, großer?"


def test_a_text_without_an_opinion_is_unknown() -> None:
    unknown = [text for text, label in sentiment_data.examples(0, 400) if label == "unknown"]

    assert len(unknown) == 120
    assert not {*unknown} & {text for text, _ in reviews(0, 2000, "train")}


@pytest.mark.exhaustive
def test_training_goes_on_from_a_checkpoint_with_fewer_labels(tmp_path: Path) -> None:
    arguments = ["--model=sentiment", "--steps=1", "--hidden-size=16", "--heads=2", "--layers=1"]
    arguments.append(f"--threads={torch.get_num_threads()}")
    main([*arguments, "--vocabulary=600", f"--output={tmp_path}"])
    weights = load_file(tmp_path / "model.safetensors")
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32)
    fewer = {
        name: weight[:2] if name.startswith("classifier") else weight
        for name, weight in weights.items()
    }
    fitting.go_on_from(network, fewer)

    for name, weight in network.state_dict().items():
        kept = len(fewer[name])
        assert torch.equal(weight[:kept], weights[name][:kept].float())
        assert not weight[kept:].any()


def test_every_language_is_drawn_as_often() -> None:
    drawn = [language for _, language in language_identification_data.examples(0, 900)]

    assert {drawn.count(language) for language in LABELS} == {100}


@pytest.mark.parametrize("language", ALL_LANGUAGES)
def test_held_out_sentences_are_of_their_language(language: str) -> None:
    common = {
        "en": {"the", "in", "does", "is", "for"},
        "fr": {"le", "la", "est", "à", "quelle"},
        "es": {"el", "la", "en", "es", "qué"},
        "de": {"der", "die", "das", "in", "ist"},
        "it": {"il", "la", "a", "di", "che"},
        "pt": {"o", "a", "em", "é", "que"},
        "nl": {"de", "het", "in", "van", "is"},
        "sv": {"i", "har", "är", "på", "en"},
    }
    sentences = single_sentences(0, 100, "held_out", language)
    words = {word for text in sentences for word in normalise_transcript(text, language).split()}

    assert len(common[language] & words) >= 4


def test_no_letter_is_unknown_to_a_tokenizer() -> None:
    texts = [text for text, _ in language_identification_data.examples(0, 400)]
    cased = language_tokenizer(texts, 600)
    uncased = sentiment_tokenizer([text for text, _ in reviews(0, 300, "train")], 500)

    for letter in {*"".join(texts), *"xyzXYZ0123456789?"}:
        assert cased.unk_token_id not in cased(f"a{letter}")["input_ids"]
    assert cased.unk_token_id in cased("漢字")["input_ids"]
    assert uncased.unk_token_id not in uncased("Zyx Quwe, isn't it 42?")["input_ids"]
    assert cased.decode(cased("Où est Anna ?")["input_ids"], skip_special_tokens=True) == (
        "Où est Anna ?"
    )


def test_a_batch_has_the_label_of_each_text() -> None:
    task = TASKS["sentiment"]
    tokenizer = task.tokenizer([text for text, _ in reviews(0, 300, "train")], 500)
    args = argparse.Namespace(seed=0, steps=3, batch_tokens=600)
    good = {tokenizer.convert_tokens_to_ids(word) for word in ("loved", "happy", "friendly")}
    bad = {tokenizer.convert_tokens_to_ids(word) for word in ("hated", "unhappy", "rude")}
    good, bad = good - {tokenizer.unk_token_id}, bad - {tokenizer.unk_token_id}
    seen = set()
    for batch in islice(batches(task, tokenizer, args), 3):
        assert batch["input_ids"].shape == batch["attention_mask"].shape
        assert batch["labels"].shape == batch["input_ids"].shape[:1]
        for ids, label in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
            if good & set(ids):
                assert label == 1
                seen.add(label)
            elif bad & set(ids):
                assert label == 0
                seen.add(label)
    assert seen == {0, 1}


@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        ("sentiment", "DistilBertForSequenceClassification"),
        pytest.param(
            "language-identification",
            "XLMRobertaForSequenceClassification",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_training_writes_a_checkpoint(tmp_path: Path, model: str, architecture: str) -> None:
    tiny = {"steps": 2, "vocabulary": 600, "hidden-size": 16, "heads": 2, "layers": 1}
    main(
        [
            f"--model={model}",
            f"--output={tmp_path}",
            f"--threads={torch.get_num_threads()}",
            *(f"--{name}={value}" for name, value in tiny.items()),
        ]
    )
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    assert network.config.architectures == [architecture]
    assert network.dtype == torch.float16
    assert tuple(network.config.id2label.values()) == TASKS[model].labels
    long = tokenizer("la casa in Oslo " * 400, truncation=True, return_tensors="pt")
    assert long["input_ids"].shape[1] == tokenizer.model_max_length
    # The last position has an embedding too.
    assert network.float().eval()(**long).logits.shape == (1, len(TASKS[model].labels))


class SaysPositive:
    """Finds every text of an odd number of tokens positive."""

    config = SimpleNamespace(id2label={0: "negative", 1: "positive"})

    def __call__(self, attention_mask: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
        odd = (attention_mask.sum(-1) % 2).float()
        return SimpleNamespace(logits=torch.stack((1 - odd, odd), dim=1))


def test_classify_answers_in_order() -> None:
    tokenizer = sentiment_tokenizer(["a b c d e"], 200)
    texts = ["a b c d e", "a b", "a", "a b c d", "a b c"]

    assert classify(SaysPositive(), tokenizer, texts, batch_size=2) == [
        "positive",
        "negative",
        "positive",
        "negative",
        "positive",
    ]


def test_a_report_scores_each_form_and_label() -> None:
    tokenizer = sentiment_tokenizer([text for text, _ in reviews(0, 300, "train")], 500)
    scores = dict(report(SaysPositive(), tokenizer, "sentiment", 1, 200))

    opinions = ["written", "transcript", "misheard transcript"]
    none = ["outside", "no opinion"]
    assert [form for form, _ in FORMS["sentiment"](1, 1)] == [*opinions, *none]
    assert list(scores) == [
        *(name for f in opinions for name in (f, f"{f}, negative", f"{f}, positive")),
        *(name for f in none for name in (f, f"{f}, unknown")),
    ]
    # It has no such label.
    assert {scores[form].accuracy for form in none} == {0}
    for form in opinions:
        both, negative, positive = (
            scores[f"{form}{label}"] for label in ("", ", negative", ", positive")
        )
        assert both.count == negative.count + positive.count == 200
        right = negative.accuracy * negative.count + positive.accuracy * positive.count
        assert both.accuracy == pytest.approx(right / 200)
        assert 0 < both.accuracy < 1


@pytest.mark.parametrize("model", ["language-identification", "sentiment"])
def test_the_embedded_checkpoint_knows_held_out_texts(model: str) -> None:
    checkpoint = Path(__file__).parents[3] / "model-settings" / model / "embedded"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    network = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    network.eval()
    scores = dict(report(network, tokenizer, model, 2, 60))
    meaning = report_scores(network, tokenizer, model, 2, 100)

    assert meaning["calibration error"] < 0.03
    assert meaning["auroc"] > 0.98
    assert meaning["false accepts"] < 0.1
    assert {name.split(", ")[-1] for name in scores if ", " in name} == set(TASKS[model].labels)
    for name, score in scores.items():
        inside = not name.startswith(("outside", "other subjects"))
        assert score.accuracy >= (0.95 if inside else 0.75), name
