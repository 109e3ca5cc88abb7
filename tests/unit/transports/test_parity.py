"""The same values come out of every transport, bit for bit, through the server's own codecs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from infergraph import registry
from infergraph.errors import InvalidInput
from infergraph.request import RequestContext
from infergraph.transports import InProcessTransport, Transport
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor, raw
from tests.unit.transports.peers import RestPeer


class Echo:
    name = "echo"

    async def infer(self, message: Message, context: RequestContext) -> Message:
        return Message(message.tensors, message.id)


@pytest.fixture
def in_process() -> Iterator[Transport]:
    echo = Echo()
    registry.register(echo)
    yield InProcessTransport()
    registry.unregister(echo)


@pytest.fixture(params=["in_process", "over_grpc", "over_rest", "over_binary_rest"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.getfixturevalue(request.param)
    return found


def extremes(datatype: str) -> np.ndarray[Any, Any]:
    dtype = NUMPY_DTYPES[datatype]
    if datatype == "BOOL":
        values: list[Any] = [True, False, False, True]
    elif datatype == "BF16":
        values = [1.0, -2.5, -0.0, 2.0**-126, 3.0e38 - 3.0e38 % 2.0**120, 1 / 3]
        packed = bytes(raw.pack(datatype, np.array(values, dtype)))
        return raw.unpack(datatype, (2, 3), packed)
    elif dtype.kind == "f":
        limits = np.finfo(dtype)
        values = [limits.max, limits.min, limits.smallest_subnormal, -0.0, 0.1, 1 / 3]
    else:
        values = [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1]
    return np.array(values, dtype).reshape(2, -1)


NUMBERS = [datatype for datatype in NUMPY_DTYPES if datatype != "BYTES"]
BYTES = {
    "text": [b"", "Zürich \u2713".encode(), b"\x00 control \n", b'"quoted\\"'],
    "not UTF-8": [b"\xff\xfe", b"RIFF\x00\x80", b"plain", b""],
    "looks like base64": [b"RIFF", b"AAAA", b"Zm9v", b"===="],
}


async def echo(transport: Transport, *tensors: Tensor) -> list[Tensor]:
    answer = await transport.infer("echo", Message(list(tensors), "id-1"), RequestContext())
    assert answer.id == "id-1"
    assert answer.parameters == {}
    return answer.tensors


def assert_same(given: Tensor, came: Tensor) -> None:
    assert (came.name, came.datatype, came.shape) == (given.name, given.datatype, given.shape)
    assert came.data.dtype == given.data.dtype
    if given.datatype == "BYTES":
        assert came.data.tolist() == given.data.tolist()
        assert all(type(item) is bytes for item in came.data.ravel())
    else:
        assert came.data.tobytes() == given.data.tobytes()


@pytest.mark.parametrize("datatype", NUMBERS)
async def test_numbers(transport: Transport, datatype: str) -> None:
    given = Tensor("x", datatype, extremes(datatype))
    (came,) = await echo(transport, given)
    assert_same(given, came)


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 4)])
async def test_empty_dimensions(
    transport: Transport, datatype: str, shape: tuple[int, ...]
) -> None:
    given = Tensor("x", datatype, np.empty(shape, NUMPY_DTYPES[datatype]))
    (came,) = await echo(transport, given)
    assert_same(given, came)


@pytest.mark.parametrize("items", BYTES.values(), ids=BYTES)
async def test_bytes(transport: Transport, items: list[bytes]) -> None:
    given = Tensor.of_bytes("x", items, (2, 2))
    (came,) = await echo(transport, given)
    assert_same(given, came)


async def test_several_tensors_keep_their_order_and_repeated_names(transport: Transport) -> None:
    given = [
        Tensor.of("b", np.arange(6, dtype=np.float32).reshape(2, 3)),
        Tensor.of_bytes("a", [b"one", b"\xff"]),
        Tensor.of("b", np.array([[7]], np.int8)),
    ]
    came = await echo(transport, *given)
    assert [tensor.name for tensor in came] == ["b", "a", "b"]
    for before, after in zip(given, came, strict=True):
        assert_same(before, after)


async def test_arrays_that_are_not_contiguous(transport: Transport) -> None:
    given = Tensor.of("x", np.arange(12, dtype=np.int32).reshape(3, 4).T[::2])
    (came,) = await echo(transport, given)
    np.testing.assert_array_equal(came.data, given.data)


@pytest.mark.parametrize("transport", ["over_grpc", "over_binary_rest"], indirect=True)
@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
async def test_nan_and_infinity_pass_raw(transport: Transport, datatype: str) -> None:
    given = Tensor("x", datatype, np.array([np.nan, np.inf, -np.inf, -0.0], NUMPY_DTYPES[datatype]))
    (came,) = await echo(transport, given)
    assert_same(given, came)


async def test_json_has_no_infinity(over_rest: Transport, rest_peer: RestPeer) -> None:
    given = Tensor.of("x", np.array([1, np.inf], np.float32))
    with pytest.raises(InvalidInput, match="tensor 'x' holds infinity"):
        await echo(over_rest, given)
    assert rest_peer.bodies == []


async def test_messages_may_be_large_both_ways(transport: Transport) -> None:
    given = Tensor.of("x", np.arange(3_000_000, dtype=np.float32).reshape(1, -1))
    (came,) = await echo(transport, given)
    assert_same(given, came)
