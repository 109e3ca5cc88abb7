from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlserver.errors import MLServerError
from prometheus_client import REGISTRY

from infergraph import hub, registry
from infergraph.errors import ConfigurationError, StageFailure
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.settings import RuntimeOptions
from tests.unit.runtime.workbench import Doubler, HeldDoubler, build, load, rest, settle, values


async def test_loading_does_not_block_the_event_loop() -> None:
    released = threading.Event()
    threads: list[str] = []

    class Slow(Doubler):
        def setup(self) -> None:
            threads.append(threading.current_thread().name)
            assert released.wait(timeout=60)

    model = build(Slow, name="slow")
    loading = asyncio.ensure_future(model.load())
    await settle()
    assert not loading.done()
    assert registry.find("slow") is None

    released.set()
    assert await loading is True
    assert registry.find("slow") is model
    assert threads[0].startswith("infergraph-slow")


async def test_batches_run_in_the_thread_that_loaded_the_model() -> None:
    threads: list[int] = []

    class Noting(Doubler):
        def setup(self) -> None:
            threads.append(threading.get_ident())

        def predict_batch(self, items: Sequence[Item], parameters: Any) -> Sequence[Any]:
            threads.append(threading.get_ident())
            return super().predict_batch(items, parameters)

    model = await load(Noting)
    await model.predict(rest([1]))

    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_settings_come_from_extra_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class BeamOptions(RuntimeOptions):
        num_beams: int = 1

    class Beams(Doubler):
        settings_class = BeamOptions

    monkeypatch.setenv("INFERGRAPH_BEAM_MODEL__MAX_BATCH_SIZE", "3")

    model = await load(Beams, name="beam-model", num_beams="4", max_batch_size=8)

    assert isinstance(model.options, BeamOptions)
    assert (model.options.num_beams, model.options.max_batch_size) == (4, 3)


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"devise": "cpu"}, "model 'model': unknown setting 'devise'; did you mean 'device'?"),
        ({"device": "cuda:99"}, "model 'model': setting 'device' = 'cuda:99': no such device here"),
        (
            {"variants": {"embedded": "./embedded"}},
            "model 'model': variant 'embedded': no checkpoint at './embedded'",
        ),
    ],
)
async def test_a_wrong_setting_fails_the_load(
    extra: dict[str, Any], text: str, tmp_path: Path
) -> None:
    model = build(Doubler, folder=tmp_path, **extra)

    with pytest.raises(ConfigurationError) as caught:
        await model.load()

    assert str(caught.value).startswith(text)
    assert registry.find("model") is None


async def test_a_setup_that_fails_leaves_no_thread_and_can_be_unloaded() -> None:
    class Failing(Doubler):
        def setup(self) -> None:
            raise OSError("no weights")

    model = build(Failing, name="failing-setup")
    with pytest.raises(OSError, match="no weights"):
        await model.load()

    assert await model.unload() is True
    for thread in threading.enumerate():
        if thread.name.startswith("infergraph-failing-setup"):
            thread.join(timeout=60)
            assert not thread.is_alive()


async def test_what_a_model_fails_with_when_it_is_tried_out_is_told_as_its_checkpoints() -> None:
    class Trying(Doubler):
        def setup(self) -> None:
            raise StageFailure("it computed values that are no numbers, in fp32")

    with pytest.raises(ConfigurationError) as caught:
        await load(Trying)

    assert str(caught.value) == "model 'model': it computed values that are no numbers, in fp32"


async def test_a_local_variant_is_found_in_the_models_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def snapshot(id: str, revision: str | None, *, weights: bool) -> Path:
        asked.append(weights)
        return Path("/cache/abc")

    monkeypatch.setattr(hub, "snapshot", snapshot)
    caplog.set_level(logging.INFO, "infergraph")
    (tmp_path / "embedded").mkdir()
    variants = {"embedded": "./embedded", "base": "facebook/wav2vec2-base-960h"}

    local = await load(Doubler, folder=tmp_path, variants=variants)
    fetched = await load(Doubler, folder=tmp_path, variants=variants, variant="base")
    none = await load(Doubler)
    said = [(await model.metadata()).parameters for model in (local, fetched, none)]

    assert [getattr(each, "embedded", None) for each in said] == ["a miniature world", None, None]
    assert local.checkpoint == str((tmp_path / "embedded").resolve())
    assert fetched.checkpoint == "/cache/abc"
    assert asked == [True]
    assert none.checkpoint == ""
    assert caplog.messages == [
        f"model 'model': variant 'embedded' ({local.checkpoint}) on cpu in fp32: it knows only "
        "a miniature world",
        "model 'model': variant 'base' (facebook/wav2vec2-base-960h@abc) on cpu in fp32",
        "model 'model': variant 'embedded' (no checkpoint) on cpu in fp32",
    ]


