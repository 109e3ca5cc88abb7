from __future__ import annotations

import pytest

from infergraph.errors import MalformedRequest, TooLarge
from infergraph.v2.request import Limits, quoted


@pytest.mark.parametrize(
    ("outline", "outputs", "text"),
    [
        ([("a", "INT8", [1])] * 3, 0, "the request has 3 tensors; accepted: at most 2"),
        ([], 3, "the request has 3 tensors; accepted: at most 2"),
        ([("a", "INT8", [3, 2]), ("b", "BYTES", [2])], 0, "hold 8 elements; accepted: at most 7"),
        ([("a", "BYTES", [2]), ("b", "BYTES", [2])], 0, "BYTES tensors hold 4 elements; accepted"),
        ([("a", "INT8", [2**31, 2**31])], 0, f"hold {2**62} elements"),
    ],
)
def test_more_than_the_limits(
    outline: list[tuple[str, str, list[int]]], outputs: int, text: str
) -> None:
    with pytest.raises(TooLarge, match=text):
        Limits(tensors=2, elements=7, strings=3).check(outline, outputs)


def test_just_the_limits() -> None:
    outline = [("a", "INT8", [2, 2]), ("b", "BYTES", [3, 1])]
    Limits(tensors=2, elements=7, strings=3).check(outline, 2)


def test_empty_and_scalar_tensors() -> None:
    Limits(tensors=3, elements=1, strings=0).check(
        [("a", "INT8", []), ("b", "BYTES", [0]), ("c", "FP32", [2**40, 0])]
    )


@pytest.mark.parametrize("shape", [[-1], [1, -1], [2**62], [0, 2**70], [1] * 33])
def test_shapes_that_are_none(shape: list[int]) -> None:
    with pytest.raises(MalformedRequest, match="tensor 'a'"):
        Limits().check([("a", "INT8", shape)])


def test_a_datatype_that_is_none() -> None:
    with pytest.raises(MalformedRequest, match="tensor 'a' has datatype 'FP8'; accepted: BOOL, "):
        Limits().check([("a", "FP8", [1])])


def test_long_names_are_cut() -> None:
    assert quoted("asr") == "'asr'"
    assert quoted("a" * 10_000) == f"'{'a' * 200}...' (10000 characters)"
