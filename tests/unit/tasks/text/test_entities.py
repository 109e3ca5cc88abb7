from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from infergraph.tasks.text.entities import Tagging
from infergraph.tasks.text.windows import EncodedText

SENTENCE = "Mira Solano met Noor in Arden"


def words_of(text: str, pieces: int = 1) -> EncodedText:
    """The text as a tokenizer gives it that divides each word into so many tokens."""
    offsets, firsts, at = [], [], 0
    for word in text.split(" "):
        firsts.append(len(offsets))
        cuts = [at + len(word) * number // pieces for number in range(pieces + 1)]
        offsets += list(itertools.pairwise(cuts))
        at += len(word) + 1
    return EncodedText(text, np.array(offsets), np.array(firsts), [])


def sure(tags: list[str], said: list[str], score: float = 0.9) -> Any:
    """Probabilities in which each token's tag has the score, and the others share the rest."""
    rest = (1 - score) / (len(tags) - 1)
    return np.array([[score if tag == own else rest for tag in tags] for own in said], np.float32)


def found(tags: list[str], said: list[str], text: str = SENTENCE, **names: str) -> list[Any]:
    encoded = words_of(text)
    tagging = Tagging(tags, names, "first")
    return [
        (text[each.start : each.end], each.label)
        for each in tagging.entities(encoded, sure(tags, said))
    ]


IOB = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
IOBES = [*IOB, "E-PER", "S-PER", "S-LOC"]
BILOU = ["O", "B-PER", "I-PER", "L-PER", "U-PER", "U-LOC"]
BOTH = [("Mira Solano", "PER"), ("Noor", "PER"), ("Arden", "LOC")]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (IOB, ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC"]),
        (IOB, ["I-PER", "I-PER", "O", "I-PER", "O", "I-LOC"]),
        (IOBES, ["B-PER", "E-PER", "O", "S-PER", "O", "S-LOC"]),
        (BILOU, ["B-PER", "L-PER", "O", "U-PER", "O", "U-LOC"]),
        (["O", "PER", "LOC"], ["PER", "PER", "O", "PER", "O", "LOC"]),
    ],
)
def test_every_scheme_means_the_same(tags: list[str], said: list[str]) -> None:
    assert found(tags, said) == BOTH


@pytest.mark.parametrize(
    ("tags", "said", "expected"),
    [
        # Neighbours of one label, which the first word of the second divides.
        (IOB, ["B-PER", "B-PER", "I-PER", "O", "O", "O"], ["Mira", "Solano met"]),
        (IOBES, ["S-PER", "S-PER", "B-PER", "E-PER", "B-PER", "E-PER"],
         ["Mira", "Solano", "met Noor", "in Arden"]),
        # Tags that the scheme does not allow.
        (IOB, ["I-PER", "I-LOC", "I-PER", "O", "I-LOC", "B-LOC"],
         ["Mira", "Solano", "met", "in", "Arden"]),
        (IOBES, ["E-PER", "I-PER", "S-PER", "I-PER", "O", "E-PER"],
         ["Mira", "Solano", "met", "Noor", "Arden"]),
        (IOB, ["O"] * 6, []),
    ],
)  # fmt: skip
def test_where_entities_begin_and_end(
    tags: list[str], said: list[str], expected: list[str]
) -> None:
    assert [text for text, _ in found(tags, said)] == expected


def test_parts_of_speech_are_those_of_each_word() -> None:
    said = ["NOUN", "NOUN", "VERB", "NOUN", "ADP", "NOUN"]

    assert found(["NOUN", "VERB", "ADP"], said) == list(zip(SENTENCE.split(), said, strict=True))


def test_labels_have_other_names() -> None:
    said = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC"]

    assert found(IOB, said, PER="person", LOC="O") == [
        ("Mira Solano", "person"),
        ("Noor", "person"),
    ]
    anonymous = {f"LABEL_{number}": tag for number, tag in enumerate(IOB)}
    assert found(list(anonymous), ["LABEL_1", "LABEL_2", *["LABEL_0"] * 4], **anonymous) == [
        ("Mira Solano", "PER")
    ]
    assert Tagging(IOB, {"PER": "person"}, "first").labels == ["person", "LOC"]


def test_the_score_is_the_mean_of_how_probably_words_have_the_label() -> None:
    probabilities = sure(IOB, ["O"] * 6)
    probabilities[0] = [0.1, 0.5, 0.2, 0.1, 0.1]
    probabilities[1] = [0.2, 0.1, 0.6, 0.1, 0.0]

    (entity,) = Tagging(IOB, {}, "first").entities(words_of(SENTENCE), probabilities)

    assert (entity.start, entity.end, entity.label) == (0, 11, "PER")
    assert entity.score == pytest.approx((0.7 + 0.7) / 2)


@pytest.mark.parametrize(
    ("how", "expected"), [("first", ["LOC"]), ("average", ["PER"]), ("max", ["PER"])]
)
def test_which_token_says_what_a_word_is(how: Any, expected: list[str]) -> None:
    tags = ["O", "B-PER", "B-LOC"]
    probabilities = np.array(
        [[0.1, 0.3, 0.6], [0.0, 0.95, 0.05], [0.9, 0.05, 0.05], [0.3, 0.3, 0.4]], np.float32
    )

    entities = Tagging(tags, {}, how).entities(words_of("Mira met", 2), probabilities)

    assert [(each.start, each.end) for each in entities] == [(0, 4)]
    assert [each.label for each in entities] == expected


def test_punctuation_inside_of_a_word_is_not_the_entitys() -> None:
    text = "(Mira), U.S. -"
    # Words that white space divides, of a token for each character.
    spoken = [at for at, letter in enumerate(text) if letter != " "]
    offsets = np.array([(at, at + 1) for at in spoken])
    encoded = EncodedText(text, offsets, np.array([0, 7, 11]), [])
    tags = ["O", "B-PER"]

    entities = Tagging(tags, {}, "first").entities(encoded, sure(tags, ["B-PER"] * len(spoken)))

    assert [text[each.start : each.end] for each in entities] == ["Mira", "U.S", "-"]


def test_a_text_without_words_has_no_entities() -> None:
    empty = EncodedText("  ", np.empty((0, 2), np.int64), np.empty(0, np.int64), [])

    for how in ("first", "average", "max"):
        assert Tagging(IOB, {}, how).entities(empty, np.empty((0, 5), np.float32)) == []
