"""V2 over REST: JSON, base64 and raw contents behind the JSON."""

from __future__ import annotations

import base64
import json
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
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor, raw
from infergraph.v2.request import Form, InferRequest, Limits, RequestedOutput
from infergraph.v2.rest import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    without_binary,
)
from tests.unit.v2.samples import NUMERIC, SAMPLES, extremes, sample

ANNOUNCED = {"content_type": "base64"}


def body_of(*tensors: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"inputs": list(tensors), **fields}).encode()


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2.5], **fields}


def decode(body: bytes, size: int | None = None, limits: Limits | None = None) -> InferRequest:
    return decode_request(body, size, limits or Limits())


def one(**fields: Any) -> Tensor:
    (found,) = decode(body_of(tensor(**fields))).message.tensors
    return found


def refusal(
    body: bytes, size: int | None = None, kind: type[InfergraphError] = MalformedRequest
) -> str:
    with pytest.raises(kind) as caught:
        decode(body, size)
    assert type(caught.value) is kind
    return str(caught.value)


# JSON


@pytest.mark.parametrize(("datatype", "values"), SAMPLES.items())
def test_every_datatype(datatype: str, values: list[Any]) -> None:
    found = one(datatype=datatype, shape=[1, 2], data=values)

    expected = [value.encode() if isinstance(value, str) else value for value in values]
    assert (found.name, found.datatype) == ("x", datatype)
    assert found.data.dtype == NUMPY_DTYPES[datatype]
    assert found.data.tolist() == [expected]
    assert not found.data.flags.writeable


def test_nested_data_of_the_shape() -> None:
    assert one(shape=[2, 1], data=[[1], [2]]).data.tolist() == [[1], [2]]
    assert one(datatype="BYTES", shape=[2, 1], data=[["a"], ["b"]]).data.tolist() == [
        [b"a"],
        [b"b"],
    ]


@pytest.mark.parametrize("data", [[[1, 2], [3, 4]], [[1], [2], [3], [4]], [[1, 2, 3, 4], []]])
def test_nested_data_of_another_shape(data: list[Any]) -> None:
    text = refusal(body_of(tensor(datatype="INT64", shape=[1, 4], data=data)))

    assert text.startswith("tensor 'x': data is nested")


def test_a_single_value_of_no_dimension() -> None:
    assert one(shape=[], data=[3]).shape == ()


def test_null_is_nan_where_there_is_nan() -> None:
    np.testing.assert_array_equal(one(data=[None, 1]).data, np.array([np.nan, 1], np.float32))
    assert "null" in refusal(body_of(tensor(datatype="INT8", data=[None, 1])))


@pytest.mark.parametrize("shape", [[3], [2, 2], [1], [0], [5, 5], []])
def test_data_that_does_not_fill_its_shape(shape: list[int]) -> None:
    assert refusal(body_of(tensor(shape=shape))) == (
        f"tensor 'x': shape {shape} holds {int(np.prod(shape))} values, but data has 2"
    )


