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
from ..errors import ClientError, ServerError, UsageError
from ..payloads import Metadata
from ..terminal import escape_what_cannot_be_encoded
from ..transports import Route
from ..transports.client import Client
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
    except ClientError as error:
        print(f"infergraph-video: {args.model}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None
        return 0


def connect(route: Route) -> Client:
    """The client of a route; opens no connection yet."""
    return Client(route)


def _run(args: argparse.Namespace) -> int:
    template = Template.of(args)
    _check_outputs(args)
    selection = Selection(args.every, args.frames, args.size, args.quality)
    with contextlib.closing(open_source(args.input, selection, args.fps)) as source:
        return asyncio.run(_stream(args, source, template))


async def _stream(args: argparse.Namespace, source: Source, template: Template) -> int:
    async with connect(template.route) as client:
        metadata = Metadata() if template.unchecked else await _metadata(client)
        template.check(metadata)
        return await _frames(args, source, client, template, metadata)


async def _metadata(client: Client) -> Metadata:
    try:
        return await client.metadata()
    except ServerError as error:
        # No such model, or no such right: either way nothing is written.
        raise UsageError(str(error)) from None


async def _frames(
    args: argparse.Namespace,
    source: Source,
    client: Client,
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

            async def ask(frame: Frame) -> Findings:
                payload = template.payload(frame.encoded)
                reply = await client.infer(payload, timeout_s=template.timeout_s)
                return read_answer(reply.answer, metadata)

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
