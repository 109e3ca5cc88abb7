"""Words to phonemes, by dictionary and by rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.tasks.speech.pronunciation import PRONUNCIATION, Pronunciation, contexts
from infergraph.tasks.speech.spellers import PhonemeSpeller, arpabet

EMBEDDED = Path(__file__).parents[4] / "model-settings/text-to-speech/embedded"
RULES = {"c": "k", "ce": "s", "a": "\u00e6", "e": "\u025b", "e#": "", "t": "t"}


def test_the_longest_rule_is_the_one() -> None:
    said = Pronunciation("en", {}, RULES)
    assert said.by_rules("cat") == ["k", "\u02c8\u00e6", "t"]
    assert said.by_rules("ace") == ["\u02c8\u00e6", "s"]


def test_contexts_grow_to_either_side() -> None:
    assert contexts("cat", 1) == [
        "a",
        "at",
        "atc",
        "atc#",
        "atc##",
        "atc###",
        "atc####",
        "atc#####",
    ]


def test_the_dictionary_comes_first_and_marks_are_heard_once() -> None:
    said = Pronunciation("en", {"tea": "t \u02c8i\u02d0"}, RULES)
    assert said.phonemes("Tea?! ... Cat.") == [
        "t",
        "\u02c8i\u02d0",
        "?",
        "k",
        "\u02c8\u00e6",
        "t",
        ".",
    ]
    assert said.phonemes("tea cat")[2] == " "
    assert said.phonemes("?!") == []


def test_a_word_has_one_main_stress() -> None:
    rules = {"a": "\u02c8\u00e6", "o": "\u0259"}
    assert Pronunciation("en", {}, rules).by_rules("aa") == ["\u02c8\u00e6", "\u02cc\u00e6"]
    assert Pronunciation("en", {}, {"a": "\u0259", "o": "\u02cco\u028a"}).by_rules("ao") == [
        "\u0259",
        "\u02c8o\u028a",
    ]


def test_a_pronunciation_of_an_unknown_language_is_refused(tmp_path: Path) -> None:
    said = {"language": "fi", "words": {}, "rules": {}}
    (tmp_path / PRONUNCIATION).write_text(json.dumps(said))
    with pytest.raises(ConfigurationError, match="language 'fi'; accepted: en, de"):
        Pronunciation.load(str(tmp_path))
    (tmp_path / PRONUNCIATION).write_text("{")
    with pytest.raises(ConfigurationError, match="cannot load the pronunciation"):
        Pronunciation.load(str(tmp_path))


def test_the_embedded_one_says_words_of_all_kinds() -> None:
    said = Pronunciation.load(str(EMBEDDED))
    assert "".join(said.word("wednesday")) == "w\u02c8\u025bnzde\u026a"
    # In the dictionary of no world: by rules.
    assert "".join(said.word("blentopish")).startswith("bl")
    assert all(said.word(letter) for letter in "abcdefghijklmnopqrstuvwxyz")


def test_what_the_embedded_one_says_has_tokens() -> None:
    speller = PhonemeSpeller(str(EMBEDDED), Pronunciation.load(str(EMBEDDED)))
    vocabulary = json.loads((EMBEDDED / "vocab.json").read_text())
    said = "The quick brown fox jumps over 1,234 lazy dogs, doesn't it?"
    (tokens,) = speller(said)
    assert vocabulary["<unk>"] not in tokens


def test_long_sentences_are_cut_between_words(tmp_path: Path) -> None:
    rules = {"a": "a", "b": "b"}
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 1, "b": 2, " ": 3, ",": 4, "\u02c8a": 5}))
    speller = PhonemeSpeller(str(tmp_path), Pronunciation("en", {}, rules))
    text = " ".join(["ab"] * 120)
    pieces = speller(text)
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 200
    whole = [token for piece in pieces for token in piece]
    assert [token for token in whole if token != 3] == [5, 2] * 120
    assert all(piece[0] != 3 for piece in pieces)


def test_phonemes_as_arpabet() -> None:
    assert arpabet("\u02c8a\u026a") == ["AY1"]
    assert arpabet("\u02cc\u0254\u02d0\u0279") == ["AO2", "R"]
    assert arpabet("t\u0283") == ["CH"]
    assert arpabet(",") == [","]
