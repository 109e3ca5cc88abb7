"""The model repository of model-settings/, where some models may need another environment."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence

from mlserver import ModelSettings
from mlserver.repository.repository import SchemalessModelRepository

logger = logging.getLogger(__name__)


class InstalledModels(SchemalessModelRepository):
    """MLServer's own repository, without models whose runtime another environment has.

    MLServer stops when one model's `implementation` cannot be imported. It is chosen by a server's
    settings.json::

        "model_repository_implementation": "infergraph.server.model_repository.InstalledModels",
        "model_repository_implementation_args": {"optional_runtimes": ["mlserver_huggingface"]}
    """

    def __init__(self, root: str, optional_runtimes: Sequence[str] = ()) -> None:
        """Finds out which runtimes are missing.

        Args:
            root: The folder, below which every model-settings.json is a model.
            optional_runtimes: Packages without which the server does not serve their models. One
                that is not named here must be installed: a misspelt implementation is an error.
        """
        super().__init__(root)
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
