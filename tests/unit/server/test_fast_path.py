from __future__ import annotations

import struct
import warnings
from typing import Any

import mlserver.grpc.converters as converters
import mlserver.raw as raw
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlserver.errors import MLServerError
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput, TensorData

from infergraph.server import fast_path, install
from infergraph.tensors.v2 import (
    GrpcInferenceRequest,
    RawInferenceRequest,
    Wire,
    decode_request,
    encode_response,
)
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor
from infergraph.v2 import raw as raw_codec

install()

NUMERIC = [datatype for datatype in NUMPY_DTYPES if datatype != "BYTES"]
FLOATS = ["FP16", "FP32", "FP64"]


def extremes(datatype: str) -> npt.NDArray[Any]:
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        values = [0.0, -0.0, 1.5, limits.max, limits.min, limits.tiny, np.inf, -np.inf, np.nan]
    elif dtype.kind == "b":
        values = [True, False, True]
    else:
        values = [np.iinfo(dtype).min, 0, 1, np.iinfo(dtype).max]
    return np.array(values, dtype)


def tensor_of(datatype: str, shape: list[int], data: Any = ()) -> RequestInput:
    return RequestInput.model_construct(
        name="x", datatype=datatype, shape=shape, data=TensorData.model_construct(root=list(data))
    )


def wire_request(
    *tensors: tuple[str, str, list[int]], contents: list[bytes]
) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(
        model_name="asr",
        id="7",
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
            for name, datatype, shape in tensors
        ],
        raw_input_contents=contents,
    )


def refusal(request: pb.ModelInferRequest) -> str:
    with pytest.raises(MLServerError) as caught:
        ModelInferRequestConverter.to_types(request)
    assert caught.value.status_code == 422
    return str(caught.value)


# Parity with MLServer's own codec, which is still there under its private names


@pytest.mark.parametrize("datatype", NUMERIC)
def test_unpacked_values_are_the_stock_codecs(datatype: str) -> None:
    contents = extremes(datatype).tobytes()
    tensor = tensor_of(datatype, [len(extremes(datatype))])

    array = fast_path.unpack(tensor, contents)

    assert array.dtype == NUMPY_DTYPES[datatype]
    np.testing.assert_array_equal(array, raw._unpack_tensor(tensor, contents))
    assert array.tobytes() == contents


@pytest.mark.parametrize("datatype", NUMERIC)
def test_packed_arrays_and_lists_are_the_stock_codecs(datatype: str) -> None:
    array = extremes(datatype)
    stock = raw._pack_tensor(tensor_of(datatype, [len(array)], array.tolist()))
    as_array = tensor_of(datatype, [len(array)])
    as_array.data = TensorData.model_construct(root=array)

    assert fast_path.pack(as_array) == stock
    assert fast_path.pack(tensor_of(datatype, [len(array)], array.tolist())) == stock


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_nans_payload_survives_bit_for_bit(datatype: str) -> None:
    dtype = NUMPY_DTYPES[datatype]
    bits = np.array([-1, -2], f"i{dtype.itemsize}")  # Two different NaNs.
    array = fast_path.unpack(tensor_of(datatype, [2]), bits.tobytes())
    as_array = tensor_of(datatype, [2])
    as_array.data = TensorData.model_construct(root=array)

    assert np.isnan(array).all()
    assert fast_path.pack(as_array) == bits.tobytes()


def test_any_byte_but_zero_is_true() -> None:
    contents = bytes([0, 1, 2, 255])
    tensor = tensor_of("BOOL", [4])

    array = fast_path.unpack(tensor, contents)

    assert array.tolist() == raw._unpack_tensor(tensor, contents) == [False, True, True, True]
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
def test_no_elements(datatype: str) -> None:
    array = fast_path.unpack(tensor_of(datatype, [0, 3]), b"")

    assert array.shape == (0,)
    assert array.dtype == NUMPY_DTYPES[datatype]
    assert fast_path.pack(tensor_of(datatype, [0, 3])) == b""


@pytest.mark.parametrize(
    "items", [[b""], [b"", b""], [b"RIFF", b"", b"\x00\xff\x00"], [b"\x00" * 1000], []]
)
def test_elements_of_bytes_and_the_stock_codecs(items: list[bytes]) -> None:
    contents = raw._pack_bytes(items)

    array = raw_codec.unpack_bytes(contents)

    assert array.dtype == object
    assert array.shape == (len(items),)
    assert array.tolist() == raw._unpack_bytes(contents) == items
    assert raw_codec.pack_bytes(items) == raw_codec.pack_bytes(array) == contents


