"""The samples of pipelines, how they are sent, and when two answers are the same."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.integration.v2 import Answer, Client, Raw, RestClient, pack_bytes

from .image import ROOT

Request = dict[str, Any]
"""A V2 request as JSON."""
TOLERANCE = 1e-3
CONTENTS = {
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
}
"""Datatype -> the field of typed contents over gRPC."""


def sample(name: str) -> Request:
    """The sample request of a model or pipeline."""
    request: Request = json.loads((ROOT / "model-settings" / name / "request.json").read_text())
    return request


def with_unknown_tensor(request: Request) -> Request:
    """A request whose first tensor has a name that nobody knows."""
    bad = copy.deepcopy(request)
    bad["inputs"][0]["name"] = "nobody-knows"
    return bad


def with_bad_content(request: Request) -> Request:
    """A request that only a model finds bad: what should be a picture or sound is neither."""
    bad = copy.deepcopy(request)
    tensor = next(each for each in bad["inputs"] if "parameters" in each)
    tensor["data"] = [base64.b64encode(b"neither").decode()] * len(tensor["data"])
    return bad


def items(request: Request) -> list[Request]:
    """A request for each item of one whose tensors are [items, 1]."""
    count = request["inputs"][0]["shape"][0]
    singles = []
    for number in range(count):
        single = copy.deepcopy(request)
        for tensor in single["inputs"]:
            assert tensor["shape"] == [count, 1], tensor["shape"]
            tensor |= {"shape": [1, 1], "data": [tensor["data"][number]]}
        singles.append(single)
    return singles


async def send(client: Client, model: str, request: Request, **headers: str) -> Answer:
    """Sends a request as it is over REST, and with raw contents over gRPC."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(client, RestClient):
        return await client.post(model, json.dumps(request), named)
    tensors = {each["name"]: _raw(each) for each in request["inputs"]}
    return await client.infer(model, tensors, headers=named)


def _raw(tensor: dict[str, Any]) -> Raw:
    if tensor["datatype"] != "BYTES":
        dtype = {"FP32": "f4", "INT64": "i8"}[tensor["datatype"]]
        content = np.array(tensor["data"], dtype).tobytes()
    elif (tensor.get("parameters") or {}).get("content_type") == "base64":
        content = pack_bytes([base64.b64decode(each) for each in tensor["data"]])
    else:
        content = pack_bytes(tensor["data"])
    return Raw(tensor["datatype"], tensor["shape"], content)


def from_base64(answer: Answer, expected: Answer) -> Answer:
    """An answer over REST through Seldon Core 2: BYTES that are no text come as base64 unsaid."""
    outputs = []
    for name, array in answer.outputs:
        wanted = expected[name]
        if wanted.dtype == object and not all(map(_is_text, wanted.ravel())):
            decoded = np.empty(array.shape, dtype=object)
            decoded.ravel()[:] = [base64.b64decode(each) for each in array.ravel()]
            outputs.append((name, decoded))
        else:
            outputs.append((name, array))
    return dataclasses.replace(answer, outputs=outputs)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def assert_same(answer: Answer, expected: Answer) -> None:
    """Both have the same outputs: texts and whole numbers are equal, others nearly so."""
    assert sorted(answer.names) == sorted(expected.names)
    for name in expected.names:
        found, wanted = answer[name], expected[name]
        assert found.shape == wanted.shape, name
        assert found.dtype == wanted.dtype, name
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted, TOLERANCE, TOLERANCE, err_msg=name)
        else:
            assert found.tolist() == wanted.tolist(), name


def assert_overloaded(answers: Sequence[Answer], expected: Answer) -> None:
    """Some of them are right, and all others say that a step has no room for them."""
    assert {each.status for each in answers} == {200, 503}
    for each in answers:
        if each.status == 200:
            assert_same(each, expected)
        else:
            assert "step 'translation-en-de'" in each.error
            assert "its queue is full" in each.error
