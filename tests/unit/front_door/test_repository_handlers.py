from __future__ import annotations

import asyncio
import builtins
import json
import shutil
import threading
from pathlib import Path

import pytest
from mlserver import ModelSettings
from mlserver.repository import ModelRepository, SchemalessModelRepository
from mlserver.types import RepositoryIndexRequest, State

from infergraph.errors import ConfigurationError, UnknownModel
from infergraph.front_door.repository_handlers import RepositoryHandlers
from tests.unit.front_door.world import Plan, World, few_turns, settings


def add(root: Path, folder: str, name: str, version: str | None = None, revision: int = 0) -> Path:
    path = root / folder
    path.mkdir(exist_ok=True)
    parameters = {"version": version, "extra": {"revision": revision}}
    text = {"name": name, "implementation": "mlserver.MLModel", "parameters": parameters}
    (path / "model-settings.json").write_text(json.dumps(text))
    return path


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def handlers(world: World, tmp_path: Path) -> RepositoryHandlers:
    return RepositoryHandlers(SchemalessModelRepository(str(tmp_path)), world.registry)


async def states(
    handlers: RepositoryHandlers, ready: bool | None = None
) -> list[tuple[str, str | None, str, str]]:
    index = await handlers.index(RepositoryIndexRequest(ready=ready))
    return [(each.name, each.version, State(each.state).value, each.reason) for each in index]


async def test_the_index_tells_every_state(tmp_path: Path) -> None:
    gate = asyncio.Event()
    world = World([Plan(), Plan(), Plan(load_error=OSError("disk")), Plan(gate)])
    handlers = RepositoryHandlers(SchemalessModelRepository(str(tmp_path)), world.registry)
    add(tmp_path, "ready-1", "ready", "1")
    add(tmp_path, "ready-2", "ready", "2")
    for name in ("leaving", "failed", "loading", "never"):
        add(tmp_path, name, name)
    await world.registry.load(settings("ready", "1"))
    await handlers.load("leaving")
    with pytest.raises(OSError, match="disk"):
        await handlers.load("failed")
    with world.registry.find("leaving"):
        unload = asyncio.create_task(handlers.unload("leaving"))
        load = asyncio.create_task(handlers.load("loading"))
        await world.started(4)

        assert await states(handlers) == [
            ("failed", None, "UNAVAILABLE", "OSError: disk"),
            ("leaving", None, "UNLOADING", ""),
            ("loading", None, "LOADING", ""),
            ("never", None, "UNAVAILABLE", ""),
            ("ready", "1", "READY", ""),
            ("ready", "2", "UNAVAILABLE", ""),
        ]
        assert await states(handlers, ready=True) == [("ready", "1", "READY", "")]
    gate.set()
    assert all(await asyncio.gather(unload, load))


async def test_a_loaded_model_that_left_the_repository_stays_in_the_index(
    handlers: RepositoryHandlers, tmp_path: Path
) -> None:
    folder = add(tmp_path, "gone", "gone")
    add(tmp_path, "there", "there")
    await handlers.load("gone")
    shutil.rmtree(folder)

    assert await states(handlers) == [
        ("gone", None, "READY", ""),
        ("there", None, "UNAVAILABLE", ""),
    ]
    await handlers.unload("gone")
    assert await states(handlers) == [("there", None, "UNAVAILABLE", "")]


async def test_a_load_makes_the_versions_those_of_the_repository(
    handlers: RepositoryHandlers, world: World, tmp_path: Path
) -> None:
    first = add(tmp_path, "1", "m", "1")
    add(tmp_path, "2", "m", "2")
    assert await handlers.load("m")
    assert world.registry.versions("m") == ["1", "2"]

    shutil.rmtree(first)
    add(tmp_path, "3", "m", "3")
    assert await handlers.load("m")

    assert world.registry.versions("m") == ["2", "3"]
    # Version 2 is unchanged, so it was made once.
    assert sorted(model.version or "" for model in world.made) == ["1", "2", "3"]


async def test_only_a_changed_model_is_loaded_again(
    handlers: RepositoryHandlers, world: World, tmp_path: Path
) -> None:
    folder = add(tmp_path, "m", "m")
    await handlers.load("m")
    await handlers.load("m")
    assert len(world.made) == 1

    (folder / "weights").write_text("new")
    await handlers.load("m")

    assert [model.unloads for model in world.made] == [1, 0]


async def test_an_unknown_model_is_refused_with_the_place_where_it_was_looked_for(
    handlers: RepositoryHandlers, tmp_path: Path
) -> None:
    with pytest.raises(UnknownModel) as raised:
        await handlers.load("x")
    assert str(raised.value) == f"model 'x' is not in the model repository '{tmp_path}'"

    with pytest.raises(UnknownModel, match="model 'x' is not loaded"):
        await handlers.unload("x")


async def test_a_model_that_the_repository_has_twice_is_refused(
    handlers: RepositoryHandlers, world: World, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        add(tmp_path, folder, "m", "1")

    with pytest.raises(ConfigurationError) as raised:
        await handlers.load("m")

    assert "model 'm' version '1' is 2 times in the model repository" in str(raised.value)
    assert all(str(tmp_path / folder) in str(raised.value) for folder in ("a", "b"))
    assert world.made == []


async def test_a_load_of_several_versions_is_not_mixed_with_an_unload(tmp_path: Path) -> None:
    gate = asyncio.Event()
    world = World([Plan(gate)])
    handlers = RepositoryHandlers(SchemalessModelRepository(str(tmp_path)), world.registry)
    for version in ("1", "2"):
        add(tmp_path, version, "m", version)
    load = asyncio.create_task(handlers.load("m"))
    await world.started(1)
    unload = asyncio.create_task(handlers.unload("m"))
    await few_turns()
    gate.set()

    assert all(await asyncio.gather(load, unload))
    assert [model.unloads for model in world.made] == [1, 1]
    assert world.registry.states() == []


class Remembering(SchemalessModelRepository):
    """A repository of files that notes the threads which read it."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.threads: list[threading.Thread] = []

    async def list(self) -> list[ModelSettings]:
        self.threads.append(threading.current_thread())
        return await super().list()


class Remote(ModelRepository):
    """A repository that needs the server's event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def list(self) -> list[ModelSettings]:
        assert asyncio.get_running_loop() is self.loop
        return [settings("far")]

    async def find(self, name: str) -> builtins.list[ModelSettings]:
        return [each for each in await self.list() if each.name == name]


async def test_files_are_read_in_a_thread(world: World, tmp_path: Path) -> None:
    add(tmp_path, "m", "m")
    repository = Remembering(str(tmp_path))
    handlers = RepositoryHandlers(repository, world.registry)

    await handlers.load("m")
    await states(handlers)

    assert len(repository.threads) == 2
    assert threading.current_thread() not in repository.threads


async def test_another_kind_of_repository_is_read_on_the_event_loop(world: World) -> None:
    handlers = RepositoryHandlers(Remote(), world.registry)

    await handlers.load("far")

    assert world.registry.state("far").state is State.READY
    assert await states(handlers) == [("far", None, "READY", "")]
    with pytest.raises(UnknownModel, match=r"model 'x' is not in the model repository$"):
        await handlers.load("x")
