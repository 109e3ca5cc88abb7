"""The protobuf messages of V2 over gRPC: MLServer's and Triton's, in a pool of their own.

Both packages register files of one name with the pool of the process, where only one of them may
be. These classes read and write the same bytes and clash with neither. Source: `grpc_service.proto`
of Triton and `dataplane.proto` of MLServer 1.7.1; where one of them has more, so do these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SERVICE = "inference.GRPCInferenceService"
REPOSITORY_SERVICE = "inference.model_repository.ModelRepositoryService"
"""MLServer's second name of the three repository calls."""

_PACKAGE = "inference"
_PARAMETERS = "map InferParameter"
_TENSOR = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "repeated int64"),
    "parameters": (4, _PARAMETERS),
    "contents": (5, "InferTensorContents"),
}
RAW_INPUT_CONTENTS, RAW_OUTPUT_CONTENTS = 7, 6
"""Numbers of the fields that hold raw contents."""
HOP_SERVICE = "infergraph.Hops"
"""Our own service, of one bidirectional call, `Infer`. Each HopRequest, a ModelInferRequest and its
metadata, is answered by one HopResponse before the next is read. In Python a call of gRPC costs
several times as much as a message of a call that is kept open."""
KEPT_CALLS_EXTENSION = "infergraph_kept_calls"
"""What the metadata of a server lists that has it."""
HOP_REQUEST, HOP_RESPONSE = 2, 1
"""Numbers of the fields that hold a ModelInferRequest or ModelInferResponse."""

# Message -> field -> (number, type); a type that begins with a capital is a message of this file.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "InferParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "double_param": (4, "double"),
        "uint64_param": (5, "uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"),
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"),
        "bytes_contents": (8, "repeated bytes"),
    },
    "InferTensor": _TENSOR,
    "InferRequestedOutput": {"name": (1, "string"), "parameters": (2, _PARAMETERS)},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, _PARAMETERS),
        "inputs": (5, "repeated InferTensor"),
        "outputs": (6, "repeated InferRequestedOutput"),
        "raw_input_contents": (RAW_INPUT_CONTENTS, "repeated bytes"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, _PARAMETERS),
        "outputs": (5, "repeated InferTensor"),
        "raw_output_contents": (RAW_OUTPUT_CONTENTS, "repeated bytes"),
    },
    "ModelStreamInferResponse": {
        "error_message": (1, "string"),
        "infer_response": (2, "ModelInferResponse"),
    },
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {
        "name": (1, "string"),
        "version": (2, "string"),
        "extensions": (3, "repeated string"),
    },
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "repeated int64"),
        "parameters": (4, _PARAMETERS),
    },
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "repeated string"),
        "platform": (3, "string"),
        "inputs": (4, "repeated TensorMetadata"),
        "outputs": (5, "repeated TensorMetadata"),
        "parameters": (6, _PARAMETERS),
    },
    "ModelRepositoryParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "bytes_param": (4, "bytes"),
    },
    "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
    "ModelIndex": {
        "name": (1, "string"),
        "version": (2, "string"),
        "state": (3, "string"),
        "reason": (4, "string"),
    },
    "RepositoryIndexResponse": {"models": (1, "repeated ModelIndex")},
    "RepositoryModelLoadRequest": {
        "repository_name": (1, "string"),
        "model_name": (2, "string"),
        "parameters": (3, "map ModelRepositoryParameter"),
    },
    "RepositoryModelLoadResponse": {},
    "RepositoryModelUnloadRequest": {
        "repository_name": (1, "string"),
        "model_name": (2, "string"),
        "parameters": (3, "map ModelRepositoryParameter"),
    },
    "RepositoryModelUnloadResponse": {},
    "HopRequest": {"headers": (1, "map string"), "request": (HOP_REQUEST, "bytes")},
    "HopResponse": {
        "response": (HOP_RESPONSE, "bytes"),
        "code": (2, "int32"),
        "details": (3, "string"),
        "error": (4, "string"),
    },
}
_ONE_OF = {"InferParameter": "parameter_choice", "ModelRepositoryParameter": "parameter_choice"}


class Method(NamedTuple):
    """A call of the service: its name, and the messages that it takes and gives."""

    name: str
    request: Any
    response: Any


def _build() -> dict[str, Any]:
    file = FileDescriptorProto(name="infergraph/v2.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name=_ONE_OF[name])
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            label, _, plain = kind.rpartition(" ")
            repeated = label in ("repeated", "map")
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if repeated
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if label == "map":
                # As protobuf names the entries of a map.
                entry = message.nested_type.add(name=f"{field_name.title()}Entry")
                entry.options.map_entry = True
                _set_type(entry.field.add(name="key", number=1, label=1), "string")
                _set_type(entry.field.add(name="value", number=2, label=1), plain)
                plain = f"{name}.{entry.name}"
            elif name in _ONE_OF:
                field.oneof_index = 0
            _set_type(field, plain)
    pool = DescriptorPool()
    pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _set_type(field: Any, kind: str) -> None:
    if kind[0].isupper():
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")


_classes = _build()
InferParameter = _classes["InferParameter"]
ModelInferRequest = _classes["ModelInferRequest"]
ModelInferResponse = _classes["ModelInferResponse"]
ModelStreamInferResponse = _classes["ModelStreamInferResponse"]
ModelIndex = _classes["ModelIndex"]
HopRequest = _classes["HopRequest"]
HopResponse = _classes["HopResponse"]
TensorMetadata = _classes["TensorMetadata"]

METHODS: dict[str, Method] = {
    name: Method(name, _classes[f"{name}Request"], _classes[f"{name}Response"])
    for name in (
        "ServerLive",
        "ServerReady",
        "ModelReady",
        "ServerMetadata",
        "ModelMetadata",
        "ModelInfer",
        "RepositoryIndex",
        "RepositoryModelLoad",
        "RepositoryModelUnload",
    )
}
"""The unary calls by name; the bidirectional one is `ModelStreamInfer`."""
