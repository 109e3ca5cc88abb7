"""V2 over gRPC: what comes and goes as bytes, beside protobuf's own classes."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infergraph.errors import (
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    StageFailure,
    TooLarge,
)
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor
from infergraph.v2.grpc import (
    Call,
    decode_response,
    encode_request,
    encode_response,
    hop_request,
    parameter_values,
    varint,
)
from infergraph.v2.request import Form, InferRequest, Limits, RequestedOutput
from infergraph.v2.schema import (
    HopRequest,
    InferParameter,
    ModelInferRequest,
    ModelInferResponse,
)
from tests.unit.v2.samples import NUMERIC, extremes, sample

TYPED: dict[str, tuple[str, list[Any]]] = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-(2**15), 2**15 - 1]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [0.5, float("inf")]),
    "FP64": ("fp64_contents", [0.1, -0.0]),
    "BYTES": ("bytes_contents", [b"a", b"\xff"]),
}
ANY = 1 << 40


def decode(request: Any, limits: Limits | None = None) -> InferRequest:
    return Call(request.SerializeToString(), ANY).decode(limits or Limits())


def refusal(request: Any, kind: type[InfergraphError] = MalformedRequest) -> str:
    with pytest.raises(kind) as caught:
        decode(request)
    assert type(caught.value) is kind
    return str(caught.value)


def raw_request(*tensors: tuple[str, str, list[int]], contents: list[bytes]) -> Any:
    request = ModelInferRequest(model_name="asr", id="7", raw_input_contents=contents)
    for name, datatype, shape in tensors:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
    return request


def typed_request(datatype: str, shape: list[int], **contents: Any) -> Any:
    request = ModelInferRequest(model_name="asr", id="7")
    given = request.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(given.contents, field).extend(values)
    return request


# Requests with raw contents


@pytest.mark.parametrize("datatype", NUMERIC)
def test_raw_numbers_are_shared_not_copied(datatype: str) -> None:
    values = extremes(datatype)
    packed = values.tobytes() if datatype != "BF16" else values.view("<u2")[1::2].tobytes()

    request = decode(raw_request(("x", datatype, [1, len(values)]), contents=[packed]))

    assert (request.form, request.message.id) == (Form.RAW, "7")
    (tensor,) = request.message.tensors
    assert (tensor.datatype, tensor.shape) == (datatype, (1, len(values)))
    assert tensor.data.dtype == NUMPY_DTYPES[datatype]
    np.testing.assert_array_equal(tensor.data[0], values)
    if datatype not in ("BOOL", "BF16"):
        assert not tensor.data.flags.owndata
        assert not tensor.data.flags.writeable


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_a_nans_payload_survives_bit_for_bit(datatype: str) -> None:
    packed = np.array([-1, -2], f"i{NUMPY_DTYPES[datatype].itemsize}").tobytes()

    tensor = decode(raw_request(("x", datatype, [2]), contents=[packed])).message.tensors[0]
    (_, _, content) = encode_response("m", "", Message([tensor]), {}, Form.RAW)

    assert np.isnan(tensor.data).all()
    assert bytes(content) == packed


def test_any_byte_but_zero_is_true() -> None:
    request = decode(raw_request(("x", "BOOL", [4]), contents=[bytes([0, 1, 2, 255])]))

    assert request.message.tensors[0].data.tolist() == [False, True, True, True]
    assert request.message.tensors[0].data.view(np.uint8).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
def test_no_elements(datatype: str) -> None:
    for request in (
        raw_request(("x", datatype, [0, 3]), contents=[b""]),
        typed_request(datatype, [0, 3]),
    ):
        (tensor,) = decode(request).message.tensors
        assert tensor.shape == (0, 3)
        assert tensor.data.dtype == NUMPY_DTYPES[datatype]


def test_elements_of_bytes() -> None:
    items = [b"RIFF", b"", b"\x00\xff\x00"]
    packed = b"".join(struct.pack("<I", len(item)) + item for item in items)

    request = decode(raw_request(("x", "BYTES", [3, 1]), contents=[packed]))

    assert request.message.tensors[0].data.tolist() == [[item] for item in items]


@pytest.mark.parametrize("datatype", NUMERIC)
@pytest.mark.parametrize("change", [-1, 1])
def test_contents_that_do_not_fill_the_shape(datatype: str, change: int) -> None:
    size = (2 if datatype == "BF16" else NUMPY_DTYPES[datatype].itemsize) * 6

    text = refusal(raw_request(("x", datatype, [2, 3]), contents=[b"\0" * (size + change)]))

    assert text == (
        f"tensor 'x': shape [2, 3] of {datatype} takes {size} bytes, "
        f"but raw contents have {size + change}"
    )


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"\x01", "raw contents end within the length of an element"),
        (b"\x01\x00\x00\x00a\x02\x00\x00", "raw contents end within the length of an element"),
        (b"\x05\x00\x00\x00abc", "an element of 5 bytes is cut off after 3"),
        (struct.pack("<I", 2**32 - 1), "an element of 4294967295 bytes is cut off after 0"),
        (b"\0" * 12, "the shape holds 2 elements, but raw contents have more"),
        (b"\0" * 4, "the shape holds 2 elements, but raw contents have 1"),
    ],
)
def test_elements_that_are_cut_off_or_too_many(contents: bytes, text: str) -> None:
    assert refusal(raw_request(("x", "BYTES", [2]), contents=[contents])) == f"tensor 'x': {text}"


@pytest.mark.parametrize(("tensors", "contents"), [(1, 2), (2, 1), (0, 1)])
def test_as_many_raw_contents_as_tensors(tensors: int, contents: int) -> None:
    request = raw_request(*[("x", "INT8", [1])] * tensors, contents=[b"\1"] * contents)

    assert refusal(request) == f"{tensors} tensors came with {contents} raw contents"


def test_typed_contents_beside_raw_ones() -> None:
    request = raw_request(("x", "INT8", [1]), ("y", "INT8", [1]), contents=[b"\1", b"\2"])
    request.inputs[1].contents.int_contents.append(3)

    assert refusal(request) == (
        "tensor 'y' has typed contents beside raw contents; accepted: either kind, for all tensors"
    )


def test_an_empty_field_of_typed_contents_is_none() -> None:
    request = raw_request(("x", "INT8", [1]), contents=[b"\1"])
    request.inputs[0].contents.SetInParent()

    assert decode(request).message.tensors[0].data.tolist() == [1]


# Requests with typed contents


@pytest.mark.parametrize("datatype", TYPED)
def test_typed_contents(datatype: str) -> None:
    field, values = TYPED[datatype]

    request = decode(typed_request(datatype, [2, 1], **{field: values}))

    (tensor,) = request.message.tensors
    assert (request.form, tensor.datatype) == (Form.TYPED, datatype)
    assert tensor.data.dtype == NUMPY_DTYPES[datatype]
    assert tensor.data.tolist() == [[value] for value in values]
    assert not tensor.data.flags.writeable


def test_many_typed_contents() -> None:
    values = list(range(150_000))

    tensor = decode(typed_request("INT32", [150_000], int_contents=values)).message.tensors[0]

    assert tensor.data.tolist() == values


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (typed_request("INT8", [2], int_contents=[1]), "shape [2] holds 2 values, but int_con"),
        (typed_request("INT8", [1]), "shape [1] holds 1 values, but int_contents has 0"),
        (typed_request("INT8", [], int_contents=[1, 2]), "shape [] holds 1 values, but int_cont"),
        (typed_request("INT8", [1], int_contents=[128]), "a value is out of the range -128 to 127"),
        (typed_request("UINT8", [1], uint_contents=[256]), "a value is out of the range 0 to 255"),
        (
            typed_request("FP32", [1], fp64_contents=[1.0]),
            "it has fp64_contents; accepted for FP32: fp32_contents",
        ),
        (
            typed_request("INT32", [1], int_contents=[1], int64_contents=[2]),
            "it has int64_contents; accepted for INT32: int_contents",
        ),
        (
            typed_request("FP16", [1], fp32_contents=[1.0]),
            "it has fp32_contents; accepted for FP16: none",
        ),
        (typed_request("FP16", [1]), "typed contents cannot hold FP16; accepted: raw contents"),
        (typed_request("BF16", [1]), "typed contents cannot hold BF16; accepted: raw contents"),
    ],
)
def test_typed_contents_that_are_not_what_they_should_be(request_: Any, text: str) -> None:
    assert refusal(request_).startswith(f"tensor 'x': {text}")


# What holds for both


@pytest.mark.parametrize("shape", [[-1], [-2, 2], [0, -1], [-(2**63)]])
def test_negative_sizes(shape: list[int]) -> None:
    text = f"tensor 'x' has shape {shape}; sizes cannot be negative"
    assert refusal(raw_request(("x", "FP32", shape), contents=[b"\0" * 4])) == text
    assert refusal(typed_request("FP32", shape)) == text


@pytest.mark.parametrize(
    ("shape", "text"), [([2**62], "impossible shape"), ([1] * 33, "has 33 dimensions; accepted")]
)
def test_impossible_shapes(shape: list[int], text: str) -> None:
    assert text in refusal(raw_request(("x", "INT8", shape), contents=[b""]))


@pytest.mark.parametrize("datatype", ["FP8", "", "fp32", "x" * 10_000])
def test_an_unknown_datatype(datatype: str) -> None:
    text = refusal(raw_request(("x", datatype, [1]), contents=[b"\0\0"]))

    assert text.startswith("tensor 'x' has datatype '")
    assert "accepted: BOOL, UINT8, " in text
    assert len(text) < 600


def test_announced_base64_is_decoded() -> None:
    request = typed_request("BYTES", [1], bytes_contents=[b"/w=="])
    request.inputs[0].parameters["content_type"].string_param = "base64"
    assert decode(request).message.tensors[0].data.tolist() == [b"\xff"]

    request.inputs[0].contents.bytes_contents[0] = b"?"
    assert refusal(request).startswith("tensor 'x': element 0 is not base64")


def test_what_looks_like_base64_is_left_alone() -> None:
    request = typed_request("BYTES", [1], bytes_contents=[b"/w=="])
    request.inputs[0].parameters["other"].string_param = "base64"
    assert decode(request).message.tensors[0].data.tolist() == [b"/w=="]


def test_requested_outputs() -> None:
    request = typed_request("INT8", [1], int_contents=[1])
    request.outputs.add(name="a")
    request.outputs.add(name="b").parameters["classification"].int64_param = 3

    assert decode(request).outputs == [RequestedOutput("a"), RequestedOutput("b", 3)]

    request.outputs[1].parameters["classification"].int64_param = 0
    assert refusal(request, InvalidInput) == (
        "output 'b': classification is 0; accepted: an integer from 1"
    )


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (Limits(tensors=1), "max_tensors"),
        (Limits(elements=3), "max_elements"),
        (Limits(strings=1), "max_strings"),
    ],
)
def test_limits(limits: Limits, setting: str) -> None:
    request = raw_request(("x", "INT8", [2]), ("t", "BYTES", [2]), contents=[b"\1\2", b"\0" * 8])

    assert decode(request).message.names() == ["x", "t"]
    with pytest.raises(TooLarge, match=f"server setting '{setting}'"):
        decode(request, limits)


# Parameters


PARAMETERS: dict[str, Any] = {
    "bool_param": True,
    "int64_param": -(2**63),
    "string_param": "fr é",
    "double_param": 0.1,
    "uint64_param": 2**64 - 1,
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_each_kind_of_parameter_comes_and_goes(kind: str) -> None:
    request = ModelInferRequest()
    setattr(request.parameters["p"], kind, PARAMETERS[kind])

    message = decode(request).message

    assert message.parameters == {"p": PARAMETERS[kind]}
    assert type(message.parameters["p"]) is type(PARAMETERS[kind])
    (body,) = encode_response("m", "", message, message.parameters, Form.TYPED)
    assert ModelInferResponse.FromString(body).parameters == request.parameters


def test_a_parameter_without_a_value_is_left_out() -> None:
    request = ModelInferRequest()
    request.parameters["none"].CopyFrom(InferParameter())

    assert decode(request).message.parameters == {}
    assert parameter_values({}) == {}


def test_for_mlserver_fractions_and_large_integers_go_as_text() -> None:
    parameters = {"fraction": 0.1, "large": 2**63, "flag": False, "small": 3}

    body = encode_request("m", "", Message([]), parameters, exact_parameters=False)

    given = ModelInferRequest.FromString(body).parameters
    assert {name: each.WhichOneof("parameter_choice") for name, each in given.items()} == {
        "fraction": "string_param",
        "large": "string_param",
        "flag": "bool_param",
        "small": "int64_param",
    }
    assert float(given["fraction"].string_param) == 0.1
    assert int(given["large"].string_param) == 2**63


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [1], {"a": 1}, None, b"x"])
def test_parameters_that_grpc_cannot_carry(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"parameter 'p' is .* accepted over gRPC"):
        encode_request("m", "", Message([]), {"p": value})
    # Of an answer they are the model's fault, not the caller's.
    with pytest.raises(StageFailure, match=r"parameter 'p' is .* accepted over gRPC"):
        encode_response("m", "", Message([]), {"p": value}, Form.RAW)


# Answers


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
@pytest.mark.parametrize("form", [Form.RAW, Form.TYPED])
def test_an_answer_goes_back_in_the_requests_form(datatype: str, form: Form) -> None:
    tensor = sample(datatype, "y")
    if form is Form.TYPED and datatype in ("FP16", "BF16"):
        with pytest.raises(InvalidInput, match=f"output tensor 'y' is {datatype}, which typed"):
            encode_response("m", "2", Message([tensor]), {}, form)
        return

    body = b"".join(encode_response("m", "2", Message([tensor], "7"), {"p": 1}, form))

    response = ModelInferResponse.FromString(body)
    assert (response.model_name, response.model_version, response.id) == ("m", "2", "7")
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", datatype, [2, 1])
    assert bool(response.raw_output_contents) is (form is Form.RAW)
    assert output.HasField("contents") is (form is Form.TYPED)
    message, parameters = decode_response(body, "other")
    assert (message.id, parameters) == ("other", {"p": 1})
    assert message.tensors[0].datatype == datatype
    np.testing.assert_array_equal(message.tensors[0].data, tensor.data)


def test_raw_answers_keep_order_and_repeated_names() -> None:
    tensors = [Tensor.of(name, np.array([n], np.int8)) for n, name in enumerate("bab")]

    body = b"".join(encode_response("m", "", Message(tensors), {}, Form.RAW))

    found = decode_response(body, "")[0]
    assert [(each.name, each.data.tolist()) for each in found.tensors] == [
        ("b", [0]),
        ("a", [1]),
        ("b", [2]),
    ]


def test_arrays_go_in_row_major_order() -> None:
    transposed = np.arange(6, dtype=np.int16).reshape(2, 3).T
    labels = np.array([[b"a", b"b"], [b"c", b"d"]], object).T
    message = Message([Tensor.of("x", transposed), Tensor("t", "BYTES", labels)])

    for form in (Form.RAW, Form.TYPED):
        found = decode_response(b"".join(encode_response("m", "", message, {}, form)), "")[0]
        assert found.tensors[0].data.tolist() == [[0, 3], [1, 4], [2, 5]]
        assert found.tensors[1].data.tolist() == [[b"a", b"c"], [b"b", b"d"]]


def test_answers_may_mix_raw_and_typed_contents() -> None:
    response = ModelInferResponse(raw_output_contents=[b"\1\2"])
    response.outputs.add(name="y", datatype="INT32", shape=[1]).contents.int_contents.append(5)
    response.outputs.add(name="z", datatype="INT8", shape=[2])

    message, _ = decode_response(response.SerializeToString(), "")

    assert [tensor.data.tolist() for tensor in message.tensors] == [[5], [1, 2]]


def test_an_answer_of_mlserver_has_empty_typed_contents_beside_raw_ones() -> None:
    response = ModelInferResponse(raw_output_contents=[b"\1\2"])
    response.outputs.add(name="z", datatype="INT8", shape=[2]).contents.SetInParent()

    message, _ = decode_response(response.SerializeToString(), "")

    assert message.tensors[0].data.tolist() == [1, 2]


@pytest.mark.parametrize("count", [0, 2])
def test_an_answer_with_another_number_of_contents(count: int) -> None:
    response = ModelInferResponse(raw_output_contents=[b"\1"] * count)
    response.outputs.add(name="z", datatype="INT8", shape=[1])

    with pytest.raises(ValueError, match=r"1 tensors came with 2|holds 1 values, but int_contents"):
        decode_response(response.SerializeToString(), "")


def test_bytes_that_are_no_answer() -> None:
    with pytest.raises(ValueError, match="not a ModelInferResponse of V2"):
        decode_response(b"\xff\xff", "")


# The scan, beside protobuf's own parse


def large_message(unknown: bytes = b"") -> tuple[bytes, list[bytes]]:
    """A request above the size from which contents are cut out, as protobuf writes it."""
    contents = [np.arange(20_000, dtype="<f4").tobytes(), b"", b"\0\1" * 200, bytes(40_000)]
    shapes = [[20_000], [0], [400], [40_000]]
    request = raw_request(
        ("a", "FP32", shapes[0]),
        ("b", "INT8", shapes[1]),
        ("c", "UINT8", shapes[2]),
        ("d", "UINT8", shapes[3]),
        contents=contents,
    )
    request.parameters["beams"].int64_param = 4
    return request.SerializeToString() + unknown, contents


def fields_of(body: bytes) -> tuple[Any, list[bytes]]:
    """What protobuf makes of a message: all but the raw contents, and these."""
    message = ModelInferRequest.FromString(body)
    contents = list(message.raw_input_contents)
    message.ClearField("raw_input_contents")
    message.DiscardUnknownFields()
    return message, contents


def assert_split_as_protobuf_does(body: bytes) -> Call:
    call = Call(body, ANY)
    header, contents = fields_of(body)
    assert [bytes(each) for each in call.contents] == contents
    call.header.ClearField("raw_input_contents")
    call.header.DiscardUnknownFields()
    assert call.header == header
    return call


VARINT, LENGTH, FIXED64, FIXED32 = 0, 2, 1, 5


def unknown_field(number: int, kind: int) -> bytes:
    value = {
        VARINT: varint(12345),
        LENGTH: varint(3) + b"abc",
        FIXED64: bytes(8),
        FIXED32: bytes(4),
    }
    return varint(number << 3 | kind) + value[kind]


def test_large_contents_are_views_of_the_message() -> None:
    body, contents = large_message()

    call = assert_split_as_protobuf_does(body)

    assert all(isinstance(each, memoryview) for each in call.contents)
    assert call.parsed_bytes < len(body) - sum(map(len, contents))
    tensors = call.decode(Limits()).message.tensors
    assert np.shares_memory(tensors[0].data, np.frombuffer(body, np.uint8))
    assert [bytes(tensor.data.tobytes()) for tensor in tensors] == contents


@pytest.mark.parametrize("kind", [VARINT, LENGTH, FIXED64, FIXED32])
@pytest.mark.parametrize("number", [15, 99, 2**20])
def test_fields_of_a_later_protocol_may_stand_anywhere(number: int, kind: int) -> None:
    body, _ = large_message()
    field = unknown_field(number, kind)
    first_content = body.index(b"\x3a" + varint(80_000))

    for at in (0, first_content, first_content + 80_000 + 1 + len(varint(80_000)), len(body)):
        assert_split_as_protobuf_does(body[:at] + field + body[at:])


def test_contents_may_stand_before_the_rest() -> None:
    body, _ = large_message()
    first_content = body.index(b"\x3a" + varint(80_000))

    assert_split_as_protobuf_does(body[first_content:] + body[:first_content])


def test_messages_of_concatenated_messages() -> None:
    body, _ = large_message()
    more = ModelInferRequest(id="8", raw_input_contents=[b"x" * 50_000]).SerializeToString()

    assert assert_split_as_protobuf_does(body + more).header.id == "8"


def test_the_limit_of_what_is_parsed() -> None:
    body, _ = large_message()
    parsed = Call(body, ANY).parsed_bytes

    assert Call(body, parsed).contents
    with pytest.raises(TooLarge) as caught:
        Call(body, parsed - 1)
    assert str(caught.value) == (
        f"the message has {parsed} bytes beside raw contents; accepted: at most {parsed - 1} "
        "(server setting 'max_typed_bytes'): send large tensors as raw_input_contents"
    )


@pytest.mark.parametrize(
    "field",
    [b"\x2a\x00", b"\x32\x00", b"\x3a\x00", b"\x22\x00"],
    ids=["inputs", "outputs", "contents", "parameters"],
)
def test_requests_of_very_many_fields_are_not_read(field: bytes) -> None:
    most = 1 << 14

    with pytest.raises(TooLarge) as caught:
        Call(field * (most + 1), ANY)

    assert str(caught.value) == (
        f"the message has more than {most} tensors, contents and parameters together; "
        "accepted: at most that"
    )
    assert Call(field * (most - 1) + unknown_field(15, LENGTH), ANY).header


def test_hops_of_very_many_headers_are_not_read() -> None:
    headers = {str(number): "" for number in range((1 << 14) + 1)}

    with pytest.raises(TooLarge, match="more than 16384 tensors, contents and parameters"):
        hop_request(HopRequest(headers=headers).SerializeToString())


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_requests_of_hops(size: int) -> None:
    headers = {"x-a": "b", "x-long": "c" * 50_000}
    frame = HopRequest(headers=headers, request=bytes(size)).SerializeToString()

    assert hop_request(frame) == (bytes(size), headers)
    # The last of a field is what it holds, where it comes twice.
    assert hop_request(frame + HopRequest(request=b"last").SerializeToString())[0] == b"last"


SMALL = encode_request(
    "asr",
    "1",
    Message([sample("FP32"), sample("BYTES", "t"), sample("BF16", "h")], "seven"),
    {"language": "fr", "ratio": 0.5, "flag": True},
)
TYPED_SMALL = (
    typed_request("INT64", [3], int64_contents=[1, -2, 2**60]).SerializeToString()
    + ModelInferRequest(id="9").SerializeToString()
)
LARGE, _ = large_message()


@settings(max_examples=400, deadline=None)
@given(
    body=st.sampled_from([SMALL, TYPED_SMALL, LARGE]),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.binary(min_size=0, max_size=6), st.integers(0, 6)),
        min_size=1,
        max_size=6,
    ),
    head=st.booleans(),
)
def test_damaged_bytes_are_refused_or_read_and_nothing_else(
    body: bytes, edits: list[tuple[float, bytes, int]], head: bool
) -> None:
    for where, new, removed in edits:
        # Most of a large message is contents, where damage makes no difference.
        at = int(where * (min(len(body), 200) if head else len(body)))
        body = body[:at] + new + body[at + removed :]
    try:
        call = Call(body, 1 << 20)
    except (MalformedRequest, TooLarge):
        return
    try:
        request = call.decode(Limits())
    except (MalformedRequest, TooLarge, InvalidInput):
        return
    for tensor in request.message.tensors:
        assert tensor.data.size == math.prod(tensor.shape)
    assert_split_as_protobuf_does(body)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(body: bytes) -> None:
    try:
        Call(body, 1 << 20).decode(Limits())
    except (MalformedRequest, TooLarge, InvalidInput):
        return


@settings(max_examples=200, deadline=None)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 4))))
def test_damaged_answers_are_value_errors(edits: list[tuple[float, bytes, int]]) -> None:
    tensors = [sample("FP32"), sample("BYTES"), sample("BF16")]
    body = b"".join(encode_response("m", "1", Message(tensors, "7"), {"a": 1}, Form.RAW))
    for where, new, removed in edits:
        at = int(where * len(body))
        body = body[:at] + new + body[at + removed :]
    try:
        decode_response(body, "")
    except ValueError:
        return


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63])
def test_varints(number: int) -> None:
    assert ModelInferRequest.FromString(
        b"\x3a" + varint(min(number, 300)) + bytes(min(number, 300))
    ).raw_input_contents == [bytes(min(number, 300))]
    assert sum((byte & 0x7F) << 7 * index for index, byte in enumerate(varint(number))) == number
