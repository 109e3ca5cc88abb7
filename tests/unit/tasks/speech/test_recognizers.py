from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer

from infergraph.errors import ConfigurationError
from infergraph.tasks.speech.recognizers import CtcRecognizer, Transcript, collapse
from infergraph.tasks.text.language_model import LanguageModel

BLANK = 0


def collapsed(*tokens: int) -> list[int]:
    return collapse(np.array(tokens), np.zeros(len(tokens), np.float32), BLANK)[0]


def test_repetitions_are_one_token_and_blanks_none() -> None:
    assert collapsed(1, 1, 0, 1, 2, 2, 0, 0, 3) == [1, 1, 2, 3]
    assert collapsed(0, 0) == []
    assert collapsed() == []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_equals_the_definition(tokens: list[int]) -> None:
    expected = [token for token, _ in itertools.groupby(tokens) if token != BLANK]

    assert collapsed(*tokens) == expected


def test_a_token_is_as_likely_as_in_its_best_frame() -> None:
    tokens = np.array([0, 1, 1, 0, 1, 2])
    likely = np.array([-5, -3, -1, -5, -2, -3], np.float32)

    assert collapse(tokens, likely, BLANK) == ([1, 1, 2], -2.0)
    assert collapse(tokens[:1], likely[:1], BLANK) == ([], -5.0)


TOKENS = ["<pad>", "<unk>", "|", *"abgot"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    file = tmp_path / "vocab.json"
    file.write_text(json.dumps({token: number for number, token in enumerate(TOKENS)}))
    return Wav2Vec2CTCTokenizer(
        str(file), bos_token=None, eos_token=None, unk_token="<unk>", pad_token="<pad>"
    )


def language(*words: str) -> LanguageModel:
    return LanguageModel(frozenset(words), {(word,): -1.0 for word in words}, {})


def read(recognizer: CtcRecognizer, *frames: tuple[str, float]) -> Transcript:
    """What it reads of frames in which a letter has this probability, and `b` most of the rest."""
    likely = torch.full((1, len(frames) + 1, len(TOKENS)), 1e-3)
    for frame, (letter, share) in enumerate(frames):
        likely[0, frame, TOKENS.index("b")] = 1 - share
        likely[0, frame, TOKENS.index(letter)] = share
    # Padding, of which the recognizer is told.
    likely[0, -1, TOKENS.index("o")] = 1.0
    (found,) = recognizer.read(likely.log(), [len(frames)])
    return found


def test_doubtful_letters_are_read_as_words_where_there_is_a_language(tokenizer: Any) -> None:
    heard = [(letter, 0.9) for letter in "a|go"] + [("a", 0.45), ("t", 0.9)]
    alone = CtcRecognizer(None, tokenizer, {})
    told = CtcRecognizer(None, tokenizer, {}, language("a", "goat", "boat"))

    assert read(alone, *heard).text == "a gobt"
    assert read(told, *heard).text == "a goat"
    # As likely as the sound is, not the words.
    assert 0.5 < math.exp(read(told, *heard).log_probability) < 0.9
    assert read(told, *heard).tokens == 6


def test_clear_letters_are_read_as_they_are(tokenizer: Any) -> None:
    told = CtcRecognizer(None, tokenizer, {}, language("goat"))
    clear = [(letter, 0.99) for letter in "goat"]

    found = read(told, *clear)
    assert (found.text, found.tokens) == ("goat", 4)
    assert math.exp(found.log_probability) == pytest.approx(0.99, abs=0.01)


def test_a_word_that_the_sound_hardly_bears_is_dropped(tokenizer: Any) -> None:
    told = CtcRecognizer(None, tokenizer, {"min_score": 0.5}, language("goat"))
    noise = [("g", 0.3), ("o", 0.3), ("a", 0.3), ("t", 0.3)]

    found = read(told, *noise)
    assert found.text == ""
    assert math.exp(found.log_probability) < 0.5


@pytest.mark.parametrize(
    ("words", "delimiter", "said"),
    [
        (("goat", "cat"), "|", "has no letters c$"),
        (("goat",), None, "has no divider of words"),
    ],
)
def test_a_language_of_another_vocabulary_is_refused(
    tokenizer: Any, words: tuple[str, ...], delimiter: str | None, said: str
) -> None:
    if delimiter is None:

        class Letters:
            pad_token_id = 0
            all_special_ids = (0,)

            def __len__(self) -> int:
                return len(TOKENS)

            def convert_ids_to_tokens(self, ids: Any) -> list[str]:
                return [TOKENS[each] for each in ids]

        tokenizer = Letters()
    with pytest.raises(ConfigurationError, match=said):
        CtcRecognizer(None, tokenizer, {}, language(*words))