async def test_metadata_says_what_was_resolved() -> None:
    outputs = {"y": ("INT64", [-1, 1]), "maybe": ("BYTES", [-1, 1])}
    model = build(Doubler, outputs=outputs, optional_outputs=["maybe"], max_batch_size=7)
    before = await model.metadata()
    await model.load()
    metadata = await model.metadata()

    assert before.parameters is not None
    assert before.parameters.model_dump() == {}
    assert metadata.parameters is not None
    assert metadata.parameters.model_dump() == {
        "variant": "embedded",
        "device": "cpu",
        "dtype": "fp32",
        "engine": "torch",
        "max_batch_size": 7,
        "optional_outputs": '["maybe"]',
    }
    assert [(t.name, t.datatype, t.shape) for t in metadata.inputs or []] == [
        ("x", "INT64", [-1, 1])
    ]
    assert [t.name for t in metadata.outputs or []] == ["y", "maybe"]


# Unloading


class Weights:
    factor = 2


class Weighty(Runtime[int, None, Weights]):
    """Doubles numbers with a model that is freed at once when nothing holds it."""

    def setup(self) -> Weights:
        return Weights()

    def prepare(self, item: Item) -> int:
        return int(item["x"][0])

    def predict_batch(self, items: Sequence[int], parameters: None) -> list[Outputs]:
        return [{"y": self.model.factor * item} for item in items]


async def test_unloading_frees_the_model_and_unregisters() -> None:
    model = await load(Weighty)
    await model.predict(rest([1]))
    weights = weakref.ref(model.model)

    assert await model.unload() is True

    gc.collect()
    assert weights() is None
    assert not hasattr(model, "model")
    assert (await model.metadata()).parameters.model_dump() == {}
    assert registry.find("model") is None
    with pytest.raises(MLServerError) as caught:
        await model.predict(rest([1]))
    assert (caught.value.status_code, str(caught.value)) == (
        503,
        "model 'model': it is being unloaded",
    )


async def test_unloading_ends_the_models_thread() -> None:
    model = await load(Doubler, name="ending")
    (thread,) = [t for t in threading.enumerate() if t.name.startswith("infergraph-ending")]

    await model.unload()

    thread.join(timeout=60)
    assert not thread.is_alive()


async def test_unloading_waits_for_the_requests_that_are_being_answered() -> None:
    model = await load(HeldDoubler)
    released = model.released
    running = asyncio.ensure_future(model.predict(rest([21])))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = asyncio.ensure_future(model.predict(rest([1])))
    await settle()

    unloading = asyncio.ensure_future(model.unload())
    await settle()
    assert not unloading.done()
    with pytest.raises(MLServerError, match="it is being unloaded") as caught:
        await model.predict(rest([2]))
    assert caught.value.status_code == 503

    released.set()
    assert values(await running) == {"y": [42]}
    assert values(await waiting) == {"y": [2]}
    assert await unloading is True


async def test_after_its_time_an_unload_refuses_what_waits_and_lets_the_batch_finish() -> None:
    model = await load(HeldDoubler, drain_seconds=0)
    released = model.released
    running = asyncio.ensure_future(model.predict(rest([21])))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = asyncio.ensure_future(model.predict(rest([1])))
    await settle()

    unloading = asyncio.ensure_future(model.unload())
    with pytest.raises(MLServerError, match="it is being unloaded") as caught:
        await waiting
    assert caught.value.status_code == 503
    assert not unloading.done()

    released.set()
    assert values(await running) == {"y": [42]}
    assert await unloading is True


async def test_nothing_is_freed_under_a_thread_that_prepares() -> None:
    entered, released = threading.Event(), threading.Event()
    seen: list[str] = []

    class Preparing(Runtime[int, None, str]):
        def setup(self) -> str:
            return "vocabulary"

        def prepare(self, item: Item) -> int:
            entered.set()
            assert released.wait(timeout=60)
            seen.append(self.model)
            return len(seen)

        def length(self, item: int) -> int:
            return item + len(self.model)

    model = await load(Preparing, drain_seconds=0)
    request = asyncio.ensure_future(model.predict(rest([1])))
    await asyncio.to_thread(entered.wait, 60)
    unloading = asyncio.ensure_future(model.unload())
    await settle()
    assert not unloading.done()

    released.set()
    with pytest.raises(MLServerError, match="it is being unloaded"):
        await request
    assert await unloading is True
    assert seen == ["vocabulary"]
    assert not hasattr(model, "model")


