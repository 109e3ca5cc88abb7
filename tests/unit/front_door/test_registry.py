from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable

import pytest
from mlserver import MLModel, ModelSettings
from mlserver.errors import ModelNotFound
from mlserver.types import State

from infergraph import registry as in_process
from infergraph.errors import ConfigurationError, InfergraphError, StageUnavailable, UnknownModel
from infergraph.front_door import registry as registry_module
from infergraph.front_door import versions
from infergraph.front_door.registry import Registry
from tests.unit.front_door.world import Plan, Probe, World, few_turns, settings


def used(registry: Registry, name: str = "m", version: str | None = None) -> MLModel:
    """The model that a request gets now."""
    with registry.find(name, version) as model:
        return model


async def test_a_loaded_model_is_found_and_ready() -> None:
    world = World()
    model = await world.registry.load(settings())

    assert model is world.made[0]
    assert used(world.registry) is model
    assert await world.registry.get_model("m") is model
    assert await world.registry.get_models() == [model]
    assert world.registry.state("m") == ("m", None, State.READY, "")
    assert world.registry.ready()


class TestFinding:
    async def test_a_plain_name_stands_for_the_highest_generation(self) -> None:
        registry = World().registry
        for name in ("m_2", "m_10", "n-2_11"):
            await registry.load(settings(name, "1"))

        assert used(registry, "m").name == "m_10"
        assert used(registry, "m", "1").name == "m_10"
        assert (await registry.get_model("m")).name == "m_10"
        assert [each.name for each in await registry.get_models("m")] == ["m_10"]
        assert registry.versions("m") == ["1"]
        with pytest.raises(UnknownModel, match="model 'n' is not loaded"):
            registry.find("n")
        with pytest.raises(UnknownModel, match="model 'm_3' is not loaded"):
            registry.find("m_3")

        (await registry.get_model("m_10")).ready = False
        assert used(registry, "m").name == "m_2"
        await registry.unload("m_10")
        assert used(registry, "m").name == "m_2"
        await registry.load(settings("m"))
        assert used(registry, "m").name == "m"
        with pytest.raises(ModelNotFound):
            await registry.unload("n")

    async def test_a_package_that_is_missing_is_named(self) -> None:
        def make(settings: ModelSettings) -> MLModel:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

        registry = Registry(model_initialiser=make)
        with pytest.raises(ConfigurationError) as caught:
            await registry.load(settings())
        assert str(caught.value) == (
            "model 'm': its runtime 'mlserver.model.MLModel' needs the package 'torch', which is "
            "not installed in this environment; what models need is installed with: "
            "pip install 'infergraph[models]'"
        )

    async def test_an_unknown_name_or_version_is_unknown(self) -> None:
        registry = World().registry
        await registry.load(settings("m", "1"))
        await registry.load(settings("plain"))

        cases = {
            ("x", None): "model 'x' is not loaded",
            ("x", "1"): "model 'x' version '1' is not loaded",
            ("m", "2"): "model 'm' has no version '2' that is loaded; accepted: '1'",
            ("plain", "1"): (
                "model 'plain' has no version '1' that is loaded; accepted: none, as it has no "
                "versions"
            ),
        }
        for (name, version), text in cases.items():
            with pytest.raises(UnknownModel) as raised:
                registry.find(name, version)
            assert str(raised.value) == text
            with pytest.raises(ModelNotFound):
                await registry.get_model(name, version)

    async def test_a_long_unknown_name_is_not_repeated_in_full(self) -> None:
        with pytest.raises(UnknownModel) as raised:
            World().registry.find("x" * 100_000, "1" * 100_000)

        assert len(str(raised.value)) < 500

    async def test_an_empty_version_is_none(self) -> None:
        registry = World().registry
        model = await registry.load(settings("m", "3"))

        assert used(registry, "m", "") is model
        assert await registry.get_model("m", "") is model

    async def test_a_loading_model_is_unavailable_rather_than_unknown(self) -> None:
        gate = asyncio.Event()
        world = World([Plan(gate)])
        load = asyncio.create_task(world.registry.load(settings("m", "1")))
        model = await world.started(1)

        for version in (None, "1"):
            with pytest.raises(StageUnavailable, match="is loading; try again in a moment"):
                world.registry.find("m", version)
        assert world.registry.state("m", "1").state is State.LOADING
        assert not world.registry.ready()
        # MLServer's own endpoints see a model that is not ready.
        assert await world.registry.get_model("m") is model
        assert not model.ready

        gate.set()
        await load
        assert used(world.registry) is model

    async def test_a_model_is_loading_before_there_is_an_instance_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = threading.Event()
        monkeypatch.setattr(versions, "fingerprint", lambda _: str(looked.wait()))
        world = World()
        load = asyncio.create_task(world.registry.load(settings()))
        await few_turns()

        assert world.made == []
        assert world.registry.states() == [("m", None, State.LOADING, "")]
        with pytest.raises(StageUnavailable, match="loading"):
            world.registry.find("m")
        with pytest.raises(ModelNotFound):
            await world.registry.get_model("m")
        looked.set()
        await load

    async def test_a_model_that_says_it_is_not_ready_is_unavailable(self) -> None:
        registry = World().registry
        model = await registry.load(settings())
        model.ready = False

        with pytest.raises(StageUnavailable, match="'m' is loaded, but not ready"):
            registry.find("m")
        assert registry.state("m") == (
            "m",
            None,
            State.UNAVAILABLE,
            "it is loaded, but not ready",
        )
        assert not registry.ready()
        assert await registry.get_model("m") is model

    async def test_a_first_load_that_gives_false_is_not_ready(self) -> None:
        world = World([Plan(loads=False)])
        await world.registry.load(settings())

        with pytest.raises(StageUnavailable, match="not ready"):
            world.registry.find("m")
        assert not world.registry.ready()


