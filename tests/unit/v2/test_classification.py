from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.errors import InvalidInput
from infergraph.v2 import Tensor
from infergraph.v2.classification import classify


def classes(values: object, count: int, dtype: str = "float32") -> Tensor:
    return classify(Tensor.of("y", np.array(values, dtype)), count)


def test_the_largest_of_each_item_first() -> None:
    found = classes([[0.5, 2.0, -1.0], [3.0, 0.0, 4.5]], 2)

    assert (found.name, found.datatype, found.shape) == ("y", "BYTES", (2, 2))
    assert found.data.tolist() == [
        [b"2.000000:1", b"0.500000:0"],
        [b"4.500000:2", b"3.000000:0"],
    ]


def test_one_dimension_is_one_list_of_classes() -> None:
    found = classes([0.5, 2.0, -1.0], 2)

    assert (found.shape, found.data.tolist()) == ((2,), [b"2.000000:1", b"0.500000:0"])
    assert classes(7.0, 2).data.tolist() == [b"7.000000:0"]


def test_further_dimensions_are_one_list() -> None:
    assert classes([[[1, 2], [4, 3]]], 3, "int64").data.tolist() == [[b"4:2", b"3:3", b"2:1"]]


def test_there_may_be_fewer_classes_than_asked_for() -> None:
    assert classes([[1.0, 2.0]], 100).shape == (1, 2)


def test_of_equal_values_the_first_class_comes_first() -> None:
    assert classes([[1, 5, 5, 5]], 3, "int8").data.tolist() == [[b"5:1", b"5:2", b"5:3"]]


def test_nan_goes_last() -> None:
    assert classes([[np.nan, 1.0, -np.inf, np.inf]], 4).data.tolist() == [
        [b"inf:3", b"1.000000:1", b"nan:0", b"-inf:2"]
    ]


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_large_integers_are_exact(dtype: str) -> None:
    top = int(np.iinfo(dtype).max)
    assert classes([[top - 1, top]], 1, dtype).data.tolist() == [[f"{top}:1".encode()]]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (0, 0), (0, 2, 2)])
def test_no_values(shape: tuple[int, ...]) -> None:
    found = classify(Tensor.of("y", np.empty(shape, np.float32)), 2)

    assert found.data.size == 0
    assert found.shape == ((0,) if len(shape) == 1 else (shape[0], min(2, int(np.prod(shape[1:])))))


@pytest.mark.parametrize(
    ("tensor", "datatype"),
    [(Tensor.of_bytes("y", [b"a"]), "BYTES"), (Tensor.of("y", np.array([True])), "BOOL")],
)
def test_what_has_no_largest_values(tensor: Tensor, datatype: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        classify(tensor, 1)
    assert str(caught.value) == (
        f"output tensor 'y' is {datatype}, which has no largest values; accepted for "
        "classification: numbers"
    )


@given(
    st.lists(st.lists(st.integers(-5, 5), min_size=4, max_size=4), min_size=1), st.integers(1, 6)
)
def test_it_is_a_stable_sort(rows: list[list[int]], count: int) -> None:
    found = classes(rows, count, "int32")

    expected = [
        sorted(enumerate(row), key=lambda each: (-each[1], each[0]))[:count] for row in rows
    ]
    assert found.data.tolist() == [
        [f"{value}:{index}".encode() for index, value in row] for row in expected
    ]
