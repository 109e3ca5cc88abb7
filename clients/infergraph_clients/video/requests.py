"""Requests of one frame each, and their answers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from infergraph.v2 import Parameter, Tensor

from ..annotation import Findings, by_picture, read_findings
from ..errors import NO_ANSWER, ServerError, UsageError
from ..flags import parse_parameters, tls_of
from ..payloads import Metadata, Payload, check_inputs
from ..transports import Answer, Endpoint, Route, parse_headers
from ..transports.client import CONNECT_SECONDS, GRACE_S
from ..transports.headers import PIPELINE_SUFFIX, SELDON_HEADER, deadline_header, joined


@dataclass(frozen=True)
class Template:
    """All of a request but the frame.

    Attributes:
        unchecked: Whether the server has no metadata of the model, as Seldon's pipelines.
    """

    route: Route
    input: str
    parameters: Mapping[str, Parameter]
    timeout_s: float | None
    unchecked: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> Template:
        """What the arguments say. Raises UsageError."""
        is_pipeline = args.model.endswith(PIPELINE_SUFFIX)
        headers = [{SELDON_HEADER: args.model}] if is_pipeline else []
        if args.timeout_ms is not None:
            headers.append(deadline_header(args.timeout_ms))
        route = Route(
            Endpoint.parse(args.url, args.protocol),
            args.model.removesuffix(PIPELINE_SUFFIX),
            headers=joined([*headers, parse_headers(args.header)]),
            tls=tls_of(args),
            connect_s=CONNECT_SECONDS,
        )
        return cls(
            route,
            args.input_name,
            parse_parameters(args.parameter),
            None if args.timeout_ms is None else args.timeout_ms / 1000 + GRACE_S,
            is_pipeline,
        )

    def check(self, metadata: Metadata) -> None:
        """Raises UsageError unless a model with this metadata takes one encoded image."""
        if not metadata.inputs:
            return
        if not any((spec.name, spec.datatype) == (self.input, "BYTES") for spec in metadata.inputs):
            takes = ", ".join(str(spec) for spec in metadata.inputs)
            raise UsageError(f"it takes no image as {self.input!r} BYTES; accepted: {takes}")
        check_inputs(self.payload(b"").tensors, metadata.inputs)

    def payload(self, encoded: bytes) -> Payload:
        """The request of a frame, a batch of one."""
        return Payload("frame", [Tensor.of_bytes(self.input, [encoded])], self.parameters)


def read_answer(answer: Answer, metadata: Metadata) -> Findings:
    """What the answer to a frame says; the metadata are those of the model.

    Raises:
        ServerError: that the frame failed, or nothing about one frame.
    """
    try:
        (one,) = by_picture({tensor.name: tensor.data for tensor in answer.tensors}, 1)
    except ValueError as error:
        raise ServerError(NO_ANSWER, str(error)) from None
    if one.errors:
        status, text = one.errors[0]
        raise ServerError(str(status), text)
    return read_findings(one.tensors, declared=[spec.name for spec in metadata.outputs])