@pytest.mark.parametrize("shape", [[-1], [-1, -2], [2, -1], [-(2**63)]])
def test_negative_sizes(shape: list[int]) -> None:
    assert refusal(body_of(tensor(shape=shape))) == (
        f"tensor 'x' has shape {shape}; sizes cannot be negative"
    )


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ([0, 2**63], "tensor 'x': impossible shape [0, 9223372036854775808]"),
        ([1] * 33, "tensor 'x' has 33 dimensions; accepted: at most 32"),
        ([True, 2], "tensor 'x': its shape is [True, 2]; accepted: a list of integers"),
        ([1.0], "tensor 'x': its shape is [1.0]; accepted: a list of integers"),
        (["2"], "tensor 'x': its shape is ['2']; accepted: a list of integers"),
        (2, "tensor 'x': its shape is 2; accepted: a list of integers"),
        (None, "tensor 'x': its shape is None; accepted: a list of integers"),
        ({}, "tensor 'x': its shape is {}; accepted: a list of integers"),
        ([[2]], "tensor 'x': its shape is [[2]]; accepted: a list of integers"),
        (
            [1] * 100_000,
            "tensor 'x': its shape is a list of 100000 values; accepted: a list of integers",
        ),
    ],
)
def test_shapes_that_are_none(shape: Any, text: str) -> None:
    assert text in refusal(body_of(tensor(shape=shape)))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("audio", "a string"),
        (None, "missing or null"),
        (7, "a number"),
        (0.5, "a number"),
        ({"a": 1}, "an object"),
        (True, "a boolean"),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_data_that_is_no_list(data: Any, kind: str, datatype: str) -> None:
    assert refusal(body_of(tensor(datatype=datatype, shape=[1], data=data))) == (
        f"tensor 'x': its data is {kind}; accepted: a list of values"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "not JSON: "),
        (b"{", "not JSON: "),
        (b'{"inputs": []} x', "not JSON: "),
        (b'{"inputs": [NaN]}', "not JSON: "),
        (b"\xff", "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (b"null", "it is missing or null; accepted: an object"),
        (b"[]", "it is a list; accepted: an object"),
        (b"3", "it is a number; accepted: an object"),
        (b"{}", "inputs is missing or null; accepted: a list"),
        (b'{"inputs": null}', "inputs is missing or null; accepted: a list"),
        (b'{"inputs": {}}', "inputs is an object; accepted: a list"),
        (b'{"inputs": [3]}', "tensor 0 is a number; accepted: an object"),
        (b'{"inputs": [{}]}', "tensor 0: its name is missing or null; accepted: a string"),
        (b'{"inputs": [{"name": 3}]}', "tensor 0: its name is a number; accepted: a string"),
        (
            b'{"inputs": [{"name": "x"}]}',
            "tensor 'x': its datatype is missing or null; accepted: a string",
        ),
        (body_of(tensor(parameters=[])), "tensor 'x': parameters is a list; accepted: an object"),
        (body_of(id=3), "id is a number; accepted: a string"),
        (body_of(parameters=3), "parameters is a number; accepted: an object"),
        (body_of(outputs={}), "outputs is an object; accepted: a list"),
        (body_of(outputs=[3]), "requested output 0 has no name; accepted: an object with a name"),
        (body_of(outputs=[{"name": 3}]), "requested output 0 has no name"),
        (
            body_of(outputs=[{"name": "y", "parameters": 3}]),
            "output 'y': parameters is a number; accepted: an object",
        ),
    ],
)
def test_what_is_no_request(body: bytes, text: str) -> None:
    assert refusal(body).startswith(f"the body is not a V2 inference message: {text}")


@pytest.mark.parametrize("datatype", ["FP8", "", "fp32", "x" * 10_000])
def test_an_unknown_datatype(datatype: str) -> None:
    text = refusal(body_of(tensor(datatype=datatype)))

    assert text.startswith("tensor 'x' has datatype '")
    assert "accepted: BOOL, UINT8, " in text
    assert len(text) < 600


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [], "inputs": []}',
        b'{"inputs": [{"name": "x", "name": "y", "datatype": "FP32", "shape": [0], "data": []}]}',
        b'{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1], "data": [2]}]}',
        b'{"inputs": [], "parameters": {"a": 1, "a": 2}}',
    ],
)
def test_a_key_that_comes_twice(body: bytes) -> None:
    # Half of the request would be dropped silently.
    assert "twice" in refusal(body)


def test_tensors_of_one_name_are_kept() -> None:
    request = decode(body_of(tensor(), tensor(data=[3, 4])))

    assert [each.data.tolist() for each in request.message.tensors] == [[1, 2.5], [3, 4]]


def test_id_parameters_and_outputs() -> None:
    parameters = {"beams": 4, "ratio": 0.5, "nothing": None, "list": [1], "large": 2**63}
    outputs = [
        {"name": "a"},
        {"name": "b", "parameters": {"classification": 3, "binary_data": True, "other": 1}},
        {"name": "c", "parameters": {"binary_data": False}},
    ]

    request = decode(body_of(id="é", parameters=parameters, outputs=outputs))

    assert (request.message.id, request.message.parameters) == ("é", parameters)
    assert request.outputs == [
        RequestedOutput("a"),
        RequestedOutput("b", 3, True),
        RequestedOutput("c", 0, False),
    ]
    assert request.form is Form.JSON