class TestVersions:
    @pytest.mark.parametrize(
        ("versions", "newest"),
        [
            (["4", "10", "9"], "10"),
            (["007", "12", "1"], "12"),
            (["1" * 5000, "2" * 4999], "1" * 5000),
            (["v1", "v10", "v3"], "v3"),
            (["8", "v3", "7"], "v3"),
            (["2", None, "3"], None),
        ],
    )
    async def test_the_newest_ready_one_is_the_default(
        self, versions: list[str | None], newest: str | None
    ) -> None:
        registry = World().registry
        for version in versions:
            await registry.load(settings("m", version))

        assert used(registry).version == newest
        assert (await registry.get_models("m"))[0].version == newest

    async def test_each_version_is_found_by_its_name(self) -> None:
        registry = World().registry
        for version in ("1", "2", None):
            await registry.load(settings("m", version))

        assert [used(registry, "m", version).version for version in ("1", "2")] == ["1", "2"]
        assert registry.versions("m") == ["1", "2"]
        with pytest.raises(ModelNotFound):
            registry.versions("x")

    async def test_a_loading_version_is_not_the_default_while_another_is_ready(self) -> None:
        gate = asyncio.Event()
        world = World([Plan(), Plan(gate)])
        first = await world.registry.load(settings("m", "1"))
        load = asyncio.create_task(world.registry.load(settings("m", "2")))
        second = await world.started(2)

        assert used(world.registry) is first
        assert await world.registry.get_model("m") is first
        assert world.registry.versions("m") == ["1"]
        assert not world.registry.ready()
        with pytest.raises(StageUnavailable, match="version '2' is loading"):
            world.registry.find("m", "2")

        gate.set()
        await load
        assert used(world.registry) is second
        assert world.registry.versions("m") == ["1", "2"]

    async def test_a_version_that_stops_being_ready_leaves_requests_to_the_one_before_it(
        self,
    ) -> None:
        registry = World().registry
        first = await registry.load(settings("m", "1"))
        second = await registry.load(settings("m", "2"))

        second.ready = False
        assert used(registry) is first
        second.ready = True
        assert used(registry) is second

    async def test_one_version_is_unloaded_alone(self) -> None:
        world = World()
        for version in ("1", "2"):
            await world.registry.load(settings("m", version))
        first, second = world.made

        await world.registry.unload_version("m", "2")

        assert (first.unloads, second.unloads) == (0, 1)
        assert used(world.registry) is first
        with pytest.raises(ModelNotFound):
            await world.registry.unload_version("m", "2")
        await world.registry.unload_version("m")
        assert first.unloads == 1
        assert world.registry.states() == []

    async def test_versions_that_left_the_repository_are_unloaded_last(self) -> None:
        world = World()
        await world.registry.load_versions("m", [settings("m", "1"), settings("m", "2")])

        await world.registry.load_versions("m", [settings("m", "2"), settings("m", "3")])

        assert world.registry.versions("m") == ["2", "3"]
        assert world.log[-3:] == ["load m-3-0", "loaded m-3-0", "unload m-1-0"]

    async def test_a_version_that_does_not_load_keeps_the_one_that_it_follows(self) -> None:
        world = World([Plan(), Plan(load_error=ConfigurationError("no checkpoint")), Plan()])
        await world.registry.load(settings("m", "1"))

        with pytest.raises(ConfigurationError, match="no checkpoint"):
            await world.registry.load_versions("m", [settings("m", "2"), settings("m", "3")])

        assert world.registry.versions("m") == ["1", "3"]
        assert world.registry.state("m", "2") == ("m", "2", State.UNAVAILABLE, "no checkpoint")
        with pytest.raises(UnknownModel, match="no version '2'"):
            world.registry.find("m", "2")


