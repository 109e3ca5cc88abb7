"""`Registry`: the models that a server holds, each loaded, replaced and unloaded without loss."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from mlserver import MLModel, ModelSettings
from mlserver.errors import ModelNotFound
from mlserver.registry import (
    ModelInitialiser,
    ModelRegistryHook,
    ModelReloadHook,
    MultiModelRegistry,
    model_initialiser,
)
from mlserver.types import State

from ..errors import InfergraphError, StageUnavailable, UnknownModel
from ..generations import newest_first
from .errors import NOT_LOADED
from .versions import Hooks, ModelVersions, Serving

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

DEFAULT_GRACE_SECONDS = 25.0
MOST_FAILURES = 1000
"""Failed loads that are remembered; the oldest are forgotten first."""
LONGEST_NAME = 200
"""Characters of a caller's name of a model that an error repeats."""
_LONGEST_REASON = 1000


class ModelState(NamedTuple):
    """What a version of a model is at.

    Attributes:
        name: The model's.
        version: None for a model without versions.
        state: READY, LOADING, UNLOADING or UNAVAILABLE.
        reason: Why it is unavailable, or why a newer instance of it could not be loaded; or empty.
    """

    name: str
    version: str | None
    state: State
    reason: str


class _Failures:
    """Why loads failed, by name and version; the newest MOST_FAILURES of them."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str | None, str]] = {}
        self._order: dict[tuple[str, str | None], None] = {}

    def names(self) -> Iterable[str]:
        return self._reasons

    def of(self, name: str) -> Mapping[str | None, str]:
        return self._reasons.get(name, {})

    def note(self, name: str, version: str | None, reason: str) -> None:
        self.forget(name, version)
        self._reasons.setdefault(name, {})[version] = reason
        self._order[name, version] = None
        if len(self._order) > MOST_FAILURES:
            self.forget(*next(iter(self._order)))

    def forget(self, name: str, version: str | None) -> None:
        if (name, version) in self._order:
            del self._order[name, version]
            del self._reasons[name][version]
            if not self._reasons[name]:
                del self._reasons[name]


class Registry(MultiModelRegistry):
    """Holds a server's models in the place of MLServer's own registry.

    Changes of one name happen one after the other, in the order in which they were asked for; those
    of different names at once. A change that has been asked for is made though its caller leaves.

    Attributes:
        on_settled: Called when changes have been made and no other one is under way.
    """

    def __init__(
        self,
        on_model_load: Sequence[ModelRegistryHook] = (),
        on_model_reload: Sequence[ModelReloadHook] = (),
        on_model_unload: Sequence[ModelRegistryHook] = (),
        model_initialiser: ModelInitialiser = model_initialiser,
        *,
        grace_seconds: float = DEFAULT_GRACE_SECONDS,
    ) -> None:
        """Begins without models.

        Args:
            on_model_load: Called before a model is loaded that has no other instance.
            on_model_reload: Called before an instance is loaded that takes another's place.
            on_model_unload: Called before a model is unloaded for good.
            model_initialiser: Makes an instance, not yet loaded, of a model's settings.
            grace_seconds: How long the requests in flight on an instance may take before it is
                unloaded all the same.
        """
        self._hooks = Hooks(on_model_load, on_model_reload, on_model_unload)
        self._model_initialiser = model_initialiser
        self._grace_seconds = grace_seconds
        # Only names that hold a model, or that are being changed.
        self._models: dict[str, ModelVersions] = {}  # type: ignore[assignment]
        self._failures = _Failures()
        self._changes: set[asyncio.Task[Any]] = set()
        self.on_settled: Callable[[], None] | None = None

    def find(self, name: str, version: str | None = None) -> Serving:
        """The instance to answer a request with: of the version, or of the newest that is ready.

        A plain name stands for the highest generation that is ready, where nothing has that name
        itself. Enter it at once, see `Serving`.

        Raises:
            UnknownModel: no such model or version is loaded.
            StageUnavailable: it is loading, is being unloaded, or is not ready.
        """
        versions = self._named(name)
        serving = versions.usable(version or None) if versions is not None else None
        if serving is None:
            raise self._why_not(name, version or None)
        return serving

    def _named(self, name: str) -> ModelVersions | None:
        versions = self._models.get(name)
        if versions is not None:
            return versions
        generations = [self._models[each] for each in newest_first(name, self._models)]
        # One that loads or goes has no turn while another one is ready.
        ready = (each for each in generations if each.usable(None) is not None)
        return next(ready, generations[0] if generations else None)

    def _why_not(self, name: str, version: str | None) -> InfergraphError:
        what = f"model '{name[:LONGEST_NAME]}'"
        versions = self._named(name)
        known = {} if versions is None else {each: versions.state(each) for each in versions.known}
        if version is not None:
            if known and version not in known:
                names = ", ".join(f"'{each}'" for each in known if each)
                return UnknownModel(
                    f"{what} has no version '{version[:LONGEST_NAME]}' that is loaded; accepted: "
                    + (names or "none, as it has no versions"),
                    cause=NOT_LOADED,
                )
            what += f" version '{version[:LONGEST_NAME]}'"
        states = {state for each, state in known.items() if version in (None, each)}
        if State.LOADING in states:
            return StageUnavailable(f"{what} is loading; try again in a moment")
        if State.UNLOADING in states:
            return StageUnavailable(f"{what} is being unloaded; try again in a moment")
        if states:
            return StageUnavailable(f"{what} is loaded, but not ready")
        return UnknownModel(f"{what} is not loaded", cause=NOT_LOADED)

    async def load(self, model_settings: ModelSettings) -> MLModel:
        """Loads a model, or the version of it that the settings name.

        A loaded one whose files are unchanged is left as it is. Else the new instance is loaded
        first, and then takes the place of the old one, which is unloaded when its requests have
        ended. Returns once that is done.

        Raises:
            Exception: what kept it from loading. An instance that was loaded before goes on.
        """
        models = await self._to_the_end(self._load(model_settings.name, [model_settings], False))
        return models[0]

    async def load_versions(self, name: str, settings: Sequence[ModelSettings]) -> None:
        """Loads all these versions of a model, and unloads its other ones.

        Raises:
            Exception: what kept the first of them from loading. The others are loaded by then, and
                nothing is unloaded.
        """
        await self._to_the_end(self._load(name, settings, True))

    async def _load(
        self, name: str, settings: Sequence[ModelSettings], exactly: bool
    ) -> list[MLModel]:
        wanted = [each.version or None for each in settings]
        models = []
        errors = []
        async with self._changing(name, wanted) as versions:
            for each in settings:
                try:
                    models.append(await versions.load(each))
                except Exception as error:
                    self._note_failure(name, each.version or None, error)
                    errors.append(error)
                else:
                    self._failures.forget(name, each.version or None)
            if errors:
                raise errors[0]
            if exactly:
                for version in [each for each in self._failures.of(name) if each not in wanted]:
                    self._failures.forget(name, version)
                await versions.unload([each for each in versions.loaded if each not in wanted])
        return models

    async def unload(self, name: str) -> None:
        """Unloads all versions of a model, and forgets those that could not be loaded.

        Raises:
            ModelNotFound: there is none.
            Exception: what the first of the models' `unload` raised. All of them are gone then.
        """
        await self._to_the_end(self._unload(name))

    async def _unload(self, name: str) -> None:
        async with self._changing(name) as versions:
            failed = list(self._failures.of(name))
            for version in failed:
                self._failures.forget(name, version)
            if not versions.loaded and not failed:
                raise ModelNotFound(name)
            await versions.unload(versions.loaded)

    async def unload_version(self, name: str, version: str | None = None) -> None:
        """Unloads one version of a model, by default the one that requests without version get.

        Raises:
            ModelNotFound: it is not loaded, nor has it failed to load.
            Exception: what the model's `unload` raised. It is gone then.
        """
        await self._to_the_end(self._unload_version(name, version or None))

    async def _unload_version(self, name: str, version: str | None) -> None:
        async with self._changing(name) as versions:
            model = versions.model(version)
            if version is None and model is not None:
                version = model.version or None
            failed = version in self._failures.of(name)
            self._failures.forget(name, version)
            if model is not None:
                await versions.unload([version])
            elif not failed:
                raise ModelNotFound(name, version)

    async def get_model(self, name: str, version: str | None = None) -> MLModel:
        """A model, though it may not be ready: of the version, or of the newest that is ready.

        Raises:
            ModelNotFound: it is neither loaded nor loading.
        """
        versions = self._named(name)
        model = versions.model(version or None) if versions is not None else None
        if model is None:
            raise ModelNotFound(name, version)
        return model

    async def get_models(self, name: str | None = None) -> list[MLModel]:
        """All models that are loaded or loading, or those of one name, the newest first.

        Raises:
            ModelNotFound: there is none of that name.
        """
        if name is None:
            return [model for versions in self._models.values() for model in versions.models()]
        versions = self._named(name)
        models = versions.models() if versions is not None else []
        if not models:
            raise ModelNotFound(name)
        return models

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can be asked for, the oldest first.

        Raises:
            ModelNotFound: no model of that name is loaded or loading.
        """
        found = self._named(name)
        states = self._states_of(found.name) if found is not None else []
        if not states:
            raise ModelNotFound(name)
        return [each.version for each in states if each.version and each.state is State.READY]

    def state(self, name: str, version: str | None = None) -> ModelState:
        """What one version is at; without a version, the model that has none."""
        versions = self._models.get(name)
        state = versions.state(version or None) if versions is not None else None
        reason = self._failures.of(name).get(version or None, "")
        if state is State.UNAVAILABLE and not reason:
            reason = "it is loaded, but not ready"
        return ModelState(name, version or None, state or State.UNAVAILABLE, reason)

    def states(self) -> list[ModelState]:
        """What all versions are at that are loaded, loading, unloading, or could not be loaded."""
        names = dict.fromkeys([*self._models, *self._failures.names()])
        return [state for name in names for state in self._states_of(name)]

    def _states_of(self, name: str) -> list[ModelState]:
        versions = self._models[name].known if name in self._models else []
        failed = [each for each in self._failures.of(name) if each not in versions]
        return [self.state(name, version) for version in [*versions, *failed]]

    def ready(self) -> bool:
        """Whether everything is ready that was to be loaded and not unloaded since.

        False without any model. A load that failed counts until it succeeds or its name is
        unloaded, unless an instance of that version was loaded before and goes on.
        """
        states = [each.state for each in self.states() if each.state is not State.UNLOADING]
        return bool(states) and all(state is State.READY for state in states)

    @contextlib.asynccontextmanager
    async def _changing(
        self, name: str, loading: Sequence[str | None] = ()
    ) -> AsyncIterator[ModelVersions]:
        """Waits for the name's lock; a name is forgotten when it holds nothing afterwards."""
        versions = self._models.get(name)
        if versions is None:
            versions = self._models[name] = ModelVersions(
                name, self._hooks, self._model_initialiser, self._grace_seconds
            )
        versions.users += 1
        versions.loading.update(loading)
        try:
            async with versions.lock:
                yield versions
        finally:
            versions.users -= 1
            versions.loading -= Counter(loading)  # which keeps no zeros
            if not versions.users and not versions.loaded:
                del self._models[name]

    async def _to_the_end(self, change: Coroutine[Any, Any, Value]) -> Value:
        """Runs a change in a task of its own: stopped halfway, it would leave half of a model."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)
        return await asyncio.shield(task)

    def _changed(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        if not self._changes and self.on_settled is not None:
            self.on_settled()

    def _note_failure(self, name: str, version: str | None, error: Exception) -> None:
        expected = isinstance(error, InfergraphError)
        text = str(error) if expected else f"{type(error).__name__}: {error}"
        of_version = f" version '{version}'" if version else ""
        logger.error(
            "model '%s'%s could not be loaded: %s",
            name,
            of_version,
            text,
            exc_info=None if expected else error,
        )
        self._failures.note(name, version, text[:_LONGEST_REASON])