@pytest.mark.parametrize("fields", [{}, {"id": None, "parameters": None, "outputs": None}])
def test_what_may_be_left_out(fields: dict[str, Any]) -> None:
    request = decode(body_of(**fields))

    assert request == InferRequest(Message([], "", {}), [], Form.JSON)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"classification": 0}, "classification is 0; accepted: an integer from 1"),
        ({"classification": -1}, "classification is -1; accepted"),
        ({"classification": True}, "classification is True; accepted"),
        ({"classification": 1.0}, "classification is 1.0; accepted"),
        ({"classification": "2"}, "classification is '2'; accepted"),
        ({"classification": None}, "classification is None; accepted"),
        ({"binary_data": 1}, "binary_data is 1; accepted: true or false"),
        ({"binary_data": "true"}, "binary_data is 'true'; accepted: true or false"),
    ],
)
def test_parameters_of_outputs_that_cannot_be(parameters: dict[str, Any], text: str) -> None:
    body = body_of(outputs=[{"name": "y", "parameters": parameters}])

    assert refusal(body, kind=InvalidInput).startswith(f"output 'y': {text}")


@pytest.mark.parametrize("value", [1, "true", [], {}])
def test_binary_data_output_is_true_or_false(value: Any) -> None:
    text = refusal(body_of(parameters={"binary_data_output": value}), kind=InvalidInput)

    assert text.startswith("parameter 'binary_data_output' is ")


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (Limits(tensors=1), "max_tensors"),
        (Limits(elements=3), "max_elements"),
        (Limits(strings=1), "max_strings"),
    ],
)
def test_limits_come_before_values(limits: Limits, setting: str) -> None:
    body = body_of(tensor(data="no list"), tensor(datatype="BYTES", data="no list"))

    with pytest.raises(TooLarge, match=f"server setting '{setting}'"):
        decode(body, limits=limits)


def test_outputs_count_as_tensors() -> None:
    with pytest.raises(TooLarge, match="3 tensors"):
        decode(body_of(outputs=[{"name": "y"}] * 3), limits=Limits(tensors=2))


# base64


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"RIFF....WAVE"])
def test_base64_is_decoded_where_it_is_announced(content: bytes) -> None:
    text = base64.b64encode(content).decode()

    found = one(datatype="BYTES", shape=[1, 1], data=[text], parameters=ANNOUNCED)

    assert found.data.tolist() == [[content]]


@pytest.mark.parametrize("parameters", [None, {}, {"content_type": "str"}, {"other": "base64"}])
def test_what_looks_like_base64_is_left_alone(parameters: dict[str, Any] | None) -> None:
    found = one(datatype="BYTES", data=["UklGRg==", "RIFF"], parameters=parameters)

    assert found.data.tolist() == [b"UklGRg==", b"RIFF"]


@pytest.mark.parametrize("text", ["UklGRg=", "a", "####", "Ukl\nGRg==", "é"])
def test_base64_that_is_not(text: str) -> None:
    said = refusal(body_of(tensor(datatype="BYTES", data=["UklGRg==", text], parameters=ANNOUNCED)))

    assert said.startswith("tensor 'x': ")
    assert "base64" in said or "ASCII" in said


@pytest.mark.parametrize("datatype", NUMERIC)
def test_base64_of_numbers_is_that_of_their_raw_contents(datatype: str) -> None:
    array = extremes(datatype)
    text = base64.b64encode(raw.pack(datatype, array)).decode()
    body = body_of(tensor(datatype=datatype, shape=[len(array)], data=[text], parameters=ANNOUNCED))

    request = decode(body)

    np.testing.assert_array_equal(request.message.tensors[0].data, array)
    assert request.form is Form.BASE64


