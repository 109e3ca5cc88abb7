from __future__ import annotations

import numpy as np
import pytest

from infergraph.tasks.text.answer_spans import best_answer
from infergraph.tasks.text.windows import Encoded, Window

WORDS = [f"w{index}" for index in range(12)]
CONTEXT = " ".join(WORDS)


def encoded(*windows: tuple[int, int], words: list[str] = WORDS) -> Encoded:
    """Windows of (first context token, count), each behind a null token and two of a question."""
    starts = np.cumsum([0] + [len(word) + 1 for word in words[:-1]])
    offsets = np.array(
        [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    )
    return Encoded(
        " ".join(words),
        offsets,
        np.array([not word.isspace() for word in words]),
        [
            Window(np.zeros(count + 4, np.int64), np.zeros(count + 4, np.int64), 3, start, count, 0)
            for start, count in windows
        ],
    )


def logits(count: int, null: float = -9.0, **high: float) -> np.ndarray:
    """Logits of a window, padded by the batch; `t4=2.0` sets the window's fifth context token."""
    values = np.full(count + 9, 50.0, np.float32)
    values[3 : 3 + count] = 0
    values[0] = null
    for name, value in high.items():
        values[3 + int(name[1:])] = value
    return values


def answer(pair: Encoded, starts: list[np.ndarray], ends: list[np.ndarray], **options):
    settings = {"max_answer_tokens": 4, "null_allowed": True, "null_threshold": 0.0} | options
    return best_answer(pair, starts, ends, **settings)


def test_the_best_span_of_the_context() -> None:
    # The question's and the padding's logits, 50, are far higher than any of the context.
    found = answer(encoded((0, 12)), [logits(12, t4=9)], [logits(12, t6=9)])

    assert found.text == "w4 w5 w6"
    assert found.score == pytest.approx(1, abs=1e-2)


def test_an_end_before_its_start_is_no_span() -> None:
    found = answer(encoded((0, 12)), [logits(12, t4=9)], [logits(12, t2=9, t5=6)])

    assert found.text == "w4 w5"


@pytest.mark.parametrize(("longest", "text"), [(4, "w2 w3 w4 w5"), (3, "w2 w3")])
def test_a_span_is_no_longer_than_allowed(longest: int, text: str) -> None:
    found = answer(
        encoded((0, 12)), [logits(12, t2=9)], [logits(12, t5=9, t3=3)], max_answer_tokens=longest
    )

    assert found.text == text


def test_an_answer_in_the_last_window() -> None:
    pair = encoded((0, 5), (3, 5), (6, 6))

    found = answer(
        pair,
        [logits(5, null=3), logits(5, null=3), logits(6, t4=9)],
        [logits(5, null=3), logits(5, null=3), logits(6, t5=9)],
    )

    assert found.text == "w10 w11"


def test_no_answer_where_every_window_says_so() -> None:
    pair = encoded((0, 6), (4, 8))
    starts, ends = [logits(6, null=8), logits(8, null=5)], [logits(6, null=8), logits(8, null=5)]

    silent = answer(pair, starts, ends)
    forced = answer(pair, starts, ends, null_allowed=False)

    assert silent.text == ""
    # Of the 12 + 11 + 10 + 9 spans, all with the logit 0, only w3 to w6 is in no window. "No
    # answer" has the lower of 16 and 10.
    assert silent.score == pytest.approx(np.exp(10) / (np.exp(10) + 41))
    assert forced.text != ""
    assert forced.score == pytest.approx(1 / 41)


def test_one_window_with_an_answer_is_enough() -> None:
    pair = encoded((0, 6), (4, 8))

    found = answer(
        pair,
        [logits(6, null=8), logits(8, null=-4, t2=3)],
        [logits(6, null=8), logits(8, null=-4, t2=3)],
    )

    assert found.text == "w6"


@pytest.mark.parametrize(("threshold", "text"), [(0.0, ""), (3.9, ""), (4.1, "w4")])
def test_the_threshold_is_how_much_better_no_answer_must_be(threshold: float, text: str) -> None:
    found = answer(
        encoded((0, 12)),
        [logits(12, null=6, t4=4)],
        [logits(12, null=6, t4=4)],
        null_threshold=threshold,
    )

    assert found.text == text


def test_a_span_in_two_windows_counts_once() -> None:
    one = answer(encoded((0, 12)), [logits(12, t5=2)], [logits(12, t5=2)], null_allowed=False)
    two = answer(
        encoded((0, 12), (0, 12)),
        [logits(12, t5=2)] * 2,
        [logits(12, t5=2)] * 2,
        null_allowed=False,
    )

    assert two == one


def test_edges_of_white_space_are_no_answer() -> None:
    words = ["a", " ", "b"]

    found = answer(encoded((0, 3), words=words), [logits(3, t1=9)], [logits(3, t1=9)])

    assert found.text in ("a", "b", "a   b")


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = encoded((0, 7), (5, 4), (6, 6))
    starts = [rng.normal(size=window.count + 4).astype(np.float32) for window in pair.windows]
    ends = [rng.normal(size=window.count + 4).astype(np.float32) for window in pair.windows]
    spans: dict[tuple[int, int], float] = {}
    nulls = []
    for window, start, end in zip(pair.windows, starts, ends, strict=True):
        nulls.append(float(start[0]) + float(end[0]))
        for i in range(window.count):
            for j in range(i, min(i + 4, window.count)):
                key = (window.start + i, window.start + j)
                logit = float(start[3 + i]) + float(end[3 + j])
                spans[key] = max(logit, spans.get(key, -np.inf))
    (first, last), best = max(spans.items(), key=lambda each: each[1])
    total = np.exp(min(nulls)) + sum(np.exp(logit) for logit in spans.values())

    found = answer(pair, starts, ends)

    if min(nulls) > best:
        assert found.text == ""
        assert found.score == pytest.approx(np.exp(min(nulls)) / total)
    else:
        assert found.text == " ".join(WORDS[first : last + 1])
        assert found.score == pytest.approx(np.exp(best) / total)
