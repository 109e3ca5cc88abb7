"""Token classification: where the entities of examples are, training and scores."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from infergraph.tasks.text.entities import Entity
from zoo import train_token_classification as training
from zoo.calibration import expected_calibration_error
from zoo.evaluate_token_classification import entities, held_out_texts, score
from zoo.lexicon import ENGLISH
from zoo.token_classification_data import (
    LABELS,
    TAGS,
    Piece,
    Span,
    examples,
    located,
    misheard,
    plain,
    tagged,
    transcript,
    without_entities,
)
from zoo.world import normalise_transcript, sentences

EMBEDDED = Path(__file__).parents[3] / "model-settings" / "token-classification" / "embedded"


# Somewhat below what the model card says of more texts.
_LEAST = {
    "written": 0.9,
    "transcript": 0.9,
    "misheard transcript": 0.78,
    "eight sentences": 0.82,
}


def said(text: str, spans: list[Span]) -> list[tuple[str, str]]:
    return [(text[each.start : each.end], each.label) for each in spans]


def test_equal_seeds_give_equal_examples() -> None:
    assert examples(3, 60) == examples(3, 60)
    assert examples(3, 60) != examples(4, 60)
    assert len(examples(3, 61)) == 61


def test_the_sentences_are_the_worlds_own_without_a_mark() -> None:
    drawn = [plain(each) for each in tagged(5, 150, "train")]

    assert all(text.isascii() for text in drawn)
    # Names and facts are of one split only, so that not all of the world's own occur.
    assert len({*drawn} & {*sentences(5, 3000, "train"), *sentences(6, 3000, "train")}) > 5


def test_every_entity_is_what_its_label_says() -> None:
    words = ENGLISH.words
    known = {
        "LOC": {*words["city"], *ENGLISH.capitals},
        "ORG": {*words["company"]},
        "DATE": {*words["weekday"], *words["month"]},
        "MONEY": {f"{price} euros" for price in words["price"]},
        "FOOD": {*words["food"]},
        "PROFESSION": {*words["profession"]},
    }
    seen = set()
    for pieces in tagged(0, 400, "train"):
        text, spans = located(pieces)
        for entity, label in said(text, spans):
            seen.add(label)
            if label == "PER":
                first, *last = entity.split()
                assert first in (*ENGLISH.women, *ENGLISH.men)
                assert last == [] or last[0] in ENGLISH.last_names
            elif label in known:
                assert entity in known[label] or entity.lower() in known[label], text
        # What is left has no name.
        rest = " ".join(each.text for each in pieces if not each.label)
        assert not {*rest.split()} & {*ENGLISH.women, *ENGLISH.last_names, *words["city"]}, text
    assert seen == set(LABELS)


def test_names_are_of_one_split() -> None:
    people = {
        split: {
            word
            for pieces in tagged(1, 200, split)
            for piece in pieces
            if piece.label == "PER"
            for word in piece.text.split()
        }
        for split in ("train", "held_out")
    }
    assert people["train"]
    assert people["held_out"]
    assert not people["train"] & people["held_out"]


def test_a_transcript_has_the_same_entities() -> None:
    for pieces in tagged(2, 200, "train"):
        text, spans = located(pieces)
        heard, places = located(transcript(pieces))

        assert heard == normalise_transcript(text)
        assert said(heard, places) == [
            (normalise_transcript(entity), label) for entity, label in said(text, spans)
        ]


def test_what_is_misheard_is_a_letter_or_two() -> None:
    rng = random.Random(0)
    pieces = (Piece("Anna", "PER"), Piece(" lives in "), Piece("Oslo", "LOC"))

    made = [misheard(pieces, rng) for _ in range(50)]

    assert all([each.label for each in one] == ["PER", "", "LOC"] for one in made)
    assert all(sum(a != b for a, b in zip(one, pieces, strict=True)) <= 1 for one in made)
    assert all(abs(len(plain(one)) - len(plain(pieces))) <= 2 for one in made)
    assert len(set(made)) > 20


def test_outside_of_the_world_nothing_is_named() -> None:
    outside = without_entities(3, 90, "train")

    assert len(outside) == 90
    assert not {word for text in outside for word in text.split()} & {*ENGLISH.words["company"]}
    empty = [text for text, spans in examples(3, 80) if not spans]
    assert len(empty) >= 20


def test_a_batch_tags_the_first_piece_of_each_word() -> None:
    texts = ["Anna Weber owns a car.", "is Brelo in thirty-two towns"]
    spans = [
        [Span(0, 10, "PER"), Span(18, 21, "PRODUCT")],
        [Span(3, 8, "PER"), Span(12, 22, "AGE")],
    ]
    wanted = [
        {
            "Anna": "B-PER",
            "Weber": "I-PER",
            "owns": "O",
            "a": "O",
            "car.": "B-PRODUCT",
            ".": "O",
        },
        {
            "is": "O",
            "Brelo": "B-PER",
            "in": "O",
            "thirty-two": "B-AGE",
            "-two": "I-AGE",
            "two": "I-AGE",
            "towns": "O",
        },
    ]
    tokenizer = training.new_tokenizer(["anna weber owns a car in thirty - two towns"], 200)

    batch = training.encode(tokenizer, list(zip(texts, spans, strict=True)))

    for row, text in enumerate(texts):
        encoding = tokenizer(text, return_offsets_mapping=True)
        starts = [text[start:] for start, _ in encoding["offset_mapping"]]
        tags = {
            rest.split()[0]: TAGS[tag]
            for rest, tag in zip(starts, batch["labels"][row].tolist(), strict=False)
            if tag >= 0
        }
        assert tags == wanted[row]
    # [CLS], the other pieces of words, [SEP] and padding have none.
    assert (batch["labels"][:, 0] == -100).all()
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


@pytest.mark.exhaustive
def test_a_training_writes_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("CORPUS", 300), ("POOL", 60), ("CALIBRATION", 30)):
        monkeypatch.setattr(training, name, size)
    tiny = {"steps": 2, "vocabulary": 400, "hidden-size": 16, "heads": 2, "layers": 1}
    arguments = [f"--output={tmp_path}", f"--threads={torch.get_num_threads()}"]
    training.main([*arguments, *(f"--{name}={value}" for name, value in tiny.items())])
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    assert network.dtype == torch.float16
    assert tuple(network.config.id2label.values()) == TAGS
    network.float().eval()
    long = " ".join(["Anna lives in Oslo."] * 60)
    (found,) = entities(network, tokenizer, [long])
    assert all(long[each.start : each.end] for each in found)


def test_scores_count_exact_entities() -> None:

    texts = [
        ("Anna met Bo", [Span(0, 4, "PER"), Span(9, 11, "PER")]),
        ("Oslo", [Span(0, 4, "LOC")]),
    ]
    found = [
        [Entity(0, 4, "PER", 0.9), Entity(5, 11, "PER", 0.6)],
        [Entity(0, 4, "PER", 0.7)],
    ]

    total, judged = score(found, texts)

    assert (total.precision, total.recall, total.count) == (1 / 3, 1 / 3, 3)
    assert total.f1 == pytest.approx(1 / 3)
    assert judged == [(0.9, True), (0.6, False), (0.7, False)]
    assert score(found, texts, "LOC")[0].recall == 0


def test_the_embedded_checkpoint_finds_held_out_entities() -> None:
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    network = AutoModelForTokenClassification.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
    judged = []
    for form, texts in held_out_texts(2, 120):
        found = entities(network, tokenizer, [text for text, _ in texts])
        total, own = score(found, texts)
        judged += own
        assert total.f1 >= _LEAST[form], (form, str(total))
    scores, right = zip(*judged, strict=True)
    assert expected_calibration_error(scores, right) < 0.1
    outside = entities(network, tokenizer, without_entities(2, 100, "held_out"))
    assert sum(any(each.score >= 0.5 for each in own) for own in outside) <= 50
