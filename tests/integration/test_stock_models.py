"""Stock MLServer models in a server in which the fast path is installed."""

from __future__ import annotations

import numpy as np
import pytest
from mlserver.grpc import dataplane_pb2 as pb

from .conftest import FRONT_ENDS, TRANSPORTS, Connect, Echoes
from .test_bad_input import assert_refused
from .v2 import GrpcClient

ARRAYS = [
    np.array([[1.5, -2.0, 3e-38], [4, 5, 6]], np.float32),
    np.array([[1e300, -0.1, 2]], np.float64),
    np.array([[-(2**63), 0, 2**63 - 1]], np.int64),
    np.array([[0, 7, 255]], np.uint8),
    np.array([[-128, 0, 127]], np.int8),
    np.array([[True, False, True]]),
]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.name)
async def test_numpy_codec(
    echoes: Echoes, connect: Connect, front_end: str, array: np.ndarray
) -> None:
    client = connect(echoes.stages, front_end)
    answer = await client.infer("reverse", {"input": array})
    assert answer["output"].dtype == array.dtype
    assert answer["output"].tolist() == array[:, ::-1].tolist()


async def test_values_that_mlserver_s_codec_does_not_know_fail_as_under_mlserver(
    echoes: Echoes, connect: Connect
) -> None:
    # A NaN that NumpyCodec made null has no raw form in MLServer either.
    client = connect(echoes.stages, "grpc")
    array = np.array([[np.nan, 1.0]], np.float32)
    assert_refused(await client.infer("reverse", {"input": array}), 500, "'reverse'")
    finite = np.array([[np.finfo(np.float32).max, 1.0]], np.float32)
    answer = await client.infer("reverse", {"input": finite})
    assert answer["output"].tolist() == finite[:, ::-1].tolist()


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_decoded_arguments(echoes: Echoes, connect: Connect, front_end: str) -> None:
    client = connect(echoes.stages, front_end)
    inputs = {"values": np.array([[1.5, 2]], np.float32), "names": ["één", "two"]}
    answer = await client.infer("scale", inputs)
    assert [array.tolist() for _, array in answer.outputs] == [
        [[3.0, 4.0]],
        [["ÉÉN".encode()], [b"TWO"]],
    ]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_string_codec(echoes: Echoes, connect: Connect, front_end: str) -> None:
    client = connect(echoes.stages, front_end)
    texts = ["one", "", "drei ✓"]
    assert (await client.infer("wait", {"text": texts})).texts("text") == texts


async def test_typed_contents(echoes: Echoes, connect: Connect) -> None:
    client = connect(echoes.stages, "grpc")
    assert isinstance(client, GrpcClient)
    request = pb.ModelInferRequest(model_name="reverse")
    tensor = request.inputs.add(name="input", datatype="FP32", shape=[1, 3])
    tensor.contents.fp32_contents.extend([1, 2, 3])
    assert (await client.send(request))["output"].tolist() == [[3, 2, 1]]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_as_a_step(echoes: Echoes, connect: Connect, transport: str, front_end: str) -> None:
    client = connect(echoes.servers[transport], front_end)
    texts = ["one", "drei ✓"]
    answer = await client.infer("through-wait", {"text": texts}, parameters={"trace": True})
    assert answer.texts("text") == texts
    # Not a Runtime: it has no in-process call, and is reached at the server's own gRPC port.
    (step,) = answer.trace["steps"]
    assert step["transport"] == ("grpc" if transport == "in-process" else transport)
