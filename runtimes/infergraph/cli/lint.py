"""`infergraph lint`: what is wrong in pipeline files."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigurationError
from . import workspace

HELP = "check pipeline files; exit status 1 when something is found"
DESCRIPTION = (
    "Checks pipeline files against Seldon Core's rules and more, and their edges against the "
    "models' declared tensors. Prints one line per finding: file:line: rule: message; fix: what to "
    "write instead."
)
PIPELINES = Path("pipelines")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=f"pipeline files (default: all in {PIPELINES}/ and those of the model folders)",
    )
    workspace.add_models_dir(parser)


def run(args: argparse.Namespace) -> int:
    from ..catalog import load_catalog
    from ..graph import lint

    catalog = load_catalog(args.models_dir)
    files = args.files or _all_files(catalog)
    if not files:
        raise ConfigurationError(
            f"there is no pipeline in {PIPELINES}/ or {args.models_dir}; name the files to check"
        )
    texts = [(workspace.shown(file), workspace.read_text(file)) for file in files]
    findings = [finding for file, text in texts for finding in lint(text, file, catalog)]
    for finding in findings:
        print(finding)
    if findings:
        return 1
    print(f"{len(files)} {'pipeline' if len(files) == 1 else 'pipelines'} checked: no findings")
    return 0


def _all_files(catalog: workspace.Catalog) -> list[Path]:
    files = {file.resolve() for file in PIPELINES.glob("*.y*ml")}
    files |= {each.pipeline for each in catalog.values() if each.pipeline is not None}
    return sorted(files)