class TestReplacing:
    async def test_the_old_instance_serves_until_the_new_one_is_loaded_and_is_drained(self) -> None:
        gate = asyncio.Event()
        world = World([Plan(), Plan(gate)])
        old = await world.registry.load(settings())
        load = asyncio.create_task(world.registry.load(settings(revision=1)))
        new = await world.started(2)

        assert used(world.registry) is old
        assert world.registry.state("m").state is State.READY
        assert world.registry.ready()
        with world.registry.find("m") as first, world.registry.find("m") as second:
            assert first is second is old
            gate.set()
            await new.loaded.wait()
            assert used(world.registry) is new
            assert not load.done()
            assert world.log[-1] == "loaded m--1"
            assert old.ready
        assert await load is new
        assert world.log[-1] == "unload m--0"
        assert not old.ready

    async def test_a_request_that_found_the_old_instance_may_enter_while_it_is_drained(
        self,
    ) -> None:
        world = World()
        old = await world.registry.load(settings())
        late = world.registry.find("m")
        with world.registry.find("m"):
            load = asyncio.create_task(world.registry.load(settings(revision=1)))
            await (await world.started(2)).loaded.wait()
            with late as model:
                assert model is old
        await load

        with pytest.raises(StageUnavailable, match="being unloaded"), late:
            pytest.fail("it entered a model that is unloaded")

    async def test_the_grace_period_ends_the_wait(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World(grace_seconds=0)
        await world.registry.load(settings())
        old = world.made[0]

        with world.registry.find("m"), caplog.at_level(logging.WARNING, "infergraph"):
            await world.registry.load(settings(revision=1))
            assert old.unloads == 1
        assert caplog.messages == ["model 'm' is unloaded with 1 requests in flight, after 0 s"]

    @pytest.mark.parametrize(
        ("plan", "text"),
        [
            (Plan(load_error=RuntimeError("no memory")), "no memory"),
            (Plan(loads=False), "model 'm': its load\\(\\) gave False"),
        ],
    )
    async def test_a_new_instance_that_does_not_load_leaves_the_old_one(
        self, plan: Plan, text: str
    ) -> None:
        world = World([Plan(), plan])
        await world.registry.load(settings())
        old, registry = world.made[0], world.registry

        with pytest.raises((RuntimeError, ConfigurationError), match=text):
            await registry.load(settings(revision=1))

        assert used(registry) is old
        assert old.unloads == 0
        assert world.made[1].unloads == 1
        assert registry.ready()
        assert registry.state("m").state is State.READY
        assert registry.state("m").reason

        await registry.load(settings(revision=2))
        assert used(registry) is world.made[2]
        assert registry.state("m").reason == ""

    async def test_an_old_instance_that_does_not_unload_does_not_fail_the_load(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        world = World([Plan(unload_error=RuntimeError("stuck"))])
        await world.registry.load(settings())

        new = await world.registry.load(settings(revision=1))

        assert used(world.registry) is new
        assert "model 'm': unloading it failed" in caplog.messages

    async def test_an_unchanged_model_is_not_loaded_again(self) -> None:
        world = World()
        model = await world.registry.load(settings())

        assert await world.registry.load(settings()) is model
        assert len(world.made) == 1

    async def test_two_loads_at_once_of_a_new_model_load_it_once(self) -> None:
        world = World()
        models = await asyncio.gather(*(world.registry.load(settings()) for _ in range(3)))

        assert models == world.made * 3

    async def test_an_unchanged_model_that_is_not_ready_is_loaded_again(self) -> None:
        world = World()
        (await world.registry.load(settings())).ready = False

        await world.registry.load(settings())

        assert used(world.registry) is world.made[1]

    async def test_no_request_of_many_is_lost_in_many_reloads(self) -> None:
        world = World()
        await world.registry.load(settings())
        stop = asyncio.Event()
        answers: list[bool] = []

        async def call() -> None:
            while not stop.is_set():
                with world.registry.find("m") as model:
                    for _ in range(3):
                        await asyncio.sleep(0)
                    assert isinstance(model, Probe)
                    answers.append(model.unloads == 0)

        calls = [asyncio.create_task(call()) for _ in range(8)]
        for revision in range(1, 20):
            await world.registry.load(settings(revision=revision))
        stop.set()
        await asyncio.gather(*calls)

        assert len(world.made) == 20
        assert answers
        assert all(answers)
        assert [model.unloads for model in world.made] == [1] * 19 + [0]


class TestFailedLoads:
    async def test_a_failed_first_load_is_gone_told_and_keeps_the_server_from_being_ready(
        self,
    ) -> None:
        world = World([Plan(), Plan(load_error=OSError("disk"))])
        registry = world.registry
        await registry.load(settings("good"))

        with pytest.raises(OSError, match="disk"):
            await registry.load(settings("bad"))

        assert world.made[1].unloads == 1
        with pytest.raises(UnknownModel, match="model 'bad' is not loaded"):
            registry.find("bad")
        assert registry.state("bad") == ("bad", None, State.UNAVAILABLE, "OSError: disk")
        assert registry.state("bad") in registry.states()
        assert not registry.ready()

    async def test_unloading_it_withdraws_it_once(self) -> None:
        world = World([Plan(), Plan(load_error=OSError("disk"))])
        await world.registry.load(settings("good"))
        with pytest.raises(OSError, match="disk"):
            await world.registry.load(settings("bad", "1"))

        await world.registry.unload("bad")

        assert world.registry.ready()
        assert world.registry.state("bad", "1").reason == ""
        with pytest.raises(ModelNotFound):
            await world.registry.unload("bad")

    async def test_loading_it_again_clears_the_failure(self) -> None:
        world = World([Plan(load_error=OSError("disk"))])
        with pytest.raises(OSError, match="disk"):
            await world.registry.load(settings())

        await world.registry.load(settings())

        assert world.registry.ready()
        assert world.registry.state("m") == ("m", None, State.READY, "")

    async def test_a_class_that_cannot_be_made_is_told_too(self) -> None:
        def refuse(_: object) -> MLModel:
            raise ImportError("no module 'x'")

        registry = Registry(model_initialiser=refuse)
        with pytest.raises(ImportError):
            await registry.load(settings())

        assert registry.state("m").reason == "ImportError: no module 'x'"

    async def test_the_oldest_are_forgotten_beyond_a_number(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry_module, "MOST_FAILURES", 2)
        world = World([Plan(load_error=OSError("disk " * 1000)) for _ in range(5)])
        for name, version in (("a", "1"), ("a", "2"), ("b", None), ("c", None)):
            with pytest.raises(OSError, match="disk"):
                await world.registry.load(settings(name, version))

        assert [each.name for each in world.registry.states()] == ["b", "c"]
        assert all(len(each.reason) <= 1000 for each in world.registry.states())


class TestUnloading:
    async def test_it_waits_for_requests_in_flight_and_takes_no_new_ones(self) -> None:
        world = World()
        await world.registry.load(settings())
        with world.registry.find("m"):
            unload = asyncio.create_task(world.registry.unload("m"))
            await few_turns()
            assert not unload.done()
            assert world.registry.state("m").state is State.UNLOADING
            assert not world.registry.ready()
            assert world.made[0].unloads == 0
            with pytest.raises(StageUnavailable, match="being unloaded; try again"):
                world.registry.find("m")
            with pytest.raises(ModelNotFound):
                await world.registry.get_model("m")
        await unload

        assert world.made[0].unloads == 1
        with pytest.raises(UnknownModel):
            world.registry.find("m")
        assert world.registry.states() == []
        assert not world.registry.ready()

    async def test_the_server_stays_ready_with_its_other_models(self) -> None:
        world = World()
        for name in ("leaving", "staying"):
            await world.registry.load(settings(name))
        with world.registry.find("leaving"):
            unload = asyncio.create_task(world.registry.unload("leaving"))
            await few_turns()
            assert world.registry.state("leaving").state is State.UNLOADING
            assert world.registry.ready()
        await unload
        assert world.registry.ready()

    async def test_the_first_of_several_wins(self) -> None:
        world = World()
        await world.registry.load(settings("m", "1"))
        await world.registry.load(settings("m", "2"))

        results = await asyncio.gather(
            *(world.registry.unload("m") for _ in range(4)), return_exceptions=True
        )

        assert results[0] is None
        assert [type(each) for each in results[1:]] == [ModelNotFound] * 3
        assert [model.unloads for model in world.made] == [1, 1]

    async def test_it_waits_for_a_load_that_was_asked_for_before(self) -> None:
        gate = asyncio.Event()
        world = World([Plan(gate)])
        load = asyncio.create_task(world.registry.load(settings()))
        await world.started(1)
        unload = asyncio.create_task(world.registry.unload("m"))
        again = asyncio.create_task(world.registry.load(settings()))
        gate.set()
        await asyncio.gather(load, unload, again)

        assert world.log == [
            "load m--0",
            "loaded m--0",
            "unload m--0",
            "load m--0",
            "loaded m--0",
        ]
        assert used(world.registry) is world.made[1]

    async def test_a_model_that_does_not_unload_is_gone_all_the_same(self) -> None:
        world = World([Plan(unload_error=RuntimeError("stuck")), Plan()])
        for version in ("1", "2"):
            await world.registry.load(settings("m", version))

        with pytest.raises(RuntimeError, match="stuck"):
            await world.registry.unload("m")

        assert world.made[1].unloads == 1
        assert world.registry.states() == []

    async def test_names_do_not_wait_for_each_other(self) -> None:
        gate = asyncio.Event()
        world = World([Plan(gate)])
        load = asyncio.create_task(world.registry.load(settings("slow")))
        await world.started(1)

        await world.registry.load(settings("quick"))
        await world.registry.unload("quick")

        assert not load.done()
        gate.set()
        await load

    @pytest.mark.parametrize(
        "change", [lambda registry: registry.unload("x"), lambda r: r.unload_version("x", "1")]
    )
    async def test_an_unknown_one_is_not_found(
        self, change: Callable[[Registry], asyncio.Future[None]]
    ) -> None:
        with pytest.raises(ModelNotFound):
            await change(World().registry)


async def test_a_load_goes_on_when_its_caller_leaves() -> None:
    gate = asyncio.Event()
    world = World([Plan(gate)])
    load = asyncio.create_task(world.registry.load(settings()))
    model = await world.started(1)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load

    gate.set()
    await world.registry.load(settings())

    assert world.made == [model]
    assert used(world.registry) is model


class TestHooks:
    async def test_they_are_called_in_order_and_may_give_another_model(self) -> None:
        calls: list[tuple[str, list[MLModel]]] = []
        world = World()
        proxy = Probe(settings(), Plan(), [])

        async def proxying(model: MLModel) -> MLModel:
            calls.append(("pool", [model]))
            return proxy

        async def listening(model: MLModel) -> MLModel:
            calls.append(("routes", [model]))
            return model

        async def reloading(old: MLModel, new: MLModel) -> MLModel:
            calls.append(("reload", [old, new]))
            return new

        registry = Registry([proxying, listening], [reloading], [listening], world.make)

        await registry.load(settings())
        assert used(registry) is proxy
        assert world.log == []
        await registry.load(settings(revision=1))
        await registry.unload("m")

        first, second = world.made
        assert calls == [
            ("pool", [first]),
            ("routes", [proxy]),
            ("reload", [proxy, second]),
            ("routes", [second]),
        ]

    async def test_a_failed_reload_calls_them_with_the_models_exchanged(self) -> None:
        routes: list[str] = []
        world = World([Plan(), Plan(load_error=OSError("disk"))])

        async def reloading(old: MLModel, new: MLModel) -> MLModel:
            assert isinstance(new, Probe)
            routes[:] = [new.label]
            return new

        async def failing(old: MLModel, new: MLModel) -> MLModel:
            raise OSError("no pool")

        registry = Registry((), [reloading], (), world.make)
        await registry.load(settings())
        with pytest.raises(OSError, match="disk"):
            await registry.load(settings(revision=1))
        assert routes == ["m--0"]
        assert world.made[1].unloads == 1

        registry = Registry((), [reloading, failing], (), world.make)
        await registry.load(settings(revision=2))
        with pytest.raises(OSError, match="no pool"):
            await registry.load(settings(revision=3))
        assert routes == ["m--2"]
        assert world.made[3].unloads == 0

    async def test_one_that_fails_at_unloading_is_logged_and_stops_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def failing(model: MLModel) -> MLModel:
            raise OSError("disk")

        world = World()
        registry = Registry((), (), [failing], world.make)
        await registry.load(settings())
        await registry.unload("m")

        assert world.made[0].unloads == 1
        assert "model 'm': a hook of its unloading failed" in caplog.messages


class Registering(Probe):
    """A probe that steps of pipelines call without a hop."""

    async def load(self) -> bool:
        ready = await super().load()
        in_process.register(self)  # type: ignore[arg-type]
        return ready

    async def unload(self) -> bool:
        in_process.unregister(self)  # type: ignore[arg-type]
        return await super().unload()


class TestInProcess:
    @pytest.fixture(autouse=True)
    def _empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(in_process, "_loaded", {})

    async def test_calls_go_to_the_default_version(self) -> None:
        registry = World(kind=Registering).registry
        second: object = await registry.load(settings("m", "2"))
        first: object = await registry.load(settings("m", "1"))
        assert in_process.find("m") is second

        await registry.unload_version("m", "2")
        assert in_process.find("m") is first

        await registry.unload("m")
        assert in_process.find("m") is None

    async def test_they_go_to_the_new_instance_while_the_old_one_is_drained(self) -> None:
        world = World(kind=Registering)
        old: object = await world.registry.load(settings())
        with world.registry.find("m"):
            assert in_process.find("m") is old
            load = asyncio.create_task(world.registry.load(settings(revision=1)))
            new: object = await world.started(2)
            await world.made[1].loaded.wait()
            assert in_process.find("m") is new
            assert not load.done()
        await load
        assert in_process.find("m") is new

    async def test_a_failed_reload_leaves_them_to_the_old_instance(self) -> None:
        world = World([Plan(), Plan(loads=False)], Registering)
        old: object = await world.registry.load(settings())
        with pytest.raises(ConfigurationError):
            await world.registry.load(settings(revision=1))

        assert in_process.find("m") is old

    async def test_another_class_of_model_is_never_called_so(self) -> None:
        await World().registry.load(settings())

        assert in_process.find("m") is None


async def test_names_and_models_that_are_gone_leave_nothing() -> None:
    world = World()
    registry = world.registry

    async def come_and_go(name: str) -> None:
        await registry.load(settings(name, "1"))
        await registry.load(settings(name, "1", revision=1))
        await registry.unload(name)
        with pytest.raises(InfergraphError):
            registry.find(f"never-{name}", "1")
        with pytest.raises(ModelNotFound):
            await registry.unload(f"never-{name}")

    await asyncio.gather(*(come_and_go(str(number)) for number in range(50)))
    models = [weakref.ref(model) for model in world.made]
    world.made.clear()
    await asyncio.sleep(0)  # the tasks of the last changes end
    gc.collect()

    assert [model for model in models if model() is not None] == []
    assert (registry._models, registry._changes, registry.states()) == ({}, set(), [])
