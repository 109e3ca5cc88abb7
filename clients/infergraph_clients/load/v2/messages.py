"""The protobufs of V2 gRPC, without generated code.

tritonclient's and mlserver's stubs both register `inference.ModelInferRequest` in protobuf's
default pool, and whoever comes second crashes. These messages live in a pool of their own, so that
the tester can be imported beside either. Numbers and types are those of the protocol
(https://github.com/kserve/open-inference-protocol, open_inference_grpc.proto), with Triton's
double and uint64 parameters.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "inference"
SERVICE = f"{_PACKAGE}.GRPCInferenceService"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}
# Message -> its fields in the words of a .proto file. "parameters" stands for
# map<string, InferParameter>; a leading "=" makes the fields one oneof.
_MESSAGES = {
    "InferParameter": """
        =bool bool_param 1; =int64 int64_param 2; =string string_param 3; =double double_param 4;
        =uint64 uint64_param 5""",
    "InferTensorContents": """
        repeated bool bool_contents 1; repeated int32 int_contents 2;
        repeated int64 int64_contents 3; repeated uint32 uint_contents 4;
        repeated uint64 uint64_contents 5; repeated float fp32_contents 6;
        repeated double fp64_contents 7; repeated bytes bytes_contents 8""",
    "InferTensor": """
        string name 1; string datatype 2; repeated int64 shape 3; parameters 4;
        InferTensorContents contents 5""",
    "ModelInferRequest": """
        string model_name 1; string model_version 2; string id 3; parameters 4;
        repeated InferTensor inputs 5; repeated bytes raw_input_contents 7""",
    "ModelInferResponse": """
        string model_name 1; string model_version 2; string id 3; parameters 4;
        repeated InferTensor outputs 5; repeated bytes raw_output_contents 6""",
    "ModelReadyRequest": "string name 1; string version 2",
    "ModelReadyResponse": "bool ready 1",
    "ModelMetadataRequest": "string name 1; string version 2",
    "ModelMetadataResponse": "string name 1; parameters 6",
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="infergraph_clients/v2.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for words in (each.split() for each in fields.split(";")):
            if words[0] == "parameters":
                _add_parameters(message, int(words[1]))
            else:
                _add_field(message, words)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, words: list[str]) -> None:
    repeated = words[0] == "repeated"
    kind, name, number = words[1:] if repeated else words
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind.startswith("="):
        kind = kind[1:]
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _add_parameters(message: descriptor_pb2.DescriptorProto, number: int) -> None:
    entry = message.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    _add_field(entry, ["string", "key", "1"])
    _add_field(entry, ["InferParameter", "value", "2"])
    _add_field(message, ["repeated", f"{message.name}.ParametersEntry", "parameters", str(number)])


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


ModelInferRequest = _message("ModelInferRequest")
ModelInferResponse = _message("ModelInferResponse")
ModelReadyRequest = _message("ModelReadyRequest")
ModelReadyResponse = _message("ModelReadyResponse")
ModelMetadataRequest = _message("ModelMetadataRequest")
ModelMetadataResponse = _message("ModelMetadataResponse")
