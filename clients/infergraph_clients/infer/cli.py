"""The command `infergraph-infer`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infergraph.v2 import Parameter
from infergraph.v2.request import RequestedOutput

from ..errors import ClientError, UsageError
from ..flags import (
    add_server,
    count,
    is_seldon_pipeline,
    make_parser,
    milliseconds,
    parse_parameters,
    route_of,
    timeout_of,
)
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
from ..payloads.inputs import HELP
from ..terminal import run_command
from ..transports import CODINGS, FORMATS, Answer, Client, Reply, Route
from ..transports.headers import SELDON_HEADER, TIMEOUT_HEADER
from .render import answer_json, answer_lines, says_the_same, times_line, trace_lines

_STDIN = "-"
_DESCRIPTION = "Sends one request to a model or pipeline of any V2 server, and prints the answer."
_EPILOG = f"""\
{HELP}
exit status:
  0 answered; 1 the server answered with an error or not in time;
  2 nothing was sent: bad arguments or input, or no server there
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Sends the request that the arguments describe; returns the exit status, see `errors`."""
    args = parse_arguments(argv)

    def failed(error: ClientError) -> None:
        if args.json:
            print(json.dumps({"error": error.text, "status": error.status}))

    return run_command(f"infergraph-infer: {args.model}", lambda: _run(args), failed)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    parser = make_parser("infergraph-infer", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add(
        "model", metavar="MODEL", help="a model or pipeline; NAME.pipeline is one of Seldon Core v2"
    )
    add("inputs", metavar="NAME=VALUE", nargs="*", help="an input: see below")
    add("--request", metavar="FILE", help="send a V2 JSON request instead of inputs; - is stdin")
    add_server(parser)
    add(
        "--format",
        default="auto",
        choices=["auto", *FORMATS["rest"], *FORMATS["grpc"]],
        help="how tensors travel: json, base64 or binary over REST, raw or typed over gRPC "
        "(default: raw; over REST binary if the server announces it, else json)",
    )
    add(
        "--repeat",
        metavar="N",
        type=count,
        default=1,
        help="send it N times: in turn, or with --async all at once",
    )
    add(
        "--compression",
        choices=CODINGS,
        help="compress the request, ask for the same back; over REST, MLServer reads gzip alone",
    )
    add(
        "--deadline",
        metavar="MS",
        type=milliseconds,
        help=f"send a time budget as {TIMEOUT_HEADER}; the client gives up shortly after it",
    )
    add("--outputs", metavar="NAME,...", type=_names, default=[], help="answer with these only")
    add("--model-version", metavar="VERSION", default="", help="a version of the model")
    for name, text in (
        ("stream", "ask for the answer in parts, and print each as it comes"),
        ("async", "with --repeat, send all requests at once"),
        ("trace", "show what each step of the pipeline took"),
        ("traceparent", "begin a distributed trace, by W3C's header"),
        (
            "seldon",
            f"send the header {SELDON_HEADER}, as Seldon Core v2 needs; NAME.pipeline implies it",
        ),
        (
            "unchecked",
            "do not ask for the model's metadata; text and files go as BYTES of shape [items, 1]",
        ),
        ("json", "print the answer, or the error, as JSON"),
    ):
        dest = "asynchronous" if name == "async" else name
        add(f"--{name}", dest=dest, action="store_true", help=text)
    return parser.parse_intermixed_args(argv)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: names with commas between them")
    return names


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
        route = route_of(
            args,
            args.deadline,
            seldon=args.seldon,
            version=args.model_version,
            format=args.format,
            compression=args.compression,
            stream=args.stream,
            traceparent=args.traceparent,
        )
        given = [parse_input(argument) for argument in args.inputs]
        parameters = parse_parameters(args.parameter)
        return cls(
            args, route, parameters, given, request, args.unchecked or is_seldon_pipeline(args)
        )

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


def _run(args: argparse.Namespace) -> int:
    asking = Asking.of(args)
    payload, replies = asyncio.run(_ask(asking))
    if args.json:
        print(json.dumps(answer_json(replies, args.model), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(asking, payload, replies)))
    return 0


async def _ask(asking: Asking) -> tuple[Payload, list[Reply]]:
    args = asking.args
    async with Client(asking.route) as client:
        metadata = Metadata() if asking.unchecked else await client.metadata()
        payload = asking.payload(metadata)

        def told(answer: Answer) -> None:
            print("\n".join(answer_lines(answer, payload.items)), flush=True)

        async def infer() -> Reply:
            return await client.infer(
                payload,
                trace=args.trace,
                timeout_s=timeout_of(args.deadline),
                on_answer=told if args.stream and not args.json else None,
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
