"""The command `infergraph-video`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ..annotation import Findings
from ..infer.endpoint import Endpoint
from ..infer.errors import InferError, ServerError, UsageError
from ..infer.tensors import Metadata
from ..infer.transport import Transport, connect
from ..terminal import escape_what_cannot_be_encoded
from .engine import Engine
from .frames import Frame, Selection
from .options import parse_arguments
from .progress import Display, say
from .requests import Template, read_answer
from .sinks import check_parent, check_sink
from .sources import Source, open_source
from .tally import Tally
from .writing import STDOUT, Writer

INTERRUPTED = 130
SOME_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a video through a server; returns the exit status, see `--help`."""
    escape_what_cannot_be_encoded()
    args = parse_arguments(argv)
    try:
        return _run(args)
    except InferError as error:
        print(f"infergraph-video: {args.model}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None
        return 0


def _run(args: argparse.Namespace) -> int:
    endpoint = Endpoint.parse(args.url, args.protocol)
    template = Template.of(args)
    _check_outputs(args)
    selection = Selection(args.every, args.frames, args.size, args.quality)
    with (
        contextlib.closing(open_source(args.input, selection, args.fps)) as source,
        connect(endpoint) as transport,
    ):
        metadata = Metadata() if template.unchecked else _metadata(transport, template)
        template.check(metadata)
        return asyncio.run(_stream(args, source, transport, template, metadata))


def _metadata(transport: Transport, template: Template) -> Metadata:
    try:
        return transport.metadata(template.model, "", template.headers)
    except ServerError as error:
        # No such model, or no such right: either way nothing is written.
        raise UsageError(str(error)) from None


async def _stream(
    args: argparse.Namespace,
    source: Source,
    transport: Transport,
    template: Template,
    metadata: Metadata,
) -> int:
    tally, stop = Tally(), asyncio.Event()
    shown = False if args.quiet else args.progress
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        # A second Ctrl-C ends the process at once.
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    with Writer(args.output, args.jsonl, source.rate) as writer:
        try:
            async with transport.asynchronous() as infer:

                async def ask(frame: Frame) -> Findings:
                    return read_answer(await infer(template.request(frame.encoded)), metadata)

                with Display(tally, source.count, shown) as display:
                    engine = Engine(ask, writer.write, args.in_flight, display)
                    await engine.run(source.frames(), stop)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            if tally.frames and not args.quiet:
                say(f"{args.model} at {args.input}: {tally.summary(writer.objects)}")
    if stop.is_set():
        return INTERRUPTED
    return SOME_FAILED if tally.errors else 0


def _check_outputs(args: argparse.Namespace) -> None:
    if args.output is None and args.jsonl is None:
        raise UsageError("nothing to write; accepted: --output, --jsonl, or both")
    if args.output is not None:
        check_sink(args.output)
        if args.output.exists() and args.output.resolve() == args.input.resolve():
            raise UsageError(f"--output {args.output} is the input")
    if args.jsonl is not None and args.jsonl != STDOUT:
        if args.jsonl.is_dir():
            raise UsageError(f"--jsonl {args.jsonl}: it is a folder")
        check_parent(Path(args.jsonl), "--jsonl")


if __name__ == "__main__":
    sys.exit(main())
