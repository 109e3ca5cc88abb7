"""The search for words in a CTC network's letters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from infergraph.tasks.text.language_model import LanguageModel
from infergraph.tasks.text.word_search import WordSearch

BLANK, DELIMITER = 0, 1
LETTERS = ["", "", *"abgot"]


def search(*words: str, beta: float = 0.0, alpha: float = 0.5, **pairs: float) -> WordSearch:
    """A search for words that are all as likely, and for pairs `one_other` of this log10."""
    known = {(word,): -1.0 for word in words} | {("<s>",): -99.0, ("<unk>",): -1.0}
    known |= {tuple(pair.split("_")): log10 for pair, log10 in pairs.items()}
    model = LanguageModel(
        frozenset(words), known, {(word,): 0.0 for word in words}, alpha, beta, -3.0
    )
    return WordSearch(model, LETTERS, BLANK, DELIMITER)


def frames(*heard: dict[str, float]) -> np.ndarray:
    """Log-probabilities by frame; `_` is the blank, a space the delimiter, the rest is shared."""
    rows = []
    for each in heard:
        left = (1 - sum(each.values())) / (len(LETTERS) - len(each))
        row = np.full(len(LETTERS), max(left, 1e-9))
        for letter, share in each.items():
            row[token(letter)] = share
        rows.append(np.log(row / row.sum()))
    return np.array(rows, np.float32)


def token(letter: str) -> int:
    special = {"_": BLANK, " ": DELIMITER}
    return special[letter] if letter in special else LETTERS.index(letter)


def spelled(tokens: list[int]) -> str:
    return "".join(" " if each == DELIMITER else LETTERS[each] for each in tokens)


def certain(text: str) -> np.ndarray:
    return frames(*({letter: 0.99} for letter in text))


def found(search: WordSearch, likely: np.ndarray) -> str:
    return spelled(search(likely)[0])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("goat", "goat"),
        ("g_oo_aaat_", "goat"),
        ("to_o", "too"),
        ("a goat", "a goat"),
        ("_ _a_  _goat _ ", "a goat"),
        ("", ""),
        ("___", ""),
        ("   ", ""),
    ],
)
def test_a_path_collapses_as_ctc_does(path: str, text: str) -> None:
    assert found(search("a", "goat", "too"), certain(path)) == text


def test_a_known_word_is_found_where_a_letter_is_doubtful() -> None:
    heard = frames({"g": 0.9}, {"o": 0.9}, {"b": 0.55, "a": 0.4}, {"t": 0.9})

    assert found(search("goat"), heard) == "goat"
    # What is clearly another word stays that.
    clear = frames({"g": 0.9}, {"o": 0.9}, {"b": 0.999}, {"t": 0.9})
    assert found(search("goat"), clear) == "gobt"


def test_of_words_that_sound_alike_the_likelier_after_the_one_before_is_found() -> None:
    heard = frames({"a": 0.99}, {" ": 0.99}, {"g": 0.5, "b": 0.49}, {"o": 0.99}, {"a": 0.99})
    heard = np.concatenate([heard, certain("t")])

    assert found(search("a", "goat", "boat"), heard) == "a goat"
    assert found(search("a", "goat", "boat", a_goat=-2.0, a_boat=-0.5), heard) == "a boat"


def test_a_known_word_is_followed_though_many_others_sound_likelier() -> None:
    doubtful = zip("goatgoat", "btbobtbo", strict=True)
    heard = frames(*({right: 0.4, wrong: 0.6} for right, wrong in doubtful))

    assert found(search("goatgoat"), heard) == "goatgoat"


def test_two_words_that_run_together_are_told_apart() -> None:
    heard = frames({"a": 0.99}, {"_": 0.6, " ": 0.39}, *({x: 0.99} for x in "goat"))

    assert found(search("a", "goat"), heard) == "a goat"
    assert found(search("a", "goat", "agoat"), heard) == "agoat"


def test_the_probability_is_that_of_all_paths_to_the_text() -> None:
    likely = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=4)).astype(np.float32)
    few = WordSearch(
        LanguageModel(frozenset({"ab"}), {("ab",): 0.0}, {}, alpha=0.0, beta=0.0),
        ["", "", "a", "b"],
        BLANK,
        DELIMITER,
    )
    tokens, probability = few(likely)

    totals: dict[str, float] = {}
    for path in itertools.product(range(4), repeat=4):
        kept = [each for each, _ in itertools.groupby(path) if each != BLANK]
        text = " ".join("".join(" ab"[each - 1] for each in kept).split())
        totals[text] = totals.get(text, 0.0) + math.exp(
            sum(float(likely[frame, each]) for frame, each in enumerate(path))
        )
    best = max(totals, key=lambda text: totals[text])
    assert "".join(" ab"[each - 1] for each in tokens) == best
    assert math.exp(probability) == pytest.approx(totals[best], rel=1e-4)


def test_marks_end_words_and_are_left_as_they_are() -> None:
    letters = [*LETTERS, ""]
    mark = len(LETTERS)
    known = {("goat",): -1.0, ("<unk>",): -1.0}
    model = LanguageModel(frozenset({"goat"}), known, {}, 0.5, 0.0, -3.0)
    marked = WordSearch(model, letters, BLANK, DELIMITER, [mark])
    # "!gobt!!", of which the "b" may be an "a".
    shares: list[dict[int, float]] = [{mark: 0.97}, {token("g"): 0.97}, {token("o"): 0.97}]
    shares += [{token("b"): 0.6, token("a"): 0.37}, {token("t"): 0.97}]
    shares += [{mark: 0.97}, {BLANK: 0.97}, {mark: 0.97}]
    likely = np.full((len(shares), len(letters)), 0.001, np.float32)
    for row, each in zip(likely, shares, strict=True):
        row[[*each]] = [*each.values()]

    tokens, _ = marked(np.log(likely))

    goat = [token(letter) for letter in "goat"]
    assert tokens == [mark, *goat, mark, mark]
    assert marked.knows([mark, *goat, mark, DELIMITER, mark])
    assert not marked.knows([mark, token("g"), mark])


def test_it_knows_texts_of_known_words() -> None:
    known = search("a", "goat")
    assert known.knows([token(x) for x in "a goat"])
    assert known.knows([])
    assert not known.knows([token(x) for x in "a goa"])
