from __future__ import annotations

import numpy as np
import pytest

from infergraph.v2 import NUMPY_DTYPES, Message, Tensor, datatype_of


@pytest.mark.parametrize(("datatype", "dtype"), NUMPY_DTYPES.items())
def test_every_datatype_and_its_dtype_lead_to_each_other(
    datatype: str, dtype: np.dtype[np.generic]
) -> None:
    # Held as float32: an array itself does not say that it is meant as BF16.
    expected = "FP32" if datatype == "BF16" else datatype
    assert datatype_of(dtype) == expected
    assert datatype_of(dtype.newbyteorder("S")) == expected


@pytest.mark.parametrize("dtype", ["complex64", "<U3", "S3", "datetime64[s]"])
def test_a_dtype_without_a_datatype(dtype: str) -> None:
    with pytest.raises(ValueError, match="has no V2 datatype; accepted: bool, uint8"):
        datatype_of(np.dtype(dtype))


def test_of_reads_the_datatype_off_the_array_and_shares_it() -> None:
    array = np.zeros((2, 3), np.float16)
    tensor = Tensor.of("x", array)

    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", "FP16", (2, 3))
    assert tensor.data is array
    assert tensor.renamed("y") == Tensor("y", "FP16", array)
    assert tensor.renamed("y").data is array


def test_of_bytes_is_a_column_unless_told() -> None:
    items = [b"a", b"", b"\x00\xff\x00", b"\x00"]

    assert Tensor.of_bytes("x", items).data.tolist() == [[item] for item in items]
    assert Tensor.of_bytes("x", items, [2, 2]).data.tolist() == [items[:2], items[2:]]
    assert Tensor.of_bytes("x", items).datatype == "BYTES"
    assert Tensor.of_bytes("x", []).shape == (0, 1)


def test_a_message_keeps_its_order_and_repeated_names() -> None:
    first, other, second = (
        Tensor.of(name, np.array([value])) for name, value in (("a", 1), ("b", 2), ("a", 3))
    )
    message = Message([first, other, second])

    assert message.names() == ["a", "b", "a"]
    assert message.get("a") is first
    assert message.get("c") is None
    assert message.selected(["b", "a", "c"]) == [first, other, second]
    assert message.selected(["b"]) == [other]


def test_messages_do_not_share_parameters() -> None:
    first, second = Message([]), Message([])
    first.parameters["language"] = "fr"

    assert second.parameters == {}
