"""`infergraph fetch`: gets a model's weights ahead of serving it, and checks them."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigurationError, InfergraphError
from . import workspace

HELP = "fetch and check the weights of a model's variants"
DESCRIPTION = (
    "Fetches the checkpoints of a model's variants into the caches of their libraries (HF_HOME, "
    "TORCH_HOME), or below a folder, and checks every file of them. Prints a line for each: its "
    "name, its size, and where it is."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        dest="variants",
        metavar="VARIANT",
        help="a variant, a folder or an id; may be repeated (default: the one in the settings)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="a folder for them instead, for images, volumes and machines without a network: serve "
        "with HF_HOME and TORCH_HOME set to it, and HF_HUB_OFFLINE=1",
    )
    workspace.add_models_dir(parser)


def run(args: argparse.Namespace) -> int:
    from ..catalog import MODEL_SETTINGS, load_catalog, read_settings
    from ..checkpoints import checkpoint_sources

    catalog = load_catalog(args.models_dir)
    declaration = workspace.find_servable(catalog, args.model, args.models_dir)
    if declaration.pipeline is not None or declaration.folder is None:
        raise ConfigurationError(f"'{args.model}' is a pipeline; accepted: a model, one at a time")
    folder = declaration.folder
    extra = (read_settings(folder / MODEL_SETTINGS).get("parameters") or {}).get("extra") or {}
    sources = checkpoint_sources(args.model, folder, args.variants, extra)
    with _logged():
        for name, source in sources.items():
            try:
                print("  ".join([name, *_fetched(source, args.to)]), flush=True)
            except InfergraphError as error:
                raise error.prefixed(f"model '{args.model}': '{name}'") from None
    # What is in the model's folder is not put there.
    if args.to is not None and not all(Path(source).is_absolute() for source in sources.values()):
        print(f"Serve them with HF_HOME={args.to} TORCH_HOME={args.to} HF_HUB_OFFLINE=1")
    return 0


def _fetched(source: str, to: Path | None) -> list[str]:
    """What a checkpoint is called, its size, and where it is; it is fetched and checked."""
    from ..checkpoints import TORCHVISION

    if source.startswith(TORCHVISION):
        from ..tasks.checkpoints.torchvision_checkpoint import fetch_published

        file = fetch_published(source, to)
        return [source, _megabytes(file.stat().st_size), str(file)]
    if Path(source).is_absolute():
        name, folder = "in place", Path(source)
    else:
        from ..hub import verified_snapshot

        id, _, revision = source.partition("@")
        folder = verified_snapshot(id, revision or None, cache=to and to / "hub")
        name = f"{id}@{folder.name}"
    _check_safetensors(folder)
    return [name, _megabytes(sum(each.stat().st_size for each in folder.iterdir())), str(folder)]


def _check_safetensors(folder: Path) -> None:
    """Reads the headers, which say how large the files must be."""
    from safetensors import SafetensorError, safe_open

    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (OSError, SafetensorError) as error:
            raise ConfigurationError(f"{file} is damaged: {error}") from None


@contextmanager
def _logged() -> Iterator[None]:
    """Shows what is logged, such as the progress of downloads, on stderr."""
    logger, handler = logging.getLogger("infergraph"), logging.StreamHandler(sys.stderr)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
