"""The command `infergraph-infer`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infergraph.v2 import Parameter
from infergraph.v2.request import RequestedOutput

from ..errors import ClientError, ServerError, UsageError
from ..flags import parse_parameters, tls_of
from ..payloads import (
    Given,
    Metadata,
    Payload,
    build_tensors,
    check_inputs,
    find_spec,
    parse_input,
    read_request,
)
from ..terminal import escape_what_cannot_be_encoded
from ..transports import Answer, Endpoint, Route, parse_headers
from ..transports.client import CONNECT_SECONDS, GRACE_S, Client, Reply
from ..transports.headers import PIPELINE_SUFFIX, SELDON_HEADER, deadline_header, joined
from .options import parse_arguments
from .render import answer_json, answer_lines, says_the_same, times_line, trace_lines

_STDIN = "-"


def main(argv: Sequence[str] | None = None) -> int:
    """Sends the request that the arguments describe; returns the exit status, see `errors`."""
    escape_what_cannot_be_encoded()
    args = parse_arguments(argv)
    try:
        _run(args)
        sys.stdout.flush()
    except ClientError as error:
        print(f"infergraph-infer: {args.model}: {error}", file=sys.stderr)
        if args.json:
            status = error.status if isinstance(error, ServerError) else None
            text = error.text if isinstance(error, ServerError) else str(error)
            print(json.dumps({"error": text, "status": status}))
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be flushed to
        # it at exit, or Python complains.
        sys.stdout = None
        return 0
    return 0


@dataclass(frozen=True)
class Asking:
    """All that is known before the server is asked; files have been read.

    Attributes:
        unchecked: Whether the request is built without the model's metadata.
    """

    args: argparse.Namespace
    route: Route
    parameters: dict[str, Parameter]
    given: Sequence[Given]
    request: Payload | None
    unchecked: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> Asking:
        """Reads arguments and files. UsageError if one of them makes no sense."""
        if args.request and args.inputs:
            raise UsageError("inputs and --request exclude each other")
        request = None
        if args.request:
            source = "stdin" if args.request == _STDIN else args.request
            request = read_request(_read(args.request), "request", source)
        is_pipeline = args.model.endswith(PIPELINE_SUFFIX)
        headers = [{SELDON_HEADER: args.model}] if args.seldon or is_pipeline else []
        if args.deadline is not None:
            headers.append(deadline_header(args.deadline))
        route = Route(
            Endpoint.parse(args.url, args.protocol),
            args.model.removesuffix(PIPELINE_SUFFIX),
            args.model_version,
            joined([*headers, parse_headers(args.header)]),
            args.format,
            args.compression,
            args.stream,
            args.traceparent,
            tls_of(args),
            connect_s=CONNECT_SECONDS,
        )
        given = [parse_input(argument) for argument in args.inputs]
        parameters = parse_parameters(args.parameter)
        # Seldon's pipelines have no metadata.
        return cls(args, route, parameters, given, request, args.unchecked or is_pipeline)

    def payload(self, metadata: Metadata) -> Payload:
        """The request to a model with this metadata. UsageError if it does not take it."""
        if not self.given and self.request is None:
            takes = ", ".join(str(spec) for spec in metadata.inputs)
            raise UsageError("no inputs" + (f"; accepted: {takes}" if takes else ""))
        payload = self.request or Payload("request", build_tensors(self.given, metadata.inputs))
        check_inputs(payload.tensors, metadata.inputs)
        outputs = [RequestedOutput(name) for name in self.args.outputs] or payload.outputs
        if metadata.outputs:
            for each in outputs:
                # The companion of a tensor of rows, see `items`, is never declared.
                find_spec(each.name.removesuffix("_item"), metadata.outputs, "output")
        parameters = {**payload.parameters, **self.parameters}
        return replace(payload, outputs=outputs, parameters=parameters)


def _read(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"--request {file}: {error.strerror or error}") from None


def _run(args: argparse.Namespace) -> None:
    asking = Asking.of(args)
    payload, replies = asyncio.run(_ask(asking))
    if args.json:
        print(json.dumps(answer_json(replies, args.model), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(asking, payload, replies)))


async def _ask(asking: Asking) -> tuple[Payload, list[Reply]]:
    args = asking.args
    async with connect(asking.route) as client:
        metadata = Metadata() if asking.unchecked else await client.metadata()
        payload = asking.payload(metadata)
        told = _printer(payload) if args.stream and not args.json else None
        timeout_s = None if args.deadline is None else args.deadline / 1000 + GRACE_S

        async def infer() -> Reply:
            return await client.infer(
                payload, trace=args.trace, timeout_s=timeout_s, on_answer=told
            )

        if not args.asynchronous:
            return payload, [await infer() for _ in range(args.repeat)]
        tasks = [asyncio.ensure_future(infer()) for _ in range(args.repeat)]
        try:
            return payload, await asyncio.gather(*tasks)
        finally:
            # The first error ends all others.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def connect(route: Route) -> Client:
    """The client of a route; opens no connection yet."""
    return Client(route)


def _printer(payload: Payload) -> Callable[[Answer], None]:
    def told(answer: Answer) -> None:
        print("\n".join(answer_lines(answer, payload.items)), flush=True)

    return told


def _lines(asking: Asking, payload: Payload, replies: Sequence[Reply]) -> Iterator[str]:
    args, answer = asking.args, replies[-1].answer
    yield f"{args.model} at {asking.route.endpoint}: {times_line(replies, args.asynchronous)}"
    if not all(says_the_same(reply.answer, answer) for reply in replies):
        yield "the answers differ; this is the last one"
    if replies[-1].first_s is None:
        yield from answer_lines(answer, payload.items)
    if args.trace:
        if answer.trace is None:
            yield "no trace: the server does not know the parameter"
        else:
            yield "trace"
            yield from trace_lines(answer.trace)


if __name__ == "__main__":
    sys.exit(main())