@given(st.lists(st.binary(max_size=40)))
def test_any_elements_come_back(items: list[bytes]) -> None:
    assert raw_codec.unpack_bytes(raw_codec.pack_bytes(items)).tolist() == items


def test_strings_are_packed_as_utf8() -> None:
    assert fast_path.pack(tensor_of("BYTES", [2], ["é", b"a"])) == raw._pack_bytes(["é", b"a"])


def test_arrays_are_packed_in_row_major_order() -> None:
    transposed = np.arange(6, dtype=np.int16).reshape(2, 3).T
    tensor = tensor_of("INT16", [3, 2])
    tensor.data = TensorData.model_construct(root=transposed)
    assert fast_path.pack(tensor) == np.array([0, 3, 1, 4, 2, 5], np.int16).tobytes()

    labels = tensor_of("BYTES", [2, 2])
    labels.data = TensorData.model_construct(root=np.array([[b"a", b"b"], [b"c", b"d"]], object).T)
    assert fast_path.pack(labels) == raw._pack_bytes([b"a", b"c", b"b", b"d"])


# Malformed contents


@pytest.mark.parametrize("datatype", NUMERIC)
@pytest.mark.parametrize("change", [-1, 1])
def test_contents_that_do_not_fill_the_shape(datatype: str, change: int) -> None:
    size = NUMPY_DTYPES[datatype].itemsize * 6
    text = refusal(wire_request(("x", datatype, [2, 3]), contents=[b"\0" * (size + change)]))

    assert text == (
        f"tensor 'x': shape [2, 3] of {datatype} takes {size} bytes, "
        f"but raw contents have {size + change}"
    )


@pytest.mark.parametrize("shape", [[-1], [-2, 2]])
def test_a_negative_size(shape: list[int]) -> None:
    assert refusal(wire_request(("x", "FP32", shape), contents=[b"\0" * 4])).startswith(
        f"tensor 'x': shape {shape} of FP32 takes "
    )


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"\x01", "raw contents end within the length of an element"),
        (b"\x01\x00\x00\x00a\x02\x00\x00", "raw contents end within the length of an element"),
        (b"\x05\x00\x00\x00abc", "an element of 5 bytes is cut off after 3"),
        (struct.pack("<I", 2**32 - 1), "an element of 4294967295 bytes is cut off after 0"),
    ],
)
def test_truncated_elements(contents: bytes, text: str) -> None:
    assert refusal(wire_request(("x", "BYTES", [1]), contents=[contents])) == (
        f"tensor 'x': {text}"
    )


def test_an_unknown_datatype() -> None:
    assert refusal(wire_request(("x", "BF16", [1]), contents=[b"\0\0"])).startswith(
        "tensor 'x': unknown datatype 'BF16'; accepted: BOOL, UINT8, "
    )


def test_fewer_raw_contents_than_tensors() -> None:
    request = wire_request(("x", "INT8", [1]), ("y", "INT8", [1]), contents=[b"\1"])

    assert refusal(request) == "tensor 'y' has no data: 2 tensors came with 1 raw contents"


def test_more_raw_contents_than_tensors() -> None:
    request = wire_request(("x", "INT8", [1]), contents=[b"\1", b"\2"])

    assert refusal(request) == "1 tensors came with 2 raw contents"


# Through MLServer's converters


@pytest.mark.parametrize("datatype", NUMERIC)
def test_a_raw_request_is_decoded_without_a_copy(datatype: str) -> None:
    values = extremes(datatype)
    request = wire_request(("x", datatype, [1, len(values)]), contents=[values.tobytes()])

    payload = ModelInferRequestConverter.to_types(request)
    message, _, wire = decode_request(payload)

    assert type(payload) is RawInferenceRequest
    assert wire is Wire.RAW
    assert (payload.id, message.id) == ("7", "7")
    assert message.tensors[0].shape == (1, len(values))
    assert message.tensors[0].data.tobytes() == values.tobytes()
    if datatype != "BOOL":
        assert not message.tensors[0].data.flags.owndata


