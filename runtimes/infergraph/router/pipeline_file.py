"""Where a router's pipeline file is, and what stands in it and beside it. All of it blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlserver.settings import ModelSettings

from ..catalog import load_catalog, locate_pipeline
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError
from ..graph import parse_pipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """A pipeline file as read.

    Attributes:
        path: The file.
        text: Its contents.
        catalog: The servables in the folders beside the router's own, by name.
    """

    path: Path
    text: str
    catalog: dict[str, ModelDeclaration]


def refuse_loops(name: str, steps: Iterable[str], catalog: Mapping[str, ModelDeclaration]) -> None:
    """Refuses a pipeline that is, through pipelines among its steps, a step of itself.

    Raises:
        ConfigurationError: such a loop, which would call itself without end; the text names it.
    """
    _follow([name], steps, catalog)


def _follow(path: list[str], steps: Iterable[str], catalog: Mapping[str, ModelDeclaration]) -> None:
    for step in steps:
        if step in path:
            raise ConfigurationError(
                f"pipeline '{path[0]}' calls itself without end: {' -> '.join([*path, step])}"
            )
        declaration = catalog.get(step)
        if declaration is None or declaration.pipeline is None:
            continue
        try:
            nested = parse_pipeline(declaration.pipeline.read_text("utf-8"), declaration.pipeline)
        except (OSError, UnicodeDecodeError, ConfigurationError):
            # Its own router reports what is wrong with it.
            continue
        _follow([*path, step], [each.name for each in nested.spec.steps], catalog)


def read(settings: ModelSettings) -> PipelineFile:
    """Reads the file that `parameters.uri` names; raises ConfigurationError if there is none."""
    uri = (settings.parameters and settings.parameters.uri) or ""
    path = locate_pipeline(settings.name, uri, _folder(settings))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"model '{settings.name}': parameters.uri '{uri}' names no file: {path} does not exist"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"model '{settings.name}': cannot read pipeline file {path}: {error}"
        ) from None
    return PipelineFile(path, text, _siblings(settings))


def _folder(settings: ModelSettings) -> Path:
    return Path(settings._source).parent if settings._source else Path()


def _siblings(settings: ModelSettings) -> dict[str, ModelDeclaration]:
    source = settings._source
    if source is None:
        return {}
    try:
        return load_catalog(Path(source).resolve().parent.parent)
    except ConfigurationError as error:
        # A broken folder that may have nothing to do with this pipeline must not stop it.
        logger.warning("model '%s': its edges are not checked: %s", settings.name, error)
        return {}