@pytest.mark.parametrize(
    ("data", "shape", "text"),
    [
        ([1.0], [1], "content_type base64 with datatype FP32 needs data of one string, the base64"),
        (["AAAAAA==", "AAAAAA=="], [2], "content_type base64 with datatype FP32 needs data of one"),
        ("AAAAAA==", [1], "content_type base64 with datatype FP32 needs data of one string"),
        (["AAAAAA=="], [2], "shape [2] of FP32 takes 8 bytes, but raw contents have 4"),
        (["AAAAAA="], [1], "not valid base64 ("),
        (["é"], [1], "not valid base64 ("),
    ],
)
def test_base64_of_numbers_that_is_not(data: Any, shape: list[int], text: str) -> None:
    body = body_of(tensor(shape=shape, data=data, parameters=ANNOUNCED))

    assert refusal(body).startswith(f"tensor 'x': {text}")


# Raw contents behind the JSON


def binary(*tensors: tuple[str, list[int], bytes], **fields: Any) -> tuple[bytes, int]:
    described = [
        {
            "name": f"x{index}",
            "datatype": datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(content)},
        }
        for index, (datatype, shape, content) in enumerate(tensors)
    ]
    head = body_of(*described, **fields)
    return head + b"".join(content for _, _, content in tensors), len(head)


@pytest.mark.parametrize("datatype", NUMERIC)
def test_raw_numbers_are_shared_not_copied(datatype: str) -> None:
    array = extremes(datatype)
    body, size = binary((datatype, [len(array)], bytes(raw.pack(datatype, array))))

    (found,) = decode(body, size).message.tensors

    np.testing.assert_array_equal(found.data, array)
    assert not found.data.flags.writeable
    if datatype not in ("BOOL", "BF16"):
        assert np.shares_memory(found.data, np.frombuffer(body, np.uint8))


def test_raw_contents_stand_in_the_order_of_their_tensors() -> None:
    body, size = binary(
        ("INT8", [2], b"\1\2"), ("BYTES", [2], raw.pack_bytes([b"a", b"\xff"])), ("FP32", [0], b"")
    )

    found = decode(body, size).message.tensors

    assert [each.data.tolist() for each in found] == [[1, 2], [b"a", b"\xff"], []]


def test_lists_and_raw_contents_may_be_mixed() -> None:
    head = body_of(
        tensor(),
        tensor(name="y", datatype="INT8", shape=[1], data=None, parameters={"binary_data_size": 1}),
        tensor(name="z", data=[3, 4]),
    )

    found = decode(head + b"\7", len(head)).message.tensors

    assert [each.data.tolist() for each in found] == [[1, 2.5], [7], [3, 4]]


def test_a_length_of_the_json_may_come_without_raw_contents() -> None:
    body = body_of(tensor())

    assert decode(body, len(body)).message.tensors[0].data.tolist() == [1, 2.5]


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_length_of_the_json_that_lies(size: int) -> None:
    body = body_of(tensor())

    assert refusal(body, size) == (
        f"the header inference-header-content-length is {size}, but the body has {len(body)} "
        "bytes; accepted: the length of the JSON at its beginning"
    )


@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_a_length_of_the_json_that_is_a_little_wrong(change: int) -> None:
    body, size = binary(("INT8", [4], b"\1\2\3\4"))

    refusal(body, size + change)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (3, "tensor 'x': shape [1] of FP32 takes 4 bytes, but raw contents have 3"),
        (5, "tensor 'x': binary_data_size is 5, but 4 bytes are left behind the JSON"),
        (2**60, f"tensor 'x': binary_data_size is {2**60}, but 4 bytes are left"),
        (-4, "tensor 'x': binary_data_size is -4; accepted: a number of bytes from 0"),
        (4.0, "tensor 'x': binary_data_size is 4.0; accepted: a number of bytes from 0"),
        (True, "tensor 'x': binary_data_size is True; accepted: a number of bytes from 0"),
        ("4", "tensor 'x': binary_data_size is '4'; accepted: a number of bytes from 0"),
    ],
)
def test_sizes_that_lie(size: Any, text: str) -> None:
    head = body_of(
        {
            "name": "x",
            "datatype": "FP32",
            "shape": [1],
            "parameters": {"binary_data_size": size},
        }
    )

    assert refusal(head + bytes(4), len(head)).startswith(text)


