"""Training pairs of translation: of one split, told with invented names, in two forms."""

import random
import re

import pytest

from zoo.lexicon import ENGLISH
from zoo.translation_data import invented_pairs, training_pairs, view
from zoo.world import in_split, normalise_transcript, parallel

KNOWN = {*ENGLISH.women, *ENGLISH.men, *ENGLISH.last_names}


def test_equal_arguments_give_equal_pairs() -> None:
    assert training_pairs(3, 100, "fr", "en") == training_pairs(3, 100, "fr", "en")
    assert training_pairs(3, 100, "fr", "en") != training_pairs(4, 100, "fr", "en")
    assert len(training_pairs(3, 100, "en", "de")) == 100


@pytest.mark.parametrize("source", ["fr", "es", "de"])
def test_targets_are_well_written_and_of_the_training_split(source: str) -> None:
    pairs = training_pairs(0, 1000, source, "en")

    held_out = {english for _, english in parallel(0, 2000, "held_out", source, "en")}
    for _, english in pairs:
        assert english[0].isupper()
        assert english[-1] in ".?"
        assert in_split(english, "train")
        assert english not in held_out


def test_sources_have_both_forms() -> None:
    texts = [text for text, _ in training_pairs(0, 1000, "en", "de")]
    transcripts = [text for text in texts if text == normalise_transcript(text)]

    assert 250 < len(transcripts) < 450
    assert all(text[-1] in ".?" for text in set(texts) - set(transcripts))


def test_a_french_mark_may_have_no_space_before_it() -> None:
    rng = random.Random(0)
    views = {view("Où habite Anna ?", "fr", rng) for _ in range(100)}

    assert views == {"Où habite Anna ?", "Où habite Anna?", "où habite anna"}


def test_invented_names_are_equal_on_both_sides() -> None:
    rng = random.Random(0)
    first_names = set()
    for _ in range(100):
        for german, english in invented_pairs(rng, 10, "de", "en"):
            named = re.fullmatch(r"Where does (\w+) (\w+) live\?", english)
            if named:
                assert german == f"Wo wohnt {named[1]} {named[2]}?"
                assert named[2] not in KNOWN
                first_names.add(named[1] in KNOWN)
    assert first_names == {True, False}


def test_any_city_may_be_said_to_be_a_countrys_capital() -> None:
    rng = random.Random(0)
    told = set()
    for _ in range(100):
        for _, english in invented_pairs(rng, 10, "de", "en"):
            stated = re.fullmatch(r"The capital of (\w+) is (\w+)\.", english)
            if stated:
                told.add((stated[1], stated[2]))
    assert told - set(ENGLISH.capitals.items())
    assert {capital for _, capital in told} <= set(ENGLISH.capitals.values())


def test_an_invented_first_name_stands_where_the_gender_does_not_matter() -> None:
    rng = random.Random(0)
    professions = 0
    for _ in range(100):
        for english, german in invented_pairs(rng, 10, "en", "de"):
            named = re.fullmatch(r"(\w+)( \w+)? works as an? \w+\.", english)
            if named and named[1] not in ("He", "She"):
                professions += 1
                woman = named[1] in ENGLISH.women
                assert woman or named[1] in ENGLISH.men
                assert ("in." in german or "frau." in german) == woman
    assert professions > 0


def test_invented_pairs_are_of_the_split_asked_for() -> None:
    rng = random.Random(0)

    for english, _ in invented_pairs(rng, 20, "en", "es", "held_out"):
        assert in_split(english, "held_out")