def test_raw_and_typed_tensors_may_be_mixed() -> None:
    request = wire_request(("x", "INT8", [1]), ("y", "INT8", [2]), contents=[b"\5"])
    request.inputs[1].contents.int_contents.extend([7, 8])

    message = decode_request(ModelInferRequestConverter.to_types(request))[0]

    assert [tensor.data.tolist() for tensor in message.tensors] == [[5], [7, 8]]


def test_a_request_is_converted_without_a_warning() -> None:
    request = wire_request(("x", "INT64", [1]), contents=[bytes(8)])
    request.outputs.add(name="text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        payload = ModelInferRequestConverter.to_types(request)
    assert [each.name for each in (*payload.inputs, *(payload.outputs or ()))] == ["x", "text"]


def test_a_typed_request_is_known_as_such() -> None:
    request = wire_request(("x", "INT64", [1, 2]), ("y", "BYTES", [1]), contents=[])
    request.inputs[0].contents.int64_contents.extend([7, -8])
    request.inputs[1].contents.bytes_contents.append(b"\xff\x00")
    request.parameters["language"].string_param = "fr"
    request.outputs.add(name="text")

    payload = ModelInferRequestConverter.to_types(request)
    message, _, wire = decode_request(payload)

    assert type(payload) is GrpcInferenceRequest
    assert wire is Wire.TYPED
    assert [tensor.data.tolist() for tensor in message.tensors] == [[[7, -8]], [b"\xff\x00"]]
    assert message.parameters == {"language": "fr"}
    assert [output.name for output in payload.outputs or []] == ["text"]


def answer(wire: Wire, **arrays: npt.NDArray[Any]) -> InferenceResponse:
    message = Message([Tensor.of(name, array) for name, array in arrays.items()], "7")
    return encode_response(message, "asr", None, wire, None)


@pytest.mark.parametrize("datatype", NUMERIC)
def test_a_raw_answer(datatype: str) -> None:
    values = extremes(datatype)[:, None]

    response = ModelInferResponseConverter.from_types(answer(Wire.RAW, y=values), use_raw=True)

    assert response.raw_output_contents[0] == values.tobytes()
    assert list(response.outputs[0].shape) == [len(values), 1]
    assert response.outputs[0].datatype == datatype
    assert response.outputs[0].contents == pb.InferTensorContents()


@pytest.mark.parametrize("datatype", [each for each in NUMERIC if each != "FP16"])
def test_a_typed_answer(datatype: str) -> None:
    values = extremes(datatype)

    response = ModelInferResponseConverter.from_types(answer(Wire.TYPED, y=values))

    ((_, contents),) = response.outputs[0].contents.ListFields()
    np.testing.assert_array_equal(np.array(contents, values.dtype), values)
    assert not response.raw_output_contents


def test_an_answer_of_bytes_in_both_forms() -> None:
    items = np.array([[b"\xff\x00"], [b""]], dtype=object)

    as_raw = ModelInferResponseConverter.from_types(answer(Wire.RAW, y=items), use_raw=True)
    typed = ModelInferResponseConverter.from_types(answer(Wire.TYPED, y=items))

    assert as_raw.raw_output_contents[0] == raw._pack_bytes([b"\xff\x00", b""])
    assert list(typed.outputs[0].contents.bytes_contents) == [b"\xff\x00", b""]


def test_raw_answers_keep_the_order_of_their_tensors() -> None:
    response = ModelInferResponseConverter.from_types(
        answer(Wire.RAW, b=np.array([1], np.int8), a=np.array([2], np.int8)), use_raw=True
    )

    assert [output.name for output in response.outputs] == ["b", "a"]
    assert list(response.raw_output_contents) == [b"\1", b"\2"]


def test_both_modules_hold_the_replacements() -> None:
    for module in (raw, converters):
        assert module.inject_raw is fast_path.inject_raw  # type: ignore[attr-defined]
        assert module.extract_raw is fast_path.extract_raw  # type: ignore[attr-defined]
    assert (raw.unpack, raw.pack) == (fast_path.unpack, fast_path.pack)


def test_rest_requests_are_left_alone() -> None:
    payload = InferenceRequest(
        inputs=[RequestInput(name="x", datatype="INT8", shape=[1], data=[1])]
    )

    assert decode_request(payload)[2] is Wire.JSON
