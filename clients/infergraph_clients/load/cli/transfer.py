"""`infergraph-load transfer`: which transfer format pays when."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .output import output_folder

if TYPE_CHECKING:
    from ..transfer.contents import Content, Kind
    from ..transfer.measurement import Bench, Effort
    from ..transfer.result import Result

HELP = "measure transfer formats: bytes, CPU and latency by bandwidth, and when which pays"
DESCRIPTION = """\
Sends audio, images and texts in every format to an echo and to real models, and prints for each the
bytes on the wire, the CPU of client and server, the latency at several bandwidths, and when one
format pays against another.

  infergraph serve echo speech-to-text question-answering &
  infergraph-load transfer --audio recording.wav --text article.txt

Encodings: audio as fp32, fp16, wav, flac; images as uint8, fp32, fp16, png, jpeg; text.
Formats: rest-json, rest-base64, rest-gzip, grpc-raw, grpc-bytes, grpc-typed, grpc-gzip.
Bandwidths are emulated by a relay inside this program; no privileges are needed.

Exit status: 0; 1 if an answer was not what it should be, for an encoding that loses nothing; 2 if
the input is wrong or the server cannot be reached; 130 after Ctrl-C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    target = parser.add_argument_group("target")
    target.add_argument(
        "--url",
        action="append",
        metavar="URL",
        help="http://host:port, and grpc://host:port for gRPC's formats "
        "(default: http://127.0.0.1:8080 and grpc://127.0.0.1:8081)",
    )
    target.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    target.add_argument("--metrics-url", metavar="URL", help="Prometheus metrics with the CPU time")
    target.add_argument("--server-pid", type=int, metavar="PID", help="instead: its process here")
    for name, model, what in (
        ("echo", "echo", "that answers with what it gets"),
        ("audio", "speech-to-text", "of audio"),
        ("image", "alexnet", "of images"),
        ("text", "question-answering", "of texts"),
    ):
        target.add_argument(
            f"--{name}-model",
            default=model,
            metavar="MODEL",
            help=f"a model {what}, '' for none (default {model})",
        )
    sent = parser.add_argument_group("what is sent")
    sent.add_argument("--kinds", default="audio,image,text", metavar="KIND,...", help="(all)")
    sent.add_argument("--audio", type=Path, metavar="FILE", help="a recording (default: made)")
    sent.add_argument("--image", type=Path, metavar="FILE", help="an image (default: made)")
    sent.add_argument("--text", type=Path, metavar="FILE", help="a text (default: made)")
    sent.add_argument("--audio-seconds", default="1,5,20", metavar="S,...", help="(1,5,20)")
    sent.add_argument("--image-sides", default="224,640", metavar="PX,...", help="(224,640)")
    sent.add_argument("--text-characters", default="500,5000,50000", metavar="N,...")
    sent.add_argument("--encodings", default="all", metavar="NAME,...", help="(all)")
    sent.add_argument("--formats", default="all", metavar="NAME,...", help="(all)")
    sent.add_argument("--gzip-level", type=int, default=6, help="over REST, 1 to 9 (default 6)")
    sent.add_argument("--seed", type=int, default=0, help="of what is made")
    network = parser.add_argument_group("network")
    network.add_argument(
        "--bandwidths",
        default="1G,100M,10M",
        metavar="B,...",
        help="bits per second, such as 500k (default 1G,100M,10M); without a limit always",
    )
    network.add_argument("--round-trip-ms", type=float, default=0.0, metavar="MS", help="added (0)")
    effort = parser.add_argument_group("effort")
    effort.add_argument(
        "--seconds", type=float, default=0.5, help="for each form's CPU time (default 0.5)"
    )
    effort.add_argument("--rounds", type=int, default=5, help="in so many parts (default 5)")
    effort.add_argument(
        "--requests", type=int, default=5, help="for each form and bandwidth (default 5)"
    )
    effort.add_argument(
        "--longest",
        type=float,
        default=2.0,
        metavar="S",
        help="what would take longer over a link is computed instead (default 2)",
    )
    effort.add_argument("--timeout", type=float, default=60.0, metavar="S", help="(default 60)")
    report = parser.add_argument_group("report")
    report.add_argument(
        "--encoded-already",
        action="store_true",
        help="contents are at hand in each encoding: encoding is free when formats are compared",
    )
    report.add_argument(
        "--output", type=Path, help="the report's folder (default: load-reports/transfer-TIME)"
    )
    report.add_argument("--quiet", action="store_true", help="no progress and no tables")
    report.add_argument("--json", action="store_true", help="print transfer.json instead of tables")


def execute(arguments: argparse.Namespace) -> int:
    """Measures; see `main` for the status."""
    import asyncio
    import json

    from rich.console import Console

    from ..reports.folder import check_writable
    from ..transfer.folder import document, write_result
    from ..transfer.terminal import print_result

    contents = _contents(arguments)
    bench, notes = _bench(arguments)
    folder = output_folder(arguments.output, "transfer")
    check_writable(folder)
    progress = Console(stderr=True, quiet=arguments.quiet or arguments.json)
    with progress.status("asking the server") as status:
        result = asyncio.run(_measure(arguments, bench, contents, notes, status.update))
    write_result(folder, result)
    if arguments.json:
        sys.stdout.write(json.dumps(document(result), indent=2) + "\n")
    elif not arguments.quiet:
        output = Console()
        print_result(output, result)
        output.print(f"report: {folder}", highlight=False, soft_wrap=True)
    return int(any(group.wrong for group in result.groups))


