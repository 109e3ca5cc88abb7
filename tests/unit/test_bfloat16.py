"""BF16 against what its definition says: the upper half of a float32, rounded to nearest even."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from infergraph_clients.bfloat16 import pack, unpack


def test_values_that_bf16_has_survive() -> None:
    values = np.array([[0.0, -0.0, 1.0, -2.5], [2.0**127, 2**-126, np.inf, -np.inf]], np.float32)
    assert unpack(pack(values)).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("bits", "half"),
    [
        (0x3F800000, 0x3F80),
        (0x3F807FFF, 0x3F80),
        (0x3F808000, 0x3F80),
        (0x3F808001, 0x3F81),
        (0x3F818000, 0x3F82),
        (0x7F7FFFFF, 0x7F80),
        (0x7F800001, 0x7FC0),
        (0xFFFFFFFF, 0xFFFF),
    ],
)
def test_rounding(bits: int, half: int) -> None:
    value = np.frombuffer(struct.pack("<I", bits), "<f4")
    assert pack(value) == struct.pack("<H", half)


def test_it_rounds_as_torch_does() -> None:
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    assert (unpack(pack(values)) == torch.tensor(values).bfloat16().float().numpy()).all()


def test_other_orders_of_bytes_and_axes() -> None:
    values = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert unpack(pack(values)).tolist() == [0, 3, 1, 4, 2, 5]


def test_half_a_value() -> None:
    with pytest.raises(ValueError, match="3 bytes are no BF16 values"):
        unpack(b"123")
