"""The model repository that brings the front door: importing it puts the servers in their places.

MLServer imports the class that `model_repository_implementation` names before it makes its own
servers, so this is the one place where they are exchanged::

    "model_repository_implementation": "infergraph.front_door.ModelRepository"

in settings.json, or `MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION` in the environment.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import mlserver
import mlserver.server
from mlserver import ModelSettings
from mlserver.repository.repository import SchemalessModelRepository

from ..errors import ConfigurationError
from .process import let_threads_sleep, preload
from .registry import Registry
from .repository_handlers import RepositoryHandlers
from .servers import GrpcServer, MetricsServer, RestServer
from .settings import parse_settings

logger = logging.getLogger(__name__)

SUPPORTED_MLSERVER = "1.7.1"
PARTS = {
    "MultiModelRegistry": Registry,
    "ModelRepositoryHandlers": RepositoryHandlers,
    "RESTServer": RestServer,
    "GRPCServer": GrpcServer,
    "MetricsServer": MetricsServer,
}
"""What `mlserver.server` makes a server of, by the names under which it looks them up."""


class ModelRepository(SchemalessModelRepository):
    """MLServer's own repository, without models whose runtime another environment has.

    MLServer stops when one model's `implementation` cannot be imported.
    """

    def __init__(
        self,
        root: str,
        optional_runtimes: Sequence[str] = (),
        front_door: Mapping[str, Any] | None = None,
    ) -> None:
        """Imports what the settings name, and finds out which runtimes are missing.

        Args:
            root: The folder, below which every model-settings.json is a model.
            optional_runtimes: Packages without which the server does not serve their models. One
                that is not named here must be installed: a misspelt implementation is an error.
            front_door: Settings of the servers, which read them themselves.

        Raises:
            ConfigurationError: a setting is wrong, or a module cannot be imported.
        """
        super().__init__(root)
        let_threads_sleep()
        preload(parse_settings(front_door or {}).preload)
        self._missing = [
            package for package in optional_runtimes if importlib.util.find_spec(package) is None
        ]
        self._left_out: set[str] = set()

    async def list(self) -> list[ModelSettings]:
        """The settings of the models that can be loaded here; the log names the others once."""
        installed = []
        for settings in await super().list():
            package = settings.implementation_.partition(".")[0]
            if package not in self._missing:
                installed.append(settings)
            elif settings.name not in self._left_out:
                self._left_out.add(settings.name)
                logger.warning(
                    "model '%s' is not served: its runtime '%s' is not installed in this "
                    "environment",
                    settings.name,
                    settings.implementation_,
                )
        return installed


def _install() -> None:
    if mlserver.__version__ != SUPPORTED_MLSERVER:
        raise ConfigurationError(
            f"mlserver {mlserver.__version__} is installed; accepted: {SUPPORTED_MLSERVER}, "
            "whose servers Infergraph replaces"
        )
    for name, part in PARTS.items():
        setattr(mlserver.server, name, part)


_install()
