from __future__ import annotations

import pytest

from infergraph.tensors import TensorSpec


@pytest.mark.parametrize(
    ("declared", "shape", "accepted"),
    [
        ((-1, 1), (1, 1), True),
        ((-1, 1), (64, 1), True),
        ((-1, 1), (-1, -1), True),
        ((-1, 1), (1, 2), False),
        ((-1, 1), (1,), False),
        ((-1, 1), (1, 1, 1), False),
        ((2, 3), (2, 3), True),
        ((2, 3), (3, 2), False),
        ((), (), True),
        ((), (1,), False),
        ((-1,), (0,), True),
    ],
)
def test_accepts_shape(declared: tuple[int, ...], shape: tuple[int, ...], accepted: bool) -> None:
    assert TensorSpec("x", "FP32", declared).accepts_shape(shape) is accepted


def test_as_text() -> None:
    assert str(TensorSpec("audio", "BYTES", (-1, 1), optional=True)) == "audio BYTES [-1, 1]"
