from __future__ import annotations

import pytest
import torch
from torch import nn

from infergraph import quantized
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.quantized import Int8Linear, quantize

INT8 = Placement(torch.device("cpu"), torch.float32, compile=False, quantized=True)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(0)


def error(layer: nn.Linear, levels: int, values: torch.Tensor) -> float:
    """How far off a layer is in int8, as a share of its answer."""
    with torch.inference_mode():
        exact = layer(values)
        return float((Int8Linear(layer, levels)(values) - exact).norm() / exact.norm())


@pytest.mark.parametrize("shape", [(5, 96), (2, 3, 96), (96,), (0, 96)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_keeps_its_shapes(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(96, 48, bias=bias)
    values = torch.randn(shape)

    answer = Int8Linear(layer, 127)(values)

    assert (answer.shape, answer.dtype) == (layer(values).shape, torch.float32)


@pytest.mark.parametrize(("levels", "most"), [(127, 0.012), (63, 0.025)])
def test_a_layer_is_off_by_little(levels: int, most: float) -> None:
    if levels == 127 and not quantized._multiplies_exactly():
        pytest.skip("this CPU adds products up in 16 bits")
    values = torch.randn(64, 256) * torch.logspace(-4, 4, 64)[:, None]

    assert 0 < error(nn.Linear(256, 64), levels, values) < most


def test_a_row_is_the_same_in_any_batch() -> None:
    layer = Int8Linear(nn.Linear(96, 48), 63)
    small, large = torch.randn(1, 96), torch.randn(7, 96) * 1000

    together = layer(torch.cat([small, large]))

    assert torch.equal(together[:1], layer(small))
    assert torch.equal(together[1:], layer(large))


def test_rows_of_zeros_and_of_what_are_no_numbers() -> None:
    layer = Int8Linear(nn.Linear(96, 48), 63)
    values = torch.zeros(3, 96)
    values[1, 0], values[2, 0] = float("nan"), float("inf")

    answer = layer(values)

    assert torch.equal(answer[0], layer.bias)
    # Else a network that failed would answer.
    assert not answer[1:].isfinite().any()


def test_only_large_linear_layers_are_replaced() -> None:
    class Special(nn.Linear):
        pass

    network = nn.Sequential(
        nn.Embedding(50, 64),
        nn.Linear(64, 64),
        nn.LayerNorm(64),
        Special(64, 64),
        nn.Linear(64, 3),
    )
    placed = INT8.place(network)

    assert [type(layer) for layer in placed.children()] == [
        nn.Embedding,
        Int8Linear,
        nn.LayerNorm,
        Special,
        nn.Linear,
    ]
    assert placed(torch.tensor([[1, 2]])).shape == (1, 2, 3)


def test_a_layer_that_is_used_twice_stays_one() -> None:
    layer = nn.Linear(64, 64)
    network = nn.Sequential(layer, nn.Sequential(layer))
    quantize(network)

    assert network[0] is network[1][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("network", "counted"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 4)), "0 linear layers that can compute"),
        (
            nn.Sequential(nn.Conv2d(64, 64, 3), nn.Linear(64, 64), nn.Linear(64, 64)),
            r"2 linear layers that can compute in it \(8192 weights\) beside 1 convolutions",
        ),
        (
            nn.Sequential(nn.Conv1d(3, 8, 3), nn.Conv1d(8, 8, 3), nn.Linear(64, 64)),
            "1 linear layers",
        ),
    ],
)
def test_a_network_that_would_be_no_faster_is_refused(network: nn.Module, counted: str) -> None:
    with pytest.raises(ConfigurationError, match=counted) as caught:
        INT8.place(network)

    assert str(caught.value).startswith("setting 'dtype' = 'int8': Sequential has ")
    assert str(caught.value).endswith("accepted: auto, fp32, bf16, fp16")


def test_without_the_library_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)

    with pytest.raises(ConfigurationError, match="torch was built without oneDNN here"):
        quantize(nn.Sequential(nn.Linear(64, 64)))


def test_products_that_do_not_fit_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Int8Linear, "forward", lambda layer, values: torch.full((1, 32), 63.9))
    assert quantized._multiplies_exactly()
    monkeypatch.setattr(Int8Linear, "forward", lambda layer, values: torch.full((1, 32), 40.0))
    assert not quantized._multiplies_exactly()
