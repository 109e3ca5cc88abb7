"""`infergraph graph`: a picture of a pipeline."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigurationError
from . import workspace

HELP = "draw a pipeline as text, mermaid or SVG"
DESCRIPTION = "Draws a pipeline, given by its name or its file."
FORMATS = ("text", "mermaid", "svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", metavar="PIPELINE", help="a pipeline's name, or its YAML file")
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to a file, not to the terminal"
    )
    workspace.add_models_dir(parser)
