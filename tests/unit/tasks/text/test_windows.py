from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import numpy as np
import pytest
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.text.windows import TextWindowEncoder, WindowEncoder, window_limit
from tests.checkpoints import TEXT

FAMILIES = ["bert-qa", "distilbert-qa", "roberta-qa", "xlm-roberta-qa"]
QUESTION = "who built the lighthouse?"
LONG = " ".join([TEXT] * 12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_short_pair_is_what_transformers_makes(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family))
    context = "Mira Solano built it."
    stock = tokenizer(QUESTION, context, return_offsets_mapping=True)

    encoded = WindowEncoder(tokenizer, 128, 10, 8)(QUESTION, context)

    (window,) = encoded.windows
    assert window.ids.tolist() == stock["input_ids"]
    if "token_type_ids" in stock:
        assert window.type_ids.tolist() == stock["token_type_ids"]
    expected = [
        pair
        for pair, part in zip(stock["offset_mapping"], stock.sequence_ids(), strict=True)
        if part == 1
    ]
    assert encoded.offsets.tolist() == [list(pair) for pair in expected]
    assert window.first == stock.sequence_ids().index(1)
    assert window.ids[window.null] == tokenizer.cls_token_id
    assert window.count == len(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_context_is_cut_as_transformers_cuts_it(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family))
    stock = tokenizer(
        QUESTION,
        LONG,
        truncation="only_second",
        max_length=96,
        stride=20,
        return_overflowing_tokens=True,
    )

    encoded = WindowEncoder(tokenizer, 96, 20, 8)(QUESTION, LONG)

    assert len(encoded.windows) > 3
    assert [window.ids.tolist() for window in encoded.windows] == stock["input_ids"]


@pytest.mark.parametrize(("overlap", "answer"), [(0, 12), (12, 5), (30, 5), (1000, 5)])
def test_every_possible_answer_is_whole_in_some_window(
    overlap: int, answer: int, checkpoint: Callable[[str], str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))

    encoded = WindowEncoder(tokenizer, 64, overlap, answer)(QUESTION, LONG)

    total = len(encoded.offsets)
    covered = {window.start: window.start + window.count for window in encoded.windows}
    assert max(covered.values()) == total
    for first in range(total - answer + 1):
        assert any(start <= first and first + answer <= end for start, end in covered.items())
    assert all(len(window.ids) <= 64 for window in encoded.windows)
    assert len(encoded.windows) <= 2 * total / (64 - 12)


def test_offsets_point_into_the_original_text(checkpoint: Callable[[str], str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))
    context = "  The KEEPER\tlives\n\nthere — Ünïcode"

    encoded = WindowEncoder(tokenizer, 64, 10, 5)(QUESTION, context)

    words = [context[start:end] for start, end in encoded.offsets]
    assert words[:2] == ["The", "KEEPER"]
    assert "there" in words


def test_a_question_may_be_just_as_long_as_is_said(checkpoint: Callable[[str], str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))
    encode = WindowEncoder(tokenizer, 64, 10, 8)
    limit = encode.max_question_tokens

    assert limit == 64 - 3 - 16
    assert len(encode(" ".join(["the"] * limit), LONG).windows) > 5
    with pytest.raises(
        InvalidInput, match=f"'question': {limit + 1} tokens; accepted: at most {limit}"
    ):
        encode(" ".join(["the"] * (limit + 1)), LONG)


def test_threads_may_share_an_encoder(checkpoint: Callable[[str], str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))
    encode = WindowEncoder(tokenizer, 64, 10, 8)
    contexts = [" ".join([TEXT] * (1 + index % 7)) for index in range(60)]
    expected = [encode(QUESTION, context).offsets.tolist() for context in contexts]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda context: encode(QUESTION, context).offsets.tolist(), contexts))

    assert found == expected


def test_answers_too_long_for_the_window(checkpoint: Callable[[str], str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))

    with pytest.raises(ConfigurationError, match=r"'max_answer_tokens' = 40: .* accepted: 1 to 26"):
        WindowEncoder(tokenizer, 64, 10, 40)


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ConfigurationError, match="Slow is a slow tokenizer"):
        WindowEncoder(Slow(), 64, 10, 8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_limit_is_what_the_positions_hold(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    network = AutoModelForQuestionAnswering.from_pretrained(checkpoint(family))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family))
    tokenizer.model_max_length = int(1e30)

    limit = window_limit(tokenizer, network)

    # RoBERTa's table has two rows more than tokens fit, BERT's as many.
    assert limit == 128
    ids = np.full((1, limit), tokenizer.convert_tokens_to_ids(tokenizer.unk_token))
    network(input_ids=network.dummy_inputs["input_ids"].new_tensor(ids))
    tokenizer.model_max_length = 100
    assert window_limit(tokenizer, network) == 100


@pytest.mark.parametrize("family", FAMILIES)
def test_a_short_text_is_what_transformers_makes(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family))
    text = "Mira Solano\tbuilt it."
    stock = tokenizer(text, return_offsets_mapping=True)

    encoded = TextWindowEncoder(tokenizer, 128, 10)(text)

    (window,) = encoded.windows
    assert window.ids.tolist() == stock["input_ids"]
    assert (window.first, window.start, window.count) == (1, 0, len(stock["input_ids"]) - 2)
    assert encoded.offsets.tolist() == [list(pair) for pair in stock["offset_mapping"][1:-1]]
    starts = encoded.offsets[encoded.words, 0]
    words = [text[start:].split()[0].strip(".") for start in starts]
    assert [word for word in words if word] == ["Mira", "Solano", "built", "it"]


@pytest.mark.parametrize(("count", "overlap"), [(1, 9), (30, 9), (31, 0), (200, 9), (200, 1000)])
def test_of_a_long_text_each_token_counts_once(
    count: int, overlap: int, checkpoint: Callable[[str], str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))
    text = " ".join(LONG.split()[:count])

    encoded = TextWindowEncoder(tokenizer, 32, overlap)(text)

    total = len(encoded.offsets)
    assert total >= count
    # What is said of a token: its place in the text, and how far it is from its window's edge.
    rows = [
        np.array(
            [
                (window.start + at - 1, min(at - 1, window.count - at))
                for at in range(len(window.ids))
            ],
            np.float32,
        )
        for window in encoded.windows
    ]
    joined = encoded.joined(rows)
    assert joined[:, 0].tolist() == list(range(total))
    assert all(len(window.ids) <= 32 for window in encoded.windows)
    inner = joined[min(overlap, 15) // 2 : -(min(overlap, 15) // 2) or None, 1]
    assert min(inner, default=32) >= min(overlap, 15) // 2 - 1


def test_a_text_holds_no_special_tokens(checkpoint: Callable[[str], str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-qa"))
    encode = TextWindowEncoder(tokenizer, 32, 9)

    (window,) = encode("the [SEP] lamp [CLS]").windows

    assert window.ids[0] == tokenizer.cls_token_id
    assert window.ids.tolist().count(tokenizer.sep_token_id) == 1
    assert tokenizer.cls_token_id not in window.ids[1:]
    assert encode(" \n").windows == encode("").windows == []
    with pytest.raises(ConfigurationError, match=r"'max_length' = 3: .* accepted: at least 4"):
        TextWindowEncoder(tokenizer, 3, 0)
