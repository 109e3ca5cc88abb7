"""Inputs made up from a model's metadata."""

from __future__ import annotations

import numpy as np
import pytest

from infergraph.v2 import NUMPY_DTYPES
from infergraph.v2.values import round_to_bf16
from infergraph_clients.errors import UsageError
from infergraph_clients.payloads import TensorSpec, check_inputs
from infergraph_clients.payloads.synthetic import Synthetic, make_payloads

ALL = tuple(TensorSpec(name.lower(), name, (-1, 3)) for name in NUMPY_DTYPES)


def test_every_datatype_as_declared() -> None:
    payloads = make_payloads(Synthetic(count=5, batch=4), ALL)
    assert [payload.name for payload in payloads] == [f"synthetic-{i}" for i in range(5)]
    for payload in payloads:
        check_inputs(payload.tensors, ALL)
        assert payload.items == 4
        by_name = {tensor.datatype: tensor.data for tensor in payload.tensors}
        for datatype, dtype in NUMPY_DTYPES.items():
            assert by_name[datatype].dtype == dtype
        assert 0 <= by_name["FP32"].min() <= by_name["FP32"].max() <= 1
        assert 0 <= by_name["INT8"].min() <= by_name["INT8"].max() <= 100
        assert (round_to_bf16(by_name["BF16"]) == by_name["BF16"]).all()
        assert all(len(text.split()) == 12 for text in by_name["BYTES"].ravel().tolist())


def test_a_seed_gives_the_same_and_another_one_others() -> None:
    def made(**settings: int) -> list[list[object]]:
        payloads = make_payloads(Synthetic(**settings), ALL)
        return [[tensor.data.tolist() for tensor in payload.tensors] for payload in payloads]

    assert made(seed=3) == made(seed=3)
    assert made(seed=3) != made(seed=4)
    first, second = made(count=2)
    assert first != second
    # More of them begin with the same ones.
    assert made(count=3)[:2] == [first, second]


def test_shapes_and_ranges() -> None:
    specs = (TensorSpec("image", "UINT8", (-1, 3, -1, -1)), TensorSpec("x", "INT64", (2,)))
    settings = Synthetic(
        batch=2, shapes={"image": (-1, 3, 8, 5)}, ranges={"x": (-7, -7), "image": (250, 255)}
    )
    image, x = make_payloads(settings, specs)[0].tensors
    assert image.shape == (2, 3, 8, 5)
    assert {int(value) for value in np.unique(image.data)} <= set(range(250, 256))
    assert int(image.data.max()) > 251
    assert x.data.tolist() == [-7, -7]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Synthetic(shapes={"y": (1,)}), "no input 'y'"),
        (Synthetic(ranges={"y": (0, 1)}), "no input 'y'"),
        (Synthetic(shapes={"x": (1, 4)}), r"has shape \[-1, 3\], but \[1, 4\] is asked for"),
        (Synthetic(ranges={"x": (0, 300)}), "its range is 0 to 300; accepted: from 0 to 255"),
        (Synthetic(ranges={"x": (2, 1)}), "its range is 2 to 1"),
    ],
)
def test_settings_that_the_model_does_not_take(settings: Synthetic, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make_payloads(settings, (TensorSpec("x", "UINT8", (-1, 3)),))


def test_a_model_that_declares_nothing() -> None:
    with pytest.raises(UsageError, match="metadata declare its inputs"):
        make_payloads(Synthetic(), ())
