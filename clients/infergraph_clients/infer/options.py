"""The command's arguments."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Sequence

from .endpoint import DEFAULT_AUTHORITY, PROTOCOLS
from .errors import UsageError
from .message import COMPRESSIONS
from .tensors import Parameter

TIMEOUT_HEADER = "infergraph-timeout-ms"
SELDON_HEADER = "seldon-model"
PIPELINE_SUFFIX = ".pipeline"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_DESCRIPTION = "Sends one request to a model or pipeline of any V2 server, and prints the answer."
_EPILOG = """\
inputs:
  text="Some text"       text; for a numeric input a JSON value, as numbers="[1.5, 2]"
  audio=@question.wav    a file as it is: WAV, FLAC, MP3, OGG, JPEG, PNG, ...
  pixels=@pixels.npy     a typed tensor, or one item of it
  text=@article.txt      the text of a file; @@ starts a text with @
  text=one text=two      a name given several times makes a batch

exit status:
  0 answered; 1 the server answered with an error or not in time;
  2 nothing was sent: bad arguments or input, or no server there
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    return _build_parser().parse_intermixed_args(argv)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="infergraph-infer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "model", metavar="MODEL", help="a model or pipeline; NAME.pipeline is one of Seldon Core v2"
    )
    add("inputs", metavar="NAME=VALUE", nargs="*", help="an input: see below")
    add("--request", metavar="FILE", help="a V2 JSON request instead of inputs; - is stdin")
    add(
        "--url",
        help="grpc://host:port or http://host:port; grpcs and https for TLS "
        f"(default: grpc://{DEFAULT_AUTHORITY['grpc']}, or http://{DEFAULT_AUTHORITY['rest']} "
        "with --protocol rest)",
    )
    add("--protocol", choices=PROTOCOLS, help="(default: as --url says, else grpc)")
    add("--async", dest="asynchronous", action="store_true", help="use the asyncio client")
    add(
        "--repeat",
        metavar="N",
        type=count,
        default=1,
        help="send it N times: in turn, or with --async all at once",
    )
    add(
        "--compression",
        choices=COMPRESSIONS,
        help="compress the request, ask for the same back; over REST, MLServer reads gzip alone",
    )
    add(
        "--deadline",
        metavar="MS",
        type=milliseconds,
        help=f"time budget, sent as {TIMEOUT_HEADER}; the client gives up shortly after it",
    )
    add("--trace", action="store_true", help="show what each step of the pipeline took")
    add(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a request parameter: true, 4, 0.5 or text; summarization.num_beams=4 is for a step",
    )
    add("--header", metavar="NAME=VALUE", action="append", default=[], help="a header or metadata")
    add(
        "--seldon",
        action="store_true",
        help=f"send the header {SELDON_HEADER}, as Seldon Core v2 needs; NAME.pipeline implies it",
    )
    add("--outputs", metavar="NAME,...", type=_names, default=[], help="answer with these only")
    add("--model-version", metavar="VERSION", default="", help="a version of the model")
    add(
        "--unchecked",
        action="store_true",
        help="do not ask for the model's metadata; text and files go as BYTES of shape [items, 1]",
    )
    add("--json", action="store_true", help="print the answer, or the error, as JSON")
    return parser


def parse_parameters(arguments: Sequence[str]) -> dict[str, Parameter]:
    """Request parameters: a JSON number, boolean or string, else text as it stands."""
    return {name: _parameter(value) for name, value in _pairs(arguments, "--parameter")}


def parse_headers(arguments: Sequence[str]) -> dict[str, str]:
    """Headers; UsageError if HTTP or gRPC could not carry one."""
    headers = dict(_pairs(arguments, "--header"))
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise UsageError(f"--header {name!r} is no header name")
        if not value.isascii() or not value.isprintable():
            # The value may be a credential: it is not repeated.
            raise UsageError(f"--header {name}: its value is not printable ASCII")
    return headers


def _pairs(arguments: Sequence[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {argument!r}; accepted: NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _parameter(text: str) -> Parameter:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value if isinstance(value, (bool, int, float, str)) else text


def count(text: str) -> int:
    """An argument that is a whole number above 0."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: a whole number above 0")
    return number


def milliseconds(text: str) -> float:
    """An argument that is a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: milliseconds above 0")
    return value


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: names with commas between them")
    return names