async def test_a_reload_under_load_loses_no_request() -> None:
    """As the server does it: the new model takes the name before the old one is unloaded."""
    answers: list[int] = []
    model = await load(Weighty)

    async def ask(number: int) -> None:
        found = registry.find("model")
        assert isinstance(found, Runtime)
        answers.extend(values(await found.predict(rest([number])))["y"])

    asking = []
    for round_ in range(10):
        asking += [asyncio.ensure_future(ask(10 * round_ + number)) for number in range(10)]
        await asyncio.sleep(0)
        newer = await load(Weighty)
        await model.unload()
        model = newer
    await asyncio.gather(*asking)

    assert sorted(answers) == [2 * number for number in range(100)]


async def test_an_unloaded_model_can_be_unloaded_again() -> None:
    model = await load(Doubler)

    assert [await model.unload(), await model.unload()] == [True, True]


async def test_a_model_that_is_not_loaded_answers_503() -> None:
    model = build(Doubler)

    with pytest.raises(MLServerError) as caught:
        await model.predict(rest([1]))
    assert (caught.value.status_code, str(caught.value)) == (
        503,
        "model 'model': it is not loaded",
    )


async def test_loads_are_counted() -> None:
    class Failing(Doubler):
        def setup(self) -> None:
            raise OSError("no weights")

    await load(Doubler, name="counted-loads")
    with pytest.raises(OSError, match="no weights"):
        await load(Failing, name="counted-loads")

    labels = {"model": "counted-loads"}
    assert REGISTRY.get_sample_value("infergraph_model_loads_total", labels) == 1
    assert REGISTRY.get_sample_value("infergraph_model_load_failures_total", labels) == 1


async def test_a_model_that_never_loaded_can_be_unloaded() -> None:
    assert await build(Doubler).unload() is True


async def test_a_reload_keeps_the_newer_one_registered() -> None:
    older = await load(Doubler)
    newer = await load(Doubler)
    assert registry.find("model") is newer

    await older.unload()

    assert registry.find("model") is newer
    assert values(await newer.predict(rest([4]))) == {"y": [8]}


async def test_two_models_do_not_share_what_they_hold() -> None:
    class Constant(Runtime[Item, None, int]):
        def setup(self) -> int:
            return self.options.max_batch_size

        def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
            return [{"y": self.model} for _ in items]

    one = await load(Constant, name="one", max_batch_size=1)
    two = await load(Constant, name="two", max_batch_size=2)
    await one.unload()

    assert values(await two.predict(rest([0]))) == {"y": [2]}


# Models without a device


class Unplaced(Doubler):
    placed = False


async def test_a_model_without_a_device_says_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "infergraph")
    model = await load(Unplaced)
    metadata = await model.metadata()

    assert not hasattr(model, "placement")
    assert metadata.parameters is not None
    assert metadata.parameters.model_dump() == {"variant": "embedded", "max_batch_size": 32}
    assert caplog.messages == ["model 'model': variant 'embedded' (no checkpoint)"]
    assert values(await model.predict(rest([1]))) == {"y": [2]}


@pytest.mark.parametrize(
    ("setting", "value", "accepted"),
    [
        ("device", "cuda", "auto, cpu"),
        ("dtype", "fp16", "auto, fp32"),
        ("threads", 2, "none"),
        ("engine", "openvino", "torch"),
    ],
)
async def test_a_model_without_a_device_refuses_settings_of_one(
    setting: str, value: Any, accepted: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(Unplaced, **{setting: value})

    assert str(caught.value) == (
        f"model 'model': setting '{setting}' = {value!r}: it computes without a device; "
        f"accepted: {accepted}"
    )


def test_what_needs_no_torch_does_not_import_it() -> None:
    tasks = ("echo", "pass_through", "reject", "json_fields", "ensemble_combine")
    script = f"""
import asyncio, importlib, sys
import infergraph.router
for task in {tasks}:
    importlib.import_module("infergraph.tasks." + task)
from mlserver import ModelSettings
from infergraph.tasks.echo import Echo
model = Echo(ModelSettings(name="echo", implementation=Echo))
async def live():
    await model.load()
    await model.unload()
asyncio.run(live())
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")
