"""`infergraph lint`: what is wrong in pipeline files."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, UnknownModel
from . import workspace

if TYPE_CHECKING:
    from ..declaration import ModelDeclaration

HELP = "check pipeline files; exit status 1 when something is found"
DESCRIPTION = (
    "Checks pipeline files against Seldon Core's rules and more, and their edges against the "
    "models' declared tensors. Prints one line per finding: file:line: rule: message; fix: what to "
    "write instead."
)
PIPELINES = Path("pipelines")
_PIPELINE = re.compile(r"^kind:\s*([\"']?)Pipeline\1\s*(#.*)?$", re.MULTILINE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="pipeline files, or folders: all pipelines in them; models in them come before "
        f"others (default: all in {PIPELINES}/ and those of the model folders)",
    )
    workspace.add_models_dir(parser)
    elsewhere = parser.add_mutually_exclusive_group()
    elsewhere.add_argument(
        "--endpoint",
        action="append",
        default=[],
        dest="endpoints",
        metavar="URL",
        help="a V2 server that has the steps' models, http://host:port or grpc://host:port; it is "
        "asked for their tensors before the model folder is. May be repeated",
    )
    elsewhere.add_argument(
        "--without-models",
        action="store_true",
        help="check the graph alone, whatever its models are",
    )


def run(args: argparse.Namespace) -> int:
    from ..graph import lint

    # Models that live elsewhere need no folder here.
    local = args.models_dir.is_dir() or not (args.endpoints or args.without_models)
    catalog = _catalog(args.models_dir, args.files) if local else {}
    files = list(_named(args.files)) or _all_files(catalog)
    if not files:
        raise ConfigurationError(
            f"there is no pipeline in {PIPELINES}/ or {args.models_dir}; name the files to check"
        )
    texts = [(workspace.shown(file), workspace.read_text(file)) for file in files]
    if args.endpoints:
        remote = asyncio.run(_declarations(args.endpoints, _steps(text for _, text in texts)))
        catalog = {**catalog, **remote}
    known = None if args.without_models else catalog
    findings = [finding for file, text in texts for finding in lint(text, file, known)]
    for finding in findings:
        print(finding)
    if findings:
        return 1
    print(f"{len(files)} {'pipeline' if len(files) == 1 else 'pipelines'} checked: no findings")
    return 0


def _catalog(models_dir: Path, places: Iterable[Path]) -> dict[str, ModelDeclaration]:
    """The models of the model folder, and before them those in the folders among `places`."""
    from ..catalog import MODEL_SETTINGS, load_catalog, read_declaration

    catalog = load_catalog(models_dir) if models_dir.is_dir() else {}
    found = [
        read_declaration(file)
        for folder in places
        if folder.is_dir()
        for file in _below(folder, MODEL_SETTINGS)
    ]
    if not catalog and not found:
        load_catalog(models_dir)  # which says that it is none
    return {**catalog, **{each.name: each for each in found}}


def _named(places: Iterable[Path]) -> Iterator[Path]:
    """The files that were named, and the pipelines below folders."""
    for place in places:
        if not place.is_dir():
            yield place
            continue
        files = [
            file for file in _below(place, "*.y*ml") if _PIPELINE.search(workspace.read_text(file))
        ]
        if not files:
            raise ConfigurationError(
                f"folder {place} holds no pipeline; accepted: one with .yaml files of kind Pipeline"
            )
        yield from files


def _below(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder, but for hidden ones, in the order of their paths."""
    return sorted(
        file
        for file in folder.glob(f"**/{pattern}")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _steps(texts: Iterable[str]) -> list[str]:
    """The steps of pipelines; of one that cannot be read, whose findings tell it, none."""
    from ..graph import parse_pipeline

    steps: dict[str, None] = {}
    for text in texts:
        try:
            pipeline = parse_pipeline(text, "")
        except ConfigurationError:
            continue
        steps.update((step.name, None) for step in pipeline.spec.steps)
    return list(steps)


async def _declarations(urls: Sequence[str], steps: Sequence[str]) -> dict[str, ModelDeclaration]:
    """What servers declare of steps: the first of them that has its model.

    Raises:
        InfergraphError: a URL is no endpoint, or a server does not answer.
    """
    from ..transports import connect

    declarations = {}
    for url in urls:
        transport = connect(url)
        try:
            for step in steps:
                if step not in declarations:
                    try:
                        declarations[step] = await transport.declaration(step)
                    except UnknownModel:
                        continue
        finally:
            await transport.close()
    return declarations


def _all_files(catalog: workspace.Catalog) -> list[Path]:
    files = {file.resolve() for file in PIPELINES.glob("*.y*ml")}
    files |= {each.pipeline for each in catalog.values() if each.pipeline is not None}
    return sorted(files)
