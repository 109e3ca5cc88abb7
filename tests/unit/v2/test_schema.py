"""The messages of V2 are those of MLServer and Triton, and clash with neither."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from infergraph.v2 import schema

OURS = {"HopRequest", "HopResponse"}
"""Messages of our own service."""
MESSAGES = sorted(schema._MESSAGES.keys() - OURS)
# Fills every field of a message that another class has too, in the order of their numbers.
_FILLED = """
SCALARS = {"bool": True, "int32": -3, "int64": -(2**63), "uint32": 2**32 - 1, "uint64": 2**64 - 1,
           "float": 0.5, "double": 0.1, "string": "é", "bytes": b"\\xff"}

def fill(ours, theirs, name, depth=0):
    for field, (number, kind) in schema._MESSAGES[name].items():
        known = theirs.DESCRIPTOR.fields_by_name.get(field)
        if known is None:
            extra.append(f"{name}.{field}")
            continue
        assert known.number == number, (name, field)
        label, _, plain = kind.rpartition(" ")
        if label == "map":
            # The order of a map's entries is not fixed: one is enough.
            fill(getattr(ours, field)["k"], getattr(theirs, field)["k"], plain, depth + 1)
        elif label == "repeated" and plain[0].isupper():
            for _ in range(2):
                fill(getattr(ours, field).add(), getattr(theirs, field).add(), plain, depth + 1)
        elif label == "repeated":
            for each in (ours, theirs):
                getattr(each, field).extend([SCALARS[plain]] * 3)
        elif plain[0].isupper():
            fill(getattr(ours, field), getattr(theirs, field), plain, depth + 1)
        else:
            setattr(ours, field, SCALARS[plain])
            setattr(theirs, field, SCALARS[plain])
            if name in schema._ONE_OF:
                one_of_kinds.add(field)

extra, one_of_kinds, compared = [], set(), 0
for name, ours in schema._classes.items():
    theirs = find(name)
    if theirs is None:
        extra.append(name)
        continue
    mine, other = ours(), theirs()
    fill(mine, other, name)
    body = other.SerializeToString()
    assert mine.SerializeToString() == body, name
    assert ours.FromString(body) == mine, name
    assert theirs.FromString(mine.SerializeToString()) == other, name
    compared += 1
print(compared, sorted(set(extra)))
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_same_bytes_as_mlservers() -> None:
    code = (
        """
from mlserver.grpc import dataplane_pb2 as pb, model_repository_pb2 as mr
from infergraph.v2 import schema

def find(name):
    nested = {"InferTensor": pb.ModelInferRequest.InferInputTensor,
              "InferRequestedOutput": pb.ModelInferRequest.InferRequestedOutputTensor,
              "TensorMetadata": pb.ModelMetadataResponse.TensorMetadata,
              "ModelIndex": mr.RepositoryIndexResponse.ModelIndex}
    return nested.get(name) or getattr(pb, name, None) or getattr(mr, name, None)
"""
        + _FILLED
    )

    count, _, extra = run(code).partition(" ")

    # What MLServer does not know is Triton's, or ours.
    assert extra == (
        "['HopRequest', 'HopResponse', 'InferParameter.double_param', "
        "'InferParameter.uint64_param', 'ModelStreamInferResponse']"
    )
    assert int(count) == len(MESSAGES) - 1


def test_the_same_bytes_as_tritons_in_one_process_with_both() -> None:
    pytest.importorskip("tritonclient")
    code = (
        """
from infergraph.v2 import schema
import tritonclient.grpc
from tritonclient.grpc import service_pb2 as pb

def find(name):
    nested = {"InferTensor": pb.ModelInferRequest.InferInputTensor,
              "InferRequestedOutput": pb.ModelInferRequest.InferRequestedOutputTensor,
              "TensorMetadata": pb.ModelMetadataResponse.TensorMetadata,
              "ModelIndex": pb.RepositoryIndexResponse.ModelIndex}
    return nested.get(name) or getattr(pb, name, None)
"""
        + _FILLED
    )

    count, _, extra = run(code).partition(" ")

    assert int(count) >= len(MESSAGES) - 1
    assert "ModelInfer" not in extra
    assert "uint64_param" not in extra


def test_the_calls_of_the_service() -> None:
    assert set(schema.METHODS) == {
        "ServerLive",
        "ServerReady",
        "ModelReady",
        "ServerMetadata",
        "ModelMetadata",
        "ModelInfer",
        "RepositoryIndex",
        "RepositoryModelLoad",
        "RepositoryModelUnload",
    }
    for name, method in schema.METHODS.items():
        assert method.name == name
        names = [each.DESCRIPTOR.name for each in (method.request, method.response)]
        assert names == [f"{name}Request", f"{name}Response"]


@pytest.mark.parametrize("name", ["InferParameter", "ModelRepositoryParameter"])
def test_a_parameter_has_one_value(name: str) -> None:
    parameter: Any = schema._classes[name](bool_param=True)
    parameter.string_param = "a"
    assert parameter.WhichOneof("parameter_choice") == "string_param"
    assert not parameter.bool_param
