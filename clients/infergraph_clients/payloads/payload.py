"""`Payload`: what one request sends, and its reading from V2 JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from infergraph.errors import InfergraphError
from infergraph.v2 import Parameter, Tensor, rest
from infergraph.v2.request import Limits, RequestedOutput

from ..errors import UsageError

ANY_SIZE = Limits(tensors=1 << 30, elements=1 << 62, strings=1 << 62)


@dataclass(frozen=True)
class Payload:
    """What one request sends.

    Attributes:
        name: Of its file, and its line or place in it; names it in reports.
        tensors: The inputs. One with the parameter `content_type` base64 goes as base64 in JSON.
        parameters: The request's parameters.
        outputs: The outputs that are wanted; all of them when empty.
        id: The request's id, where it has one of its own.
        nulls: Whether JSON null stands for its NaN, since null is what was given.
    """

    name: str
    tensors: Sequence[Tensor]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: Sequence[RequestedOutput] = ()
    id: str = ""
    nulls: bool = False

    @property
    def items(self) -> int:
        """The size of its batch; 1 where its tensors do not agree on one."""
        sizes = {tensor.shape[0] for tensor in self.tensors if tensor.shape}
        return sizes.pop() if len(sizes) == 1 else 1

    def check_json(self) -> None:
        """UsageError unless JSON can carry its numbers."""
        for tensor in self.tensors:
            encoded = (tensor.parameters or {}).get("content_type") == "base64"
            if encoded or tensor.data.dtype.kind != "f":
                continue
            for what, test in (("NaN", np.isnan), ("infinity", np.isinf)):
                if test(tensor.data).any() and not (what == "NaN" and self.nulls):
                    raise UsageError(
                        f"payload {self.name!r}: input {tensor.name!r} holds {what}, which JSON "
                        "cannot carry; accepted: gRPC, binary tensors over REST, or numbers as "
                        "base64"
                    )


def read_request(text: bytes, name: str, source: str) -> Payload:
    """A request in V2 JSON, to be sent as it was given.

    Args:
        text: The JSON; BYTES and numbers may be base64 where their `content_type` says so.
        name: The payload's.
        source: What error messages call the text.

    Raises:
        UsageError: it is not JSON, or not a V2 request; names the tensor and the value.
    """
    try:
        request = rest.decode_request(text, None, ANY_SIZE, as_given=True)
    except InfergraphError as error:
        raise UsageError(f"{source} is not a V2 request: {error}") from None
    message = request.message
    if not message.tensors:
        raise UsageError(f"{source} is not a V2 request: it has no inputs; accepted: one or more")
    owners: list[tuple[str, Mapping[str, object]]] = [("", message.parameters)]
    owners += [(f"input {each.name!r}: ", each.parameters or {}) for each in message.tensors]
    owners += [(f"output {each.name!r}: ", each.parameters) for each in request.outputs]
    for owner, parameters in owners:
        for parameter, value in parameters.items():
            if not isinstance(value, (bool, int, float, str)):
                raise UsageError(
                    f"{source} is not a V2 request: {owner}parameter {parameter!r} is {value!r}; "
                    "accepted: a boolean, number or text"
                )
    return Payload(
        name, message.tensors, message.parameters, request.outputs, message.id, nulls=True
    )
