"""The command `infergraph-video`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from infergraph.v2 import Tensor

from ..annotation import Findings, by_picture, read_findings
from ..errors import NO_ANSWER, ServerError, UsageError
from ..flags import (
    add_server,
    count,
    is_seldon_pipeline,
    make_parser,
    milliseconds,
    number,
    parse_parameters,
    route_of,
    timeout_of,
)
from ..payloads import Metadata, Payload, check_inputs
from ..terminal import run_command
from ..transports import Answer, Client, Route
from ..transports.headers import TIMEOUT_HEADER
from .engine import Engine
from .frames import Frame, Selection, Source, open_source
from .output import STDOUT, VIDEOS, Writer, check_parent, check_sink
from .tally import Tally

INTERRUPTED = 130
SOME_FAILED = 1
_DESCRIPTION = (
    "Sends the frames of a video, or the pictures of a folder, to a model or pipeline of any V2 "
    "server, and writes what it says: drawn on the frames, and as JSON Lines."
)
_EPILOG = """\
exit status:
  0 all frames are answered; 1 some are not, or the run ended early: what there is, is written;
  2 nothing was written: bad arguments, no server there, or no frame it would answer;
  130 interrupted by Ctrl-C: what was answered before is written
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a video through a server; returns the exit status, see `--help`."""
    args = parse_arguments(argv)
    return run_command(f"infergraph-video: {args.model}", lambda: _run(args))


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    parser = make_parser("infergraph-video", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("model", metavar="PIPELINE", help="a pipeline or model that takes an image")
    add("input", metavar="INPUT", type=Path, help="a video file, or a folder of pictures")
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help=f"where the drawn frames go: a video ({', '.join(VIDEOS)}), or a folder of JPEGs",
    )
    add("--jsonl", type=Path, metavar="FILE", help="a line of JSON for each frame; - is stdout")
    add_server(parser)
    add(
        "--in-flight",
        metavar="N",
        type=count,
        default=8,
        help="most requests at a time; memory holds twice as many frames (default: %(default)s)",
    )
    add("--frames", metavar="N", type=count, help="take N frames at most")
    add("--every", metavar="N", type=count, default=1, help="take each Nth frame only")
    add("--fps", metavar="RATE", type=_rate, help="of the input (default: its own; 25 for folders)")
    add("--size", metavar="WxH", type=_size, help="scale frames before they are sent and drawn on")
    add(
        "--quality",
        metavar="Q",
        type=number("1 to 95", lambda value: 1 <= value <= 95, int),
        default=90,
        help="of the JPEGs that are sent, 1 to 95 (default: %(default)s); the pictures of a folder "
        "are sent as they are where nothing has to be changed",
    )
    add(
        "--input-name",
        metavar="NAME",
        default="image",
        help="the tensor that takes the image (default: %(default)s)",
    )
    add(
        "--timeout-ms",
        metavar="MS",
        type=milliseconds,
        help=f"time budget of each frame, sent as {TIMEOUT_HEADER}",
    )
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show how far it is (default: if stderr is a terminal)",
    )
    add("--quiet", action="store_true", help="neither progress nor summary")
    return parser.parse_args(argv)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: width and height, as 640x384")
    return int(width), int(height)


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: above 0, as 25 or 30000/1001")
    return rate


def _payload(args: argparse.Namespace, encoded: bytes) -> Payload:
    """The request of a frame, a batch of one."""
    tensor = Tensor.of_bytes(args.input_name, [encoded])
    return Payload("frame", [tensor], parse_parameters(args.parameter))


def _check_model(args: argparse.Namespace, metadata: Metadata) -> None:
    """Raises UsageError unless a model with this metadata takes one encoded image."""
    if not metadata.inputs:
        return
    name = args.input_name
    if not any((spec.name, spec.datatype) == (name, "BYTES") for spec in metadata.inputs):
        takes = ", ".join(str(spec) for spec in metadata.inputs)
        raise UsageError(f"it takes no image as {name!r} BYTES; accepted: {takes}")
    check_inputs(_payload(args, b"").tensors, metadata.inputs)


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


def _run(args: argparse.Namespace) -> int:
    route = route_of(args, args.timeout_ms)
    _payload(args, b"")
    _check_outputs(args)
    selection = Selection(args.every, args.frames, args.size, args.quality)
    with contextlib.closing(open_source(args.input, selection, args.fps)) as source:
        return asyncio.run(_frames(args, source, route))


def _check_outputs(args: argparse.Namespace) -> None:
    if args.output is None and args.jsonl is None:
        raise UsageError("nothing to write; accepted: --output, --jsonl, or both")
    if args.output is not None:
        check_sink(args.output)
    if args.jsonl is not None and args.jsonl != STDOUT:
        if args.jsonl.is_dir():
            raise UsageError(f"--jsonl {args.jsonl}: it is a folder")
        check_parent(args.jsonl, "--jsonl")
        if args.output is not None and args.jsonl.resolve() == args.output.resolve():
            raise UsageError(f"--jsonl {args.jsonl} is the output")
    for option, path in (("--output", args.output), ("--jsonl", args.jsonl)):
        if path is not None and path.exists() and path.resolve() == args.input.resolve():
            raise UsageError(f"{option} {path} is the input")


async def _frames(args: argparse.Namespace, source: Source, route: Route) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupt() -> None:
        # A second Ctrl-C ends the process at once.
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    async with Client(route) as client:
        # Seldon's pipelines have no metadata.
        metadata = Metadata() if is_seldon_pipeline(args) else await _metadata(client)
        _check_model(args, metadata)

        async def ask(frame: Frame) -> Findings:
            payload = _payload(args, frame.encoded)
            reply = await client.infer(payload, timeout_s=timeout_of(args.timeout_ms))
            return read_answer(reply.answer, metadata)

        tally = Tally(source.count, False if args.quiet else args.progress)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        with Writer(args.output, args.jsonl, source.rate) as writer:
            try:
                with tally:
                    engine = Engine(ask, writer.write, args.in_flight, tally)
                    await engine.run(source.frames(), stop)
            finally:
                loop.remove_signal_handler(signal.SIGINT)
                if tally.frames and not args.quiet:
                    told = f"{args.model} at {args.input}: {tally.summary(writer.objects)}"
                    print(told, file=sys.stderr, flush=True)
    if stop.is_set():
        return INTERRUPTED
    return SOME_FAILED if tally.errors else 0


async def _metadata(client: Client) -> Metadata:
    try:
        return await client.metadata()
    except ServerError as error:
        # No such model, or no such right: either way nothing is written.
        raise UsageError(str(error)) from None