def test_bytes_that_belong_to_no_tensor() -> None:
    body, size = binary(("INT8", [1], b"\1"))

    assert refusal(body + b"xy", size) == (
        "2 bytes behind the JSON belong to no tensor's binary_data_size"
    )


def test_a_size_without_the_header() -> None:
    head = body_of(tensor(data=None, parameters={"binary_data_size": 8}))

    assert refusal(head) == (
        "tensor 'x': it has binary_data_size, but the request has no header "
        "inference-header-content-length, which tells where binary data begins"
    )


def test_both_data_and_a_size() -> None:
    head = body_of(tensor(parameters={"binary_data_size": 8}))

    assert refusal(head + bytes(8), len(head)) == (
        "tensor 'x': it has both data and binary_data_size; accepted: one of them"
    )


@pytest.mark.parametrize(("asked", "form"), [(True, Form.BINARY), (False, Form.JSON)])
def test_binary_data_output_says_how_answers_go_and_is_no_parameter_of_the_model(
    asked: bool, form: Form
) -> None:
    request = decode(body_of(parameters={"binary_data_output": asked, "beams": 4}))

    assert (request.form, request.message.parameters) == (form, {"beams": 4})


# Answers


def answer(
    message: Message,
    form: Form = Form.JSON,
    outputs: list[RequestedOutput] | None = None,
    version: str | None = None,
    **parameters: Any,
) -> tuple[dict[str, Any], bytes, int | None]:
    """The JSON of an answer, all of its body, and the length of the JSON."""
    request = InferRequest(Message([]), outputs or [], form)
    parts, size = encode_response("asr", version, message, parameters, request)
    body = b"".join(parts)
    return json.loads(body[:size]), body, size


@pytest.mark.parametrize("datatype", SAMPLES)
@pytest.mark.parametrize("form", [Form.JSON, Form.BASE64, Form.BINARY])
def test_an_answer_goes_back_in_the_requests_form(datatype: str, form: Form) -> None:
    given = sample(datatype, "y")

    head, body, size = answer(Message([given]), form)

    (output,) = head["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", datatype, [2, 1])
    if form is Form.BINARY:
        assert output["parameters"] == {"binary_data_size": len(body) - (size or 0)}
        assert body[size:] == bytes(raw.pack(datatype, given.data))
    elif form is Form.BASE64 and datatype != "BYTES":
        assert output["parameters"] == ANNOUNCED
        (text,) = output["data"]
        assert base64.b64decode(text) == bytes(raw.pack(datatype, given.data))
    else:
        assert output["data"] == SAMPLES[datatype]
        assert "parameters" not in output
    (found,) = decode_response(body, size, "")[0].tensors
    assert found.datatype == datatype
    np.testing.assert_array_equal(found.data, given.data)


def test_the_rest_of_an_answer() -> None:
    message = Message([Tensor.of("a", np.array([[1]]))], "id-1")

    assert answer(message, version="v2", language="fr", trace='{"a": 1}')[0] == {
        "model_name": "asr",
        "model_version": "v2",
        "id": "id-1",
        "parameters": {"language": "fr", "trace": '{"a": 1}'},
        "outputs": [{"name": "a", "shape": [1, 1], "datatype": "INT64", "data": [1]}],
    }
    assert set(answer(Message([]))[0]) == {"model_name", "outputs"}


@pytest.mark.parametrize("form", [Form.JSON, Form.BINARY])
def test_an_output_may_have_another_form_than_the_rest(form: Form) -> None:
    message = Message([sample("INT8", name) for name in "abc"])
    outputs = [RequestedOutput("a", binary=True), RequestedOutput("b", binary=False)]

    head, body, size = answer(message, form, [*outputs, RequestedOutput("c")])

    sizes = [each.get("parameters", {}).get("binary_data_size") for each in head["outputs"]]
    assert sizes == [2, None, 2 if form is Form.BINARY else None]
    assert head["outputs"][1]["data"] == [-128, 127]
    assert body[size:] == b"\x80\x7f" * (2 if form is Form.BINARY else 1)


