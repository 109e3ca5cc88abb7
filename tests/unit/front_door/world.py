"""A registry of models whose loading the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlserver import MLModel, ModelSettings
from mlserver.settings import ModelParameters

from infergraph.front_door.registry import Registry


@dataclass
class Plan:
    """How an instance behaves.

    Attributes:
        gate: Its loading waits for it.
        load_error, unload_error: Raised.
        loads: What `load` gives.
    """

    gate: asyncio.Event | None = None
    load_error: Exception | None = None
    unload_error: Exception | None = None
    loads: bool = True


class Probe(MLModel):
    """A model that tells what happens to it."""

    def __init__(self, settings: ModelSettings, plan: Plan, log: list[str]) -> None:
        super().__init__(settings)
        self.plan = plan
        self.label = f"{self.name}-{self.version or ''}-{self.revision}"
        self.log = log
        self.loading = asyncio.Event()
        self.loaded = asyncio.Event()
        self.unloads = 0

    @property
    def revision(self) -> int:
        parameters = self.settings.parameters
        return parameters.extra["revision"] if parameters and parameters.extra else 0

    async def load(self) -> bool:
        self.log.append(f"load {self.label}")
        self.loading.set()
        if self.plan.gate is not None:
            await self.plan.gate.wait()
        if self.plan.load_error is not None:
            raise self.plan.load_error
        self.log.append(f"loaded {self.label}")
        self.loaded.set()
        return self.plan.loads

    async def unload(self) -> bool:
        self.log.append(f"unload {self.label}")
        self.unloads += 1
        if self.plan.unload_error is not None:
            raise self.plan.unload_error
        return True


@dataclass
class World:
    """A registry whose instances are probes, made as `plans` says, then as `Plan()`.

    Attributes:
        made: The instances, in the order in which they were made.
        log: What happened to them.
        arrival: Set when the next instance is made.
    """

    plans: Sequence[Plan] = ()
    kind: type[Probe] = Probe
    grace_seconds: float = 60.0
    made: list[Probe] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.registry = Registry(model_initialiser=self.make, grace_seconds=self.grace_seconds)

    def make(self, settings: ModelSettings) -> MLModel:
        plan = self.plans[len(self.made)] if len(self.made) < len(self.plans) else Plan()
        self.made.append(self.kind(settings, plan, self.log))
        self.arrival.set()
        return self.made[-1]

    async def started(self, count: int) -> Probe:
        """The instance number `count`, from 1, once it is being loaded."""
        while len(self.made) < count:
            self.arrival.clear()
            await self.arrival.wait()
        await self.made[count - 1].loading.wait()
        return self.made[count - 1]


async def few_turns() -> None:
    """Lets the tasks that can go on do so, several times each."""
    for _ in range(10):
        await asyncio.sleep(0)


def settings(name: str = "m", version: str | None = None, revision: int = 0) -> ModelSettings:
    """A model's settings; another revision makes them differ."""
    return ModelSettings(
        name=name,
        implementation=MLModel,
        parameters=ModelParameters(version=version, extra={"revision": revision}),
    )
