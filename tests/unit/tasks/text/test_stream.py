from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import transformers as hf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from infergraph.errors import StageFailure
from infergraph.tasks.checkpoints.pretrained import load_tokenizer
from infergraph.tasks.text.stream import Follower, settled

TEXTS = [
    "Zwölf Größen, façade & naïve",
    "gulls \N{GRINNING FACE}\N{GRINNING FACE} and \N{FAMILY}\N{ZERO WIDTH JOINER}\N{WOMAN}",
    "灯台 が 光る",
    "  two  blanks \n and a line\n",
    "",
]


def every_byte() -> Any:
    """A tokenizer with one token for each byte, and the special ones of BART."""
    tokens = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
    ]
    return hf.BartTokenizer(vocab={token: id for id, token in enumerate(tokens)}, merges=[])


def cleaning() -> Any:
    """A tokenizer that takes away spaces before marks and short forms, as BERT's does."""
    pieces = ["▁", *"abmnrstve.,!?'"]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -1.0) for piece in pieces)]
    return hf.T5Tokenizer(vocab=vocab, extra_ids=0, clean_up_tokenization_spaces=True)


BYTES, CLEANING = every_byte(), cleaning()


def parts_of(tokenizer: Any, tokens: Sequence[int]) -> list[str]:
    """What is given with each token, and at the end."""
    parts: list[str] = []
    follower = Follower(lambda part: parts.append(parts.pop() + part))
    for count in range(1, len(tokens) + 1):
        parts.append("")
        follower.grew(settled(tokenizer, tokens[:count]))
    return [*parts, follower.rest(whole(tokenizer, tokens)) or ""]


def whole(tokenizer: Any, tokens: Sequence[int]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True)
    return text.strip()


@pytest.mark.parametrize("text", TEXTS)
def test_parts_hold_whole_characters_and_join_to_the_text(text: str) -> None:
    tokens = BYTES(text)["input_ids"]

    parts = parts_of(BYTES, tokens)

    assert "".join(parts) == text.strip()
    # A character comes with its last byte, and no half of one before.
    assert all(len(part.lstrip()) <= 1 for part in parts[:-1])
    assert all("\N{REPLACEMENT CHARACTER}" not in part for part in parts)


def test_a_part_comes_with_its_token_but_for_white_space() -> None:
    tokens = BYTES("a b  ü.", add_special_tokens=False)["input_ids"]

    assert parts_of(BYTES, tokens) == ["a", "", " b", "", "", "", "  ü", ".", ""]


def test_a_replacement_character_of_the_text_itself_is_given() -> None:
    tokens = BYTES("a \N{REPLACEMENT CHARACTER} b\N{REPLACEMENT CHARACTER}")["input_ids"]

    given = [part for part in parts_of(BYTES, tokens) if part]

    assert given == ["a", " \N{REPLACEMENT CHARACTER} b", "\N{REPLACEMENT CHARACTER}"]


@given(st.lists(st.integers(0, len(BYTES) - 1), max_size=60))
def test_any_bytes_even_such_that_are_no_text(tokens: list[int]) -> None:
    assert "".join(parts_of(BYTES, tokens)) == whole(BYTES, tokens)


@given(st.lists(st.integers(1, len(CLEANING) - 1), max_size=40))
def test_spaces_that_are_taken_away_later_are_not_given(tokens: list[int]) -> None:
    assert "".join(parts_of(CLEANING, tokens)) == whole(CLEANING, tokens)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("a .", "a."), ("a b n't a", "a bn't a"), ("a ' b", "a'b"), ("ab 've ?", "ab've?")],
)
def test_the_cleaning_tokenizer_cleans(text: str, cleaned: str) -> None:
    tokens = CLEANING(text, add_special_tokens=False)["input_ids"]

    assert "".join(parts_of(CLEANING, tokens)) == whole(CLEANING, tokens) == cleaned


@pytest.mark.parametrize("family", ["marian", "m2m100", "nllb", "mbart", "bart", "pegasus", "t5"])
def test_any_tokens_of_every_family(family: str, checkpoint: Callable[[str], str]) -> None:
    tokenizer = load_tokenizer(checkpoint(family))
    generator = random.Random(7)
    for _ in range(40):
        tokens = generator.choices(range(len(tokenizer)), k=generator.randrange(1, 30))
        assert "".join(parts_of(tokenizer, tokens)) == whole(tokenizer, tokens)


def test_text_that_changes_after_it_was_given_is_a_failure() -> None:
    parts: list[str] = []
    follower = Follower(parts.append)
    follower.grew("seven g")
    follower.grew("seven l")

    with pytest.raises(StageFailure, match="text that had been sent was changed by what came"):
        follower.rest("seven lamps")
    assert parts == ["seven g"]


@pytest.mark.parametrize(
    ("grown", "text", "rest"),
    [([], "", ""), ([], "a", "a"), (["a"], "a", None), (["a", "a b"], "a bc", "c"), ([""], "", "")],
)
def test_the_rest_is_nothing_only_where_a_part_was_given(
    grown: list[str], text: str, rest: str | None
) -> None:
    follower = Follower(lambda part: None)
    for each in grown:
        follower.grew(each)

    assert follower.rest(text) == rest


def test_a_text_that_is_begun_again_is_not_given_again() -> None:
    parts: list[str] = []
    follower = Follower(parts.append)
    for text in ("a", "a b", "", "a", "a b", "a b c"):
        follower.grew(text)

    assert (parts, follower.rest("a b c d")) == (["a", " b", " c"], " d")