def test_without_raw_contents_there_is_no_length() -> None:
    outputs = [RequestedOutput("a", binary=False)]

    assert answer(Message([sample("INT8", "a")]), Form.BINARY, outputs)[2] is None


def test_an_event_has_no_room_for_raw_contents() -> None:
    outputs = [RequestedOutput("a", 3, True), RequestedOutput("b")]
    request = InferRequest(Message([]), outputs, Form.BINARY)

    assert without_binary(request) == InferRequest(
        request.message, [RequestedOutput("a", 3), RequestedOutput("b")], Form.JSON
    )
    base64_request = InferRequest(request.message, [], Form.BASE64)
    assert without_binary(base64_request).form is Form.BASE64


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
@pytest.mark.parametrize("size", [2, 40_000])
def test_nan_goes_as_null_and_comes_back(datatype: str, size: int) -> None:
    array = np.zeros(size, NUMPY_DTYPES[datatype])
    array[0], array[-1] = 1.5, np.nan

    head, body, _ = answer(Message([Tensor("y", datatype, array)]))

    assert head["outputs"][0]["data"][0] == 1.5
    assert head["outputs"][0]["data"][-1] is None
    np.testing.assert_array_equal(decode_response(body, None, "")[0].tensors[0].data, array)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("size", [2, 40_000])
def test_infinity_goes_in_every_form_but_json(value: float, size: int) -> None:
    array = np.zeros(size, np.float32)
    array[-1] = value
    message = Message([Tensor.of("y", array)])

    with pytest.raises(StageFailure, match="tensor 'y' holds infinity, which JSON cannot carry"):
        answer(message)
    for form in (Form.BASE64, Form.BINARY):
        _, body, length = answer(message, form)
        found = decode_response(body, length, "")[0].tensors[0]
        np.testing.assert_array_equal(found.data, array)


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 70_000])
@pytest.mark.parametrize("datatype", ["INT64", "FP32", "BOOL", "UINT8"])
def test_long_answers_are_the_same_in_slices(size: int, datatype: str) -> None:
    values = np.resize(sample(datatype).data.ravel(), size)
    small = sample("INT8", "small")
    message = Message([Tensor("a", datatype, values), small, Tensor("b", datatype, values)], "7")

    head, _, _ = answer(message, beams=4)

    assert [each["data"] for each in head["outputs"]] == [
        values.tolist(),
        [-128, 127],
        values.tolist(),
    ]
    assert (head["id"], head["parameters"]) == ("7", {"beams": 4})


def test_arrays_go_in_row_major_order() -> None:
    transposed = np.arange(6, dtype=np.int16).reshape(2, 3).T
    labels = np.array([[b"a", b"b"], [b"c", b"d"]], object).T
    message = Message([Tensor.of("x", transposed), Tensor("t", "BYTES", labels)])

    for form in (Form.JSON, Form.BASE64, Form.BINARY):
        _, body, size = answer(message, form)
        found = decode_response(body, size, "")[0].tensors
        assert found[0].data.tolist() == [[0, 3], [1, 4], [2, 5]]
        assert found[1].data.tolist() == [[b"a", b"c"], [b"b", b"d"]]


def test_bytes_that_are_not_utf8_go_as_base64_and_come_back() -> None:
    items = [b"\xff\x00", b"text", b""]

    head, body, _ = answer(Message([Tensor.of_bytes("y", items)]))

    (output,) = head["outputs"]
    assert output["parameters"] == ANNOUNCED
    assert output["data"] == [base64.b64encode(item).decode() for item in items]
    assert decode_response(body, None, "")[0].tensors[0].data.ravel().tolist() == items


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", b"x"])
def test_parameters_that_json_cannot_carry(value: Any) -> None:
    with pytest.raises(InvalidInput, match="JSON cannot carry it"):
        encode_request(Message([]), {"p": value}, False)
    # Of an answer they are the model's fault, not the caller's.
    with pytest.raises(StageFailure, match="JSON cannot carry it"):
        answer(Message([]), p=value)


