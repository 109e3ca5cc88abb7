"""`ModelVersions`: the versions of one model, how they come, are replaced and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlserver import MLModel, ModelSettings
from mlserver.context import model_context
from mlserver.registry import ModelInitialiser, ModelRegistryHook, ModelReloadHook
from mlserver.types import State

from .. import registry as in_process
from ..errors import ConfigurationError, StageUnavailable
from ..importing import import_runtime
from .fingerprint import fingerprint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hooks:
    """What is called, in order, when models come and go; each gives the model to go on with.

    Attributes:
        on_load: Before a model is loaded that has no other instance.
        on_reload: Before an instance is loaded that takes another's place; called with both.
        on_unload: Before a model is unloaded for good.
    """

    on_load: Sequence[ModelRegistryHook] = ()
    on_reload: Sequence[ModelReloadHook] = ()
    on_unload: Sequence[ModelRegistryHook] = ()


class Serving:
    """One instance of a model, and how many requests it is answering.

    As a context manager it counts a request, and gives the model::

        with registry.find("asr") as model:
            answer = await model.predict(request)

    An instance is unloaded only when no request is inside, or the grace period is over. Nothing
    may be awaited between finding an instance and entering it: it could be gone by then.

    Attributes:
        model: The instance; hooks may have put a proxy in its place.
        fingerprint: That of its files as it was loaded; None when they cannot be compared.
        state: LOADING, READY once it is loaded, or UNLOADING.
        in_flight: Requests that it is answering.
        in_process: Whether pipelines of this process may call it without a hop.
    """

    __slots__ = ("_closed", "_idle", "fingerprint", "in_flight", "in_process", "model", "state")

    def __init__(self, model: MLModel, fingerprint: str | None) -> None:
        self.model = model
        self.fingerprint = fingerprint
        self.state = State.LOADING
        self.in_flight = 0
        self.in_process = False
        self._closed = False
        self._idle: asyncio.Event | None = None

    @property
    def ready(self) -> bool:
        """Whether it takes requests; a loaded model may say itself that it does not."""
        return self.state is State.READY and bool(self.model.ready)

    def __enter__(self) -> MLModel:
        if self._closed:
            raise StageUnavailable(
                f"model '{self.model.name}' is being unloaded; try again in a moment"
            )
        self.in_flight += 1
        return self.model

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1
        if not self.in_flight and self._idle is not None:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Waits until no request is inside, `seconds` at most, and then lets no further one in."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        self._idle = asyncio.Event()
        while self.in_flight and (left := end - loop.time()) > 0:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), left)
        self._closed = True
        if self.in_flight:
            logger.warning(
                "%s is unloaded with %d requests in flight, after %g s",
                _named(self.model),
                self.in_flight,
                seconds,
            )


class ModelVersions:
    """The loaded versions of one name; a model without a version has the version None.

    The default is the newest version that is ready. A model without a version is newer than all
    that have one; others are ordered as numbers where all of them are, else as text.

    `load` and `unload` need `lock`; everything else may be called at any time.

    Attributes:
        lock: Held by whoever changes what is loaded.
        users: Those who hold the lock or wait for it.
        loading: Version -> loads of it that run or wait.
    """

    def __init__(
        self, name: str, hooks: Hooks, initialise: ModelInitialiser, grace_seconds: float
    ) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self.users = 0
        self.loading: Counter[str | None] = Counter()
        self._hooks = hooks
        self._initialise = initialise
        self._grace_seconds = grace_seconds
        self._servings: dict[str | None, Serving] = {}
        self._newest_first: list[Serving] = []

    def usable(self, version: str | None) -> Serving | None:
        """The instance that takes a request to this version, or to the default; None if none."""
        if version is not None:
            serving = self._servings.get(version)
            return serving if serving is not None and serving.ready else None
        for serving in self._newest_first:
            if serving.ready:
                return serving
        return None

    def state(self, version: str | None) -> State | None:
        """What a version is at; None when nothing is known of it. A reloading one is READY."""
        serving = self._servings.get(version)
        if serving is not None and serving.ready:
            return State.READY
        if self.loading[version]:
            return State.LOADING
        if serving is None:
            return None
        return State.UNAVAILABLE if serving.state is State.READY else serving.state

    @property
    def known(self) -> list[str | None]:
        """The versions that are loaded, loading or unloading, the oldest first."""
        loading = [version for version in self.loading if version not in self._servings]
        return _oldest_first([*self._servings, *loading])

    @property
    def loaded(self) -> list[str | None]:
        """The versions that hold a model, loading and unloading ones too, the oldest first."""
        return _oldest_first(self._servings)

    def models(self) -> list[MLModel]:
        """The models that are loaded or loading, the newest first."""
        return [each.model for each in self._newest_first if each.state is not State.UNLOADING]

    def model(self, version: str | None) -> MLModel | None:
        """A version's model, or the default one, though it may not be ready; None if none."""
        serving = self.usable(version)
        if serving is not None:
            return serving.model
        models = self.models()
        return next((each for each in models if version in (None, each.version)), None)

    async def load(self, settings: ModelSettings) -> MLModel:
        """Loads a version, or replaces its loaded instance unless its files are unchanged.

        An instance is replaced once the new one is loaded: it serves until then, and is unloaded
        when the requests in flight on it have ended. It stays when the new one does not load.

        Raises:
            Exception: whatever the model's class or a hook raised.
            ConfigurationError: the new one's `load` gave False; the old one stays.
        """
        version = settings.version or None
        files = await asyncio.to_thread(fingerprint, settings)
        current = self._servings.get(version)
        if current is not None and current.ready and files and files == current.fingerprint:
            logger.info("%s is loaded already, and unchanged", _named(current.model))
            return current.model
        await import_runtime(settings.implementation_)
        model = self._made(settings)
        serving = Serving(model, files)
        with model_context(settings):
            if current is None:
                await self._load_first(version, serving)
            else:
                await self._replace(version, current, serving)
        return serving.model

    def _made(self, settings: ModelSettings) -> MLModel:
        try:
            return self._initialise(settings)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"model '{settings.name}': its runtime '{settings.implementation_}' needs the "
                f"package '{error.name}', which is not installed in this environment; what models "
                "need is installed with: pip install 'infergraph[models]'"
            ) from None

    async def _load_first(self, version: str | None, serving: Serving) -> None:
        # Known before it is loaded, so that MLServer's own endpoints say that it is not ready.
        self._put(version, serving)
        try:
            for hook in self._hooks.on_load:
                serving.model = await hook(serving.model)
            serving.model.ready = await serving.model.load()
        except BaseException:
            self._drop(version)
            await self._call_unload_hooks(serving.model)
            await self._unload_quietly(serving.model)
            raise
        self._begin(version, serving)
        logger.info("%s is loaded", _named(serving.model))

    async def _replace(self, version: str | None, old: Serving, new: Serving) -> None:
        told: list[ModelReloadHook] = []
        loading = False
        try:
            for hook in self._hooks.on_reload:
                new.model = await hook(old.model, new.model)
                told.append(hook)
            loading = True
            new.model.ready = await new.model.load()
            if not new.model.ready:
                raise ConfigurationError(
                    f"{_named(new.model)}: its load() gave False, so it is not ready; "
                    "the instance that was loaded before stays"
                )
        except BaseException:
            for hook in reversed(told):
                with _logged(f"{_named(old.model)}: a hook of its return"):
                    await hook(new.model, old.model)
            if loading:
                await self._unload_quietly(new.model)
            self._publish()
            raise
        self._begin(version, new)
        old.state = State.UNLOADING
        logger.info("%s is loaded anew; the instance before it is drained", _named(new.model))
        await old.drain(self._grace_seconds)
        await self._unload_quietly(old.model)

    def _begin(self, version: str | None, serving: Serving) -> None:
        serving.state = State.READY
        registered: object = in_process.find(self.name)
        serving.in_process = registered is serving.model
        self._put(version, serving)
        self._publish()

    async def unload(self, versions: Iterable[str | None]) -> None:
        """Takes no new requests for these versions, lets those in flight end, and unloads them.

        Raises:
            Exception: what the first of the models' `unload` raised. All of them are gone then.
        """
        leaving = [(version, self._servings[version]) for version in versions]
        for _, serving in leaving:
            serving.state = State.UNLOADING
        self._publish()
        results = await asyncio.gather(
            *(self._unload_version(*each) for each in leaving), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures[1:]:
            logger.error("model '%s' could not be unloaded", self.name, exc_info=failure)
        if failures:
            raise failures[0]

    async def _unload_version(self, version: str | None, serving: Serving) -> None:
        model = serving.model
        try:
            await serving.drain(self._grace_seconds)
            with model_context(model.settings):
                await self._call_unload_hooks(model)
                model.ready = not await model.unload()
        finally:
            model.ready = False
            self._drop(version)
        logger.info("%s is unloaded", _named(model))

    async def _call_unload_hooks(self, model: MLModel) -> None:
        for hook in self._hooks.on_unload:
            with _logged(f"{_named(model)}: a hook of its unloading"):
                await hook(model)

    async def _unload_quietly(self, model: MLModel) -> None:
        with _logged(f"{_named(model)}: unloading it"):
            await model.unload()
        model.ready = False

    def _put(self, version: str | None, serving: Serving) -> None:
        self._servings[version] = serving
        self._sort()

    def _drop(self, version: str | None) -> None:
        del self._servings[version]
        self._sort()

    def _sort(self) -> None:
        order = reversed(_oldest_first(self._servings))
        self._newest_first = [self._servings[version] for version in order]

    def _publish(self) -> None:
        """Makes calls within this process go to the default version.

        Models that take such calls register themselves as the last step of their loading, so the
        name is left with the one loaded last, which may be an older version.
        """
        default = self.usable(None)
        if default is not None and default.in_process:
            in_process.register(default.model)  # type: ignore[arg-type]


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    """Logs an error instead of raising it, where there is more to do or a first error to raise."""
    try:
        yield
    except Exception:
        logger.exception("%s failed", what)


def _named(model: MLModel) -> str:
    version = f" version '{model.version}'" if model.version else ""
    return f"model '{model.name}'{version}"


def _oldest_first(versions: Iterable[str | None]) -> list[str | None]:
    versions = list(versions)
    numbers = all(re.fullmatch(r"[0-9]+", version) for version in versions if version)

    def age(version: str | None) -> tuple[bool, int, str]:
        if version is None:
            return True, 0, ""
        # Digits that are longer are a larger number; int() refuses very long ones.
        digits = version.lstrip("0")
        return (False, len(digits), digits) if numbers else (False, 0, version)

    return sorted(versions, key=age)
