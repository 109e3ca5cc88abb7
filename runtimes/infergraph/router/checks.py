"""What a router checks of its pipeline before it serves: the lint, with all declarations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, InfergraphError
from ..graph import lint
from ..transports import Transport
from .pipeline_file import PipelineFile
from .routes import Routes

logger = logging.getLogger(__name__)


def check_edges(
    file: PipelineFile, own: ModelDeclaration, remote: Mapping[str, ModelDeclaration]
) -> None:
    """Lints a pipeline against declared tensors, and logs the warnings.

    Args:
        file: The pipeline file, with the declarations beside it.
        own: The router's own declaration.
        remote: Declarations of steps that only their servers know; a step that is nowhere declared
            is taken as it comes.

    Raises:
        ConfigurationError: the text lists every error, one a line.
    """
    catalog = {**remote, **file.catalog, own.name: own}
    errors = []
    for finding in lint(file.text, file.path, catalog):
        if finding.severity == "error":
            errors.append(str(finding))
        else:
            logger.warning("%s", finding)
    if errors:
        raise ConfigurationError(f"pipeline '{own.name}' does not load:\n" + "\n".join(errors))


async def remote_declarations(
    pipeline: str, steps: Iterable[str], routes: Routes
) -> dict[str, ModelDeclaration]:
    """What their endpoints say of steps; nothing is known of those that do not answer.

    An endpoint that cannot be reached is logged and no error: servers start in any order.
    """
    steps = list(steps)
    answers = await asyncio.gather(
        *(_ask(pipeline, step, routes.configured(step)) for step in steps)
    )
    return dict(zip(steps, answers, strict=True))


async def _ask(pipeline: str, step: str, transport: Transport | None) -> ModelDeclaration:
    unknown = ModelDeclaration(step, (), ())
    if transport is None:
        return unknown
    try:
        return await transport.declaration(step)
    except InfergraphError as error:
        logger.warning(
            "pipeline '%s': the edges of step '%s' are not checked: %s: %s",
            pipeline,
            step,
            transport.endpoint,
            error,
        )
        return unknown
