"""`RepositoryHandlers`: the index of the model repository, and loading and unloading by name."""

from __future__ import annotations

import asyncio
from collections import Counter

from mlserver import ModelSettings
from mlserver.errors import ModelNotFound
from mlserver.handlers import ModelRepositoryHandlers
from mlserver.repository import ModelRepository, SchemalessModelRepository
from mlserver.types import (
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    RepositoryIndexResponseItem,
    State,
)

from ..errors import ConfigurationError, UnknownModel
from .errors import NOT_LOADED
from .registry import LONGEST_NAME, Registry


class RepositoryHandlers(ModelRepositoryHandlers):
    """Answers V2's calls for the model repository, in the place of MLServer's own handlers."""

    def __init__(self, repository: ModelRepository, model_registry: Registry) -> None:
        self._repository = repository
        self._registry = model_registry

    async def index(self, payload: RepositoryIndexRequest) -> RepositoryIndexResponse:
        """All models of the repository, and those of the server that are no longer in it.

        They come in the order of their names and versions; only the ready ones when `payload` asks
        for these. The state of each is READY, LOADING, UNLOADING or UNAVAILABLE.
        """
        known = {(state.name, state.version): state for state in self._registry.states()}
        for settings in await self._list():
            name, version = settings.name, settings.version or None
            known.setdefault((name, version), self._registry.state(name, version))
        items = [
            RepositoryIndexResponseItem(**known[key]._asdict())
            for key in sorted(known, key=lambda key: (key[0], key[1] or ""))
            if not payload.ready or known[key].state is State.READY
        ]
        return RepositoryIndexResponse(root=items)

    async def load(self, name: str) -> bool:
        """Loads all versions that the repository has of a model, and unloads its other ones.

        Returns:
            True, once they are loaded.

        Raises:
            UnknownModel: the repository does not have it.
            ConfigurationError: the repository has a version of it twice.
            Exception: what kept it from loading.
        """
        found = [settings for settings in await self._list() if settings.name == name]
        if not found:
            raise UnknownModel(
                f"model '{name[:LONGEST_NAME]}' is not in {self._place()}", cause=NOT_LOADED
            )
        count = Counter(settings.version or None for settings in found)
        version, times = count.most_common(1)[0]
        if times > 1:
            files = ", ".join(
                str(settings._source) for settings in found if (settings.version or None) == version
            )
            of_version = f" version '{version}'" if version else ""
            raise ConfigurationError(
                f"model '{name}'{of_version} is {times} times in {self._place()}, accepted is one: "
                f"{files}"
            )
        await self._registry.load_versions(name, found)
        return True

    async def unload(self, name: str) -> bool:
        """Unloads all versions of a model.

        Returns:
            True, once they are unloaded.

        Raises:
            UnknownModel: it is not loaded.
            Exception: what its `unload` raised.
        """
        try:
            await self._registry.unload(name)
        except ModelNotFound:
            raise UnknownModel(
                f"model '{name[:LONGEST_NAME]}' is not loaded", cause=NOT_LOADED
            ) from None
        return True

    async def _list(self) -> list[ModelSettings]:
        if isinstance(self._repository, SchemalessModelRepository):
            # It reads all its files without ever giving way to other work of the event loop.
            return await asyncio.to_thread(asyncio.run, self._repository.list())
        return await self._repository.list()

    def _place(self) -> str:
        root = getattr(self._repository, "_root", None)
        return f"the model repository '{root}'" if root else "the model repository"
