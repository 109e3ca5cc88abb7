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
    parser.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to a file, not to the terminal"
    )
    workspace.add_models_dir(parser)


def run(args: argparse.Namespace) -> int:
    from ..catalog import load_catalog
    from ..graph import compile_plan, parse_pipeline, render

    # A file can be drawn without models; their folder only tells more about the tensors.
    catalog = load_catalog(args.models_dir) if args.models_dir.is_dir() else {}
    file = workspace.pipeline_file(catalog, args.pipeline, args.models_dir)
    pipeline = parse_pipeline(workspace.read_text(file), workspace.shown(file))
    picture = render(compile_plan(pipeline), args.format, catalog)
    if args.output is None:
        print(picture, end="")
        return 0
    try:
        args.output.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--output {args.output}: {error.strerror}") from None
    return 0
