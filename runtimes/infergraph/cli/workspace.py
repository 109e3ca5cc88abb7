"""Where a command finds models and pipelines."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, UnknownModel

if TYPE_CHECKING:
    from ..declaration import ModelDeclaration

Catalog = Mapping[str, "ModelDeclaration"]


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path("model-settings"),
        metavar="DIR",
        help="folder that holds one folder per model (default: %(default)s)",
    )


def find_servable(catalog: Catalog, name: str, models_dir: Path) -> ModelDeclaration:
    """A model or pipeline by name; raises UnknownModel with the names that exist."""
    declaration = catalog.get(name)
    if declaration is None:
        raise UnknownModel(
            f"no model or pipeline '{name}' in {models_dir}; "
            f"accepted: {', '.join(catalog) or 'none'}"
        )
    return declaration


def pipeline_file(catalog: Catalog, name: str, models_dir: Path) -> Path:
    """The file of a pipeline, given by its name or its path; raises an InfergraphError."""
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise ConfigurationError(f"no such file: {name}")
    files = {each.name: each.pipeline for each in catalog.values() if each.pipeline is not None}
    if name not in files:
        what = "is a model" if name in catalog else f"is not in {models_dir}"
        raise UnknownModel(f"'{name}' {what}; accepted: {', '.join(files) or 'no pipeline exists'}")
    return files[name]


def read_text(file: Path) -> str:
    """A text file; raises ConfigurationError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{file}: cannot be read: {reason}") from None


def shown(file: Path) -> str:
    """A path relative to the working directory where it lies below it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        # Not below it, or there is none any more.
        return str(file)
