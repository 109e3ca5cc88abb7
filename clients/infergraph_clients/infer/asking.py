"""The request that the arguments describe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .body import Body, parse_body
from .errors import UsageError
from .inputs import Given, build_tensors, parse_input
from .message import TRACE, Request
from .options import (
    PIPELINE_SUFFIX,
    SELDON_HEADER,
    TIMEOUT_HEADER,
    parse_headers,
    parse_parameters,
)
from .tensors import Metadata, Parameter, check_inputs, find_spec

GRACE_S = 1.0
"""How much longer than its deadline the client waits: the server's own error tells more."""
_STDIN = "-"


@dataclass(frozen=True)
class Asking:
    """All that is known before the server is asked; files have been read.

    Attributes:
        model: The model's name on the path of the request.
        unchecked: Whether the request is built without the model's metadata.
    """

    args: argparse.Namespace
    model: str
    headers: dict[str, str]
    parameters: dict[str, Parameter]
    given: Sequence[Given]
    body: Body | None
    unchecked: bool

    def request(self, metadata: Metadata) -> Request:
        """The request to a model with this metadata.

        Raises:
            UsageError: the model does not take what was given.
        """
        body = self.body or Body(build_tensors(self.given, metadata.inputs))
        outputs = self.args.outputs or body.outputs
        check_inputs(body.tensors, metadata.inputs)
        if metadata.outputs:
            for name in outputs:
                # The companion of a tensor of rows, see `items`, is never declared.
                find_spec(name.removesuffix("_item"), metadata.outputs, "output")
        deadline = self.args.deadline
        return Request(
            model=self.model,
            version=self.args.model_version,
            tensors=body.tensors,
            outputs=outputs,
            parameters={**body.parameters, **self.parameters},
            headers=self.headers,
            id=body.id,
            compression=self.args.compression,
            timeout_s=None if deadline is None else deadline / 1000 + GRACE_S,
        )


def prepare(args: argparse.Namespace) -> Asking:
    """Reads arguments and files.

    Raises:
        UsageError: one of them makes no sense.
    """
    if args.request and args.inputs:
        raise UsageError("inputs and --request exclude each other")
    body = None
    if args.request:
        name = "stdin" if args.request == _STDIN else args.request
        body = parse_body(_read(args.request), name)
    parameters = parse_parameters(args.parameter)
    if args.trace:
        parameters[TRACE] = True
    is_pipeline = args.model.endswith(PIPELINE_SUFFIX)
    return Asking(
        args,
        args.model.removesuffix(PIPELINE_SUFFIX),
        _headers(args, is_pipeline),
        parameters,
        [parse_input(argument) for argument in args.inputs],
        body,
        # Seldon's pipelines have no metadata.
        args.unchecked or is_pipeline,
    )


def _headers(args: argparse.Namespace, is_pipeline: bool) -> dict[str, str]:
    headers = {}
    if args.seldon or is_pipeline:
        headers[SELDON_HEADER] = args.model
    if args.deadline is not None:
        headers[TIMEOUT_HEADER] = f"{args.deadline:.3f}".rstrip("0").rstrip(".")
    return {**headers, **parse_headers(args.header)}


def _read(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"--request {file}: {error.strerror or error}") from None