async def _measure(
    arguments: argparse.Namespace,
    bench: Bench,
    contents: dict[Kind, list[Content]],
    notes: Sequence[str],
    progress: Callable[[str], None],
) -> Result:
    from ..transfer.measurement import measure
    from ..transfer.result import Result, grouped
    from ..transfer.setup import stages_of

    models = {kind: getattr(arguments, f"{kind}_model") for kind in contents}
    headers = dict(_pairs("--header", arguments.header))
    stages, missing = await stages_of(bench.endpoints, arguments.echo_model, models, headers)
    rows = [
        row
        for kind, several in contents.items()
        for stage in stages[kind]
        for content in several
        for row in await measure(bench, stage, content, progress)
    ]
    configuration = {
        "urls": [f"{each.scheme}://{each.authority}" for each in bench.endpoints.values()],
        "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "server_cpu": bench.clock.source if bench.clock else None,
        "bandwidths": list(bench.bandwidths),
        "round_trip_ms": arguments.round_trip_ms,
        "gzip_level": arguments.gzip_level,
        "encoded_already": arguments.encoded_already,
        "files": {kind: str(getattr(arguments, kind) or "made") for kind in contents},
        "seed": arguments.seed,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "requests": arguments.requests,
    }
    groups = grouped(rows, encoded_already=arguments.encoded_already)
    return Result(groups, [*notes, *missing], configuration)


def _contents(arguments: argparse.Namespace) -> dict[Kind, list[Content]]:
    from ..transfer.contents import KINDS, contents

    sizes = {
        "audio": ("--audio-seconds", arguments.audio_seconds),
        "image": ("--image-sides", arguments.image_sides),
        "text": ("--text-characters", arguments.text_characters),
    }
    wanted = _names("--kinds", arguments.kinds, KINDS)
    return {
        kind: contents(kind, _numbers(*sizes[kind]), getattr(arguments, kind), arguments.seed)
        for kind in KINDS
        if kind in wanted
    }


def _bench(arguments: argparse.Namespace) -> tuple[Bench, list[str]]:
    from ..errors import LoadError
    from ..transfer.encodings import ENCODING_NAMES, ENCODINGS
    from ..transfer.measurement import Bench
    from ..transfer.setup import DEFAULT_URLS, bandwidth_of, clock_of, endpoints_of
    from ..transfer.wires import WIRE_NAMES, WIRES

    effort = _effort(arguments)
    encodings = _names("--encodings", arguments.encodings, ENCODING_NAMES)
    wires = _names("--formats", arguments.formats, WIRE_NAMES)
    if not 1 <= arguments.gzip_level <= 9:
        raise LoadError(f"--gzip-level is {arguments.gzip_level}; accepted: 1 to 9")
    if not 0 <= arguments.round_trip_ms <= 10_000:
        raise LoadError(f"--round-trip-ms is {arguments.round_trip_ms:g}; accepted: 0 to 10000")
    bandwidths = [bandwidth_of(text) for text in arguments.bandwidths.split(",") if text]
    endpoints = endpoints_of(arguments.url or DEFAULT_URLS)
    clock, note = clock_of(endpoints["rest"], arguments.metrics_url, arguments.server_pid)
    notes = [note] if note else []
    if "grpc" not in endpoints:
        notes.append("left out: gRPC's formats, since no --url is grpc://host:port")
    bench = Bench(
        endpoints=endpoints,
        wires=[each for each in WIRES if each.name in wires and each.protocol in endpoints],
        encodings=[each for each in ENCODINGS if each.name in encodings],
        bandwidths=bandwidths,
        round_trip=arguments.round_trip_ms / 1e3,
        gzip_level=arguments.gzip_level,
        clock=clock,
        effort=effort,
    )
    return bench, notes


def _effort(arguments: argparse.Namespace) -> Effort:
    from ..errors import LoadError
    from ..transfer.measurement import Effort

    for name in ("seconds", "longest", "timeout"):
        if not 0 < getattr(arguments, name) < float("inf"):
            raise LoadError(f"--{name} is {getattr(arguments, name):g}; accepted: above 0")
    for name in ("rounds", "requests"):
        if getattr(arguments, name) < 1:
            raise LoadError(f"--{name} is {getattr(arguments, name)}; accepted: 1 or more")
    return Effort(
        arguments.seconds,
        arguments.rounds,
        arguments.requests,
        arguments.longest,
        arguments.timeout,
    )


def _names(flag: str, text: str, accepted: Sequence[str]) -> frozenset[str]:
    from ..errors import LoadError

    if text == "all":
        return frozenset(accepted)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in accepted:
            raise LoadError(f"{flag} has '{name}'; accepted: all, {', '.join(accepted)}")
    return frozenset(names)


def _numbers(flag: str, text: str) -> list[int]:
    from ..errors import LoadError

    numbers = text.split(",")
    for number in numbers:
        if not number.strip().isdecimal():
            raise LoadError(f"{flag} has '{number}'; accepted: whole numbers, with commas")
    return sorted({int(number) for number in numbers})


def _pairs(flag: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    from ..errors import LoadError

    pairs = []
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not (text.isascii() and text.isprintable()):
            raise LoadError(f"{flag} is '{text}'; accepted: NAME=VALUE of printable ASCII")
        pairs.append((name, value))
    return pairs
