"""The command's arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ..flags import add_tls, add_version, count, milliseconds
from ..transports import PROTOCOLS
from ..transports.endpoint import DEFAULT_URLS
from ..transports.headers import TIMEOUT_HEADER
from .sinks import VIDEOS

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


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="infergraph-video",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
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
    add(
        "--url",
        help="grpc://host:port or http://host:port; grpcs and https for TLS "
        f"(default: {DEFAULT_URLS['grpc']})",
    )
    add("--protocol", choices=PROTOCOLS, help="(default: as --url says, else grpc)")
    add_tls(parser)
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
        type=_quality,
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
    add("--parameter", metavar="NAME=VALUE", action="append", default=[], help="as in infer")
    add("--header", metavar="NAME=VALUE", action="append", default=[], help="a header or metadata")
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show how far it is (default: if stderr is a terminal)",
    )
    add("--quiet", action="store_true", help="neither progress nor summary")
    return parser.parse_args(argv)


def _quality(text: str) -> int:
    quality = int(text) if text.isdecimal() else 0
    if not 1 <= quality <= 95:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: 1 to 95")
    return quality


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