# A hop's request, and its answer


@pytest.mark.parametrize("with_contents", [False, True])
def test_a_request_comes_as_it_went(with_contents: bool) -> None:
    tensors = [sample(datatype, datatype) for datatype in SAMPLES]

    parts, size = encode_request(Message(tensors, "7"), {"beams": 4}, with_contents)

    request = decode(b"".join(parts), size)
    assert (request.message.id, request.message.parameters) == ("7", {"beams": 4})
    assert request.form is (Form.BINARY if with_contents else Form.JSON)
    for given_, came in zip(tensors, request.message.tensors, strict=True):
        assert (came.name, came.datatype) == (given_.name, given_.datatype)
        np.testing.assert_array_equal(came.data, given_.data)


def test_a_request_of_nothing_is_small() -> None:
    assert encode_request(Message([]), {}, False) == ([b'{"inputs":[]}'], None)


def test_infinity_of_a_request_is_its_senders_fault() -> None:
    with pytest.raises(InvalidInput, match="holds infinity"):
        encode_request(Message([Tensor.of("x", np.array([np.inf]))]), {}, False)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (b"xy", "2 bytes behind the JSON belong to no tensor's binary_data_size"),
        (b"", "binary_data_size is 2, but 1 bytes are left behind the JSON"),
    ],
)
def test_raw_contents_of_an_answer_that_do_not_fit(change: bytes, text: str) -> None:
    _, body, size = answer(Message([sample("INT8", "y")]), Form.BINARY)

    with pytest.raises(ValueError, match=text):
        decode_response(body + change if change else body[:-1], size, "")


def test_an_answer_may_have_any_size() -> None:
    values = [{"name": str(n), "datatype": "INT8", "shape": [1], "data": [1]} for n in range(500)]
    body = json.dumps({"outputs": values}).encode()

    assert len(decode_response(body, None, "7")[0].tensors) == 500


PIECES = st.lists(
    st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 5)), min_size=1, max_size=5
)


@settings(max_examples=400, deadline=None)
@given(edits=PIECES, change=st.integers(-3, 3), binary_=st.booleans())
def test_damaged_bodies_are_refused_or_read_and_nothing_else(
    edits: list[tuple[float, bytes, int]], change: int, binary_: bool
) -> None:
    tensors = [sample("FP32"), sample("BYTES", "t"), sample("INT64", "n")]
    parts, size = encode_request(Message(tensors, "7"), {"beams": 4}, binary_)
    body = b"".join(parts)
    for where, new, removed in edits:
        at = int(where * len(body))
        body = body[:at] + new + body[at + removed :]
    try:
        request = decode(body, None if size is None else size + change)
    except (MalformedRequest, TooLarge, InvalidInput):
        return
    for each in request.message.tensors:
        assert each.datatype in NUMPY_DTYPES


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | JSON_VALUES,
        "datatype": st.sampled_from([*NUMPY_DTYPES, "FP8"]) | JSON_VALUES,
        "shape": st.lists(st.integers(-2, 4), max_size=3) | JSON_VALUES,
        "data": st.lists(st.integers(-1, 300) | st.text(max_size=2), max_size=4) | JSON_VALUES,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": JSON_VALUES, "content_type": st.just("base64")}
        )
        | JSON_VALUES,
    },
)


@settings(max_examples=400, deadline=None)
@given(
    inputs=st.lists(FIELDS, max_size=3) | JSON_VALUES,
    outputs=st.none() | JSON_VALUES,
    behind=st.binary(max_size=8),
)
def test_any_json_is_refused_or_read(inputs: Any, outputs: Any, behind: bytes) -> None:
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    for body, size in ((head, None), (head + behind, len(head))):
        try:
            decode(body, size)
        except (MalformedRequest, TooLarge, InvalidInput):
            continue
