"""Requests of one frame each, and their answers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from ..annotation import Findings, by_picture, read_findings
from ..infer.asking import GRACE_S
from ..infer.errors import NO_ANSWER, ServerError, UsageError
from ..infer.message import Answer, Request
from ..infer.options import (
    PIPELINE_SUFFIX,
    SELDON_HEADER,
    TIMEOUT_HEADER,
    parse_headers,
    parse_parameters,
)
from ..infer.tensors import BYTES, Metadata, Parameter, Tensor, bytes_tensor_data, check_inputs


@dataclass(frozen=True)
class Template:
    """All of a request but the frame.

    Attributes:
        unchecked: Whether the server has no metadata of the model, as Seldon's pipelines.
    """

    model: str
    input: str
    headers: Mapping[str, str]
    parameters: Mapping[str, Parameter]
    timeout_s: float | None
    unchecked: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> Template:
        """What the arguments say. Raises UsageError."""
        is_pipeline = args.model.endswith(PIPELINE_SUFFIX)
        headers = {SELDON_HEADER: args.model} if is_pipeline else {}
        if args.timeout_ms is not None:
            headers[TIMEOUT_HEADER] = f"{args.timeout_ms:.3f}".rstrip("0").rstrip(".")
        return cls(
            args.model.removesuffix(PIPELINE_SUFFIX),
            args.input_name,
            {**headers, **parse_headers(args.header)},
            parse_parameters(args.parameter),
            None if args.timeout_ms is None else args.timeout_ms / 1000 + GRACE_S,
            is_pipeline,
        )

    def check(self, metadata: Metadata) -> None:
        """Raises UsageError unless a model with this metadata takes one encoded image."""
        if not metadata.inputs:
            return
        if not any((spec.name, spec.datatype) == (self.input, BYTES) for spec in metadata.inputs):
            takes = ", ".join(str(spec) for spec in metadata.inputs)
            raise UsageError(f"it takes no image as {self.input!r} {BYTES}; accepted: {takes}")
        check_inputs(self.request(b"").tensors, metadata.inputs)

    def request(self, encoded: bytes) -> Request:
        """The request of a frame, a batch of one."""
        return Request(
            model=self.model,
            tensors=[Tensor(self.input, BYTES, bytes_tensor_data([encoded], (1, 1)))],
            parameters=self.parameters,
            headers=self.headers,
            timeout_s=self.timeout_s,
        )


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
