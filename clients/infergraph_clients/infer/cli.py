"""The command `infergraph-infer`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence

from ..terminal import escape_what_cannot_be_encoded
from .asking import prepare
from .endpoint import Endpoint
from .errors import InferError, ServerError, UsageError
from .message import Request
from .options import parse_arguments
from .render import answer_json, answer_lines, times_line, trace_lines
from .sending import Reply, send_at_once, send_in_turn
from .tensors import Metadata
from .transport import Transport, connect


def main(argv: Sequence[str] | None = None) -> int:
    """Sends the request that the arguments describe; returns the exit status, see `errors`."""
    escape_what_cannot_be_encoded()
    args = parse_arguments(argv)
    try:
        _run(args)
        sys.stdout.flush()
    except InferError as error:
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


def _run(args: argparse.Namespace) -> None:
    endpoint = Endpoint.parse(args.url, args.protocol)
    asking = prepare(args)
    with connect(endpoint) as transport:
        metadata = (
            Metadata()
            if asking.unchecked
            else transport.metadata(asking.model, args.model_version, asking.headers)
        )
        if not asking.given and asking.body is None:
            takes = ", ".join(str(spec) for spec in metadata.inputs)
            raise UsageError("no inputs" + (f"; accepted: {takes}" if takes else ""))
        request = asking.request(metadata)
        replies = _send(args, transport, request)
    if args.json:
        print(json.dumps(answer_json(replies, args.model), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(args, endpoint, request, replies)))


def _send(args: argparse.Namespace, transport: Transport, request: Request) -> list[Reply]:
    if args.asynchronous:
        return asyncio.run(send_at_once(transport, request, args.repeat))
    return send_in_turn(transport, request, args.repeat)


def _lines(
    args: argparse.Namespace, endpoint: Endpoint, request: Request, replies: Sequence[Reply]
) -> Iterator[str]:
    answer = replies[-1].answer
    yield f"{args.model} at {endpoint}: {times_line(replies, args.asynchronous)}"
    if not all(reply.answer.says_the_same(answer) for reply in replies):
        yield "the answers differ; this is the last one"
    yield from answer_lines(answer, request.items)
    if args.trace:
        if answer.trace is None:
            yield "no trace: the server does not know the parameter"
        else:
            yield "trace"
            yield from trace_lines(answer.trace)


if __name__ == "__main__":
    sys.exit(main())
