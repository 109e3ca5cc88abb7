"""A small V2 client that says the same over REST and gRPC, also what no proper client would send.

`tritonclient` is exercised in `test_serving.py`; here tests need statuses, error texts,
cancellation and malformed requests from one interface.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import grpc
import numpy as np
import numpy.typing as npt
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

from .server import ANSWER_SECONDS

_DTYPES = {
    "BOOL": "?", "UINT8": "u1", "INT8": "i1", "UINT16": "u2", "INT16": "i2", "UINT32": "u4",
    "INT32": "i4", "UINT64": "u8", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip
_DATATYPES = {np.dtype(dtype): datatype for datatype, dtype in _DTYPES.items()}
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    # As nginx names a request that was given up.
    grpc.StatusCode.CANCELLED: 499,
}

Values = npt.NDArray[Any] | Sequence[bytes | str]
"""An array, or the items of a BYTES tensor of shape [items, 1]."""


@dataclass(frozen=True)
class Raw:
    """A tensor as it is put on the wire, right or wrong.

    Attributes:
        datatype: Any text.
        shape: Any sizes.
        data: Over REST the JSON value of `data`, over gRPC the raw contents.
        parameters: Its V2 parameters.
    """

    datatype: str
    shape: Sequence[int]
    data: Any
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status, or the one that corresponds to the gRPC code.
        outputs: Name and array of each output in order; BYTES are object arrays of `bytes`.
        parameters: The response's V2 parameters.
        error: The error text; empty for a 200.
        body: All that came, as text, for searching.
    """

    status: int
    outputs: list[tuple[str, npt.NDArray[Any]]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    body: str = ""

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        assert self.status == 200, f"{self.status}: {self.error}"
        return next(array for each, array in self.outputs if each == name)

    @property
    def names(self) -> list[str]:
        assert self.status == 200, f"{self.status}: {self.error}"
        return [name for name, _ in self.outputs]

    def texts(self, name: str) -> list[str]:
        """The values of a BYTES output, as text."""
        return [value.decode() for value in self[name].ravel()]

    def values(self) -> list[tuple[str, tuple[int, ...], str, list[Any]]]:
        """All that the outputs say, comparable with ==."""
        assert self.status == 200, f"{self.status}: {self.error}"
        return [
            (name, array.shape, array.dtype.str, array.ravel().tolist())
            for name, array in self.outputs
        ]

    @property
    def trace(self) -> dict[str, Any]:
        """The parameter `trace`, parsed."""
        parsed: dict[str, Any] = json.loads(self.parameters["trace"])
        return parsed


class Client(Protocol):
    """One connection to one server."""

    kind: str

    async def infer(
        self,
        model: str,
        tensors: Mapping[str, Values | Raw],
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> Answer:
        """Sends one request. Cancelling it takes the request back, as a client that goes away."""
        ...

    async def ready(self, model: str) -> bool: ...

    async def close(self) -> None: ...


class RestClient:
    """V2 REST. A cancelled request closes its socket."""

    kind = "rest"

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._url = f"http://{host}:{port}/v2/models"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        )

    async def infer(
        self,
        model: str,
        tensors: Mapping[str, Values | Raw],
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> Answer:
        body: dict[str, Any] = {
            "inputs": [_rest_tensor(name, values) for name, values in tensors.items()]
        }
        if request_id:
            body["id"] = request_id
        if parameters:
            body["parameters"] = dict(parameters)
        return await self.post(model, json.dumps(body), headers)

    async def post(
        self, model: str, body: str | bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends any body."""
        encoded = body.encode() if isinstance(body, str) else body
        async with self._session.post(
            f"{self._url}/{model}/infer",
            data=io.BytesIO(encoded),
            headers={"content-type": "application/json", **(headers or {})},
        ) as response:
            text = await response.text()
            if response.status != 200:
                is_json = response.content_type == "application/json"
                error = json.loads(text)["error"] if is_json else ""
                return Answer(response.status, error=error, body=text)
            answer = json.loads(text)
        return Answer(
            200,
            [(each["name"], _rest_array(each)) for each in answer["outputs"]],
            answer.get("parameters") or {},
            body=text,
        )

    async def ready(self, model: str) -> bool:
        async with self._session.get(f"{self._url}/{model}/ready") as response:
            return response.status == 200

    async def close(self) -> None:
        await self._session.close()


class GrpcClient:
    """V2 gRPC with raw contents. A cancelled request cancels its call."""

    kind = "grpc"

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._channel = grpc.aio.insecure_channel(
            f"{host}:{port}",
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        self._stub = GRPCInferenceServiceStub(self._channel)

    async def infer(
        self,
        model: str,
        tensors: Mapping[str, Values | Raw],
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> Answer:
        request = pb.ModelInferRequest(model_name=model, id=request_id)
        for key, value in (parameters or {}).items():
            _set_parameter(request.parameters[key], value)
        for name, values in tensors.items():
            raw = values if isinstance(values, Raw) else _raw_tensor(values)
            tensor = request.inputs.add(name=name, datatype=raw.datatype, shape=raw.shape)
            for key, value in raw.parameters.items():
                _set_parameter(tensor.parameters[key], value)
            request.raw_input_contents.append(raw.data)
        return await self.send(request, headers)

    async def send(
        self, request: pb.ModelInferRequest, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends any request, typed contents too."""
        metadata = [(name.lower(), value) for name, value in (headers or {}).items()]
        try:
            response = await self._stub.ModelInfer(
                request, metadata=metadata, timeout=ANSWER_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            status = _STATUS.get(error.code(), 0)
            text = error.details() or ""
            return Answer(status, error=text, body=f"{error.code()} {text}")
        return Answer(
            200,
            [
                (each.name, _grpc_array(each, response.raw_output_contents[index : index + 1]))
                for index, each in enumerate(response.outputs)
            ],
            {
                name: getattr(value, value.WhichOneof("parameter_choice"))
                for name, value in response.parameters.items()
            },
            body=str(response),
        )

    async def ready(self, model: str) -> bool:
        response = await self._stub.ModelReady(
            pb.ModelReadyRequest(name=model), timeout=ANSWER_SECONDS
        )
        return bool(response.ready)

    async def close(self) -> None:
        await self._channel.close()


def pack_bytes(items: Sequence[bytes | str]) -> bytes:
    """Raw contents of a BYTES tensor."""
    encoded = [item.encode() if isinstance(item, str) else item for item in items]
    return b"".join(len(item).to_bytes(4, "little") + item for item in encoded)


def _rest_tensor(name: str, values: Values | Raw) -> dict[str, Any]:
    if isinstance(values, Raw):
        tensor = {
            "name": name, "datatype": values.datatype, "shape": list(values.shape),
            "data": values.data,
        }  # fmt: skip
        return {**tensor, "parameters": dict(values.parameters)} if values.parameters else tensor
    if isinstance(values, np.ndarray):
        return {
            "name": name, "datatype": _DATATYPES[values.dtype], "shape": list(values.shape),
            "data": values.ravel().tolist(),
        }  # fmt: skip
    tensor = {"name": name, "datatype": "BYTES", "shape": [len(values), 1]}
    items = [item.encode() if isinstance(item, str) else item for item in values]
    try:
        return {**tensor, "data": [item.decode() for item in items]}
    except UnicodeDecodeError:
        data = [base64.b64encode(item).decode("ascii") for item in items]
        return {**tensor, "data": data, "parameters": {"content_type": "base64"}}


def _raw_tensor(values: Values) -> Raw:
    if isinstance(values, np.ndarray):
        return Raw(_DATATYPES[values.dtype], values.shape, values.tobytes())
    return Raw("BYTES", [len(values), 1], pack_bytes(values))


def _rest_array(tensor: Mapping[str, Any]) -> npt.NDArray[Any]:
    data, shape = tensor["data"], tensor["shape"]
    if tensor["datatype"] != "BYTES":
        return np.array(data, _DTYPES[tensor["datatype"]]).reshape(shape)
    if (tensor.get("parameters") or {}).get("content_type") == "base64":
        return _objects([base64.b64decode(item, validate=True) for item in data], shape)
    return _objects([item.encode() for item in data], shape)


def _grpc_array(tensor: Any, contents: Sequence[bytes]) -> npt.NDArray[Any]:
    if not contents:
        (field_name,) = (field.name for field, _ in tensor.contents.ListFields())
        typed = list(getattr(tensor.contents, field_name))
        if tensor.datatype == "BYTES":
            return _objects(typed, tensor.shape)
        return np.array(typed, _DTYPES[tensor.datatype]).reshape(tensor.shape)
    if tensor.datatype != "BYTES":
        return np.frombuffer(contents[0], _DTYPES[tensor.datatype]).reshape(tensor.shape)
    items, offset = [], 0
    for _ in range(math.prod(tensor.shape)):
        size = int.from_bytes(contents[0][offset : offset + 4], "little")
        items.append(contents[0][offset + 4 : offset + 4 + size])
        offset += 4 + size
    assert offset == len(contents[0]), "raw contents do not fill the shape"
    return _objects(items, tensor.shape)


def _objects(items: list[bytes], shape: Sequence[int]) -> npt.NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(tuple(shape))


def _set_parameter(parameter: pb.InferParameter, value: Any) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    else:
        parameter.string_param = str(value)
