"""Runtimes' modules are imported off the event loop, and while no other thread loads."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlserver import ModelSettings

from infergraph.errors import ConfigurationError
from infergraph.front_door.registry import Registry
from infergraph.importing import LOADING, import_runtime

# A reload leaves what the first import said.
MODULE = """
import gc, threading
from mlserver import MLModel
from infergraph.importing import LOADING

imported = globals().setdefault("imported", [])
imported.append((threading.current_thread() is threading.main_thread(), LOADING._is_owned()))
collected = globals().setdefault("collected", gc.isenabled())

class Model(MLModel):
    async def load(self):
        return True
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that nobody has imported, of a name that no other test has."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / f"module_of_{tmp_path.name}.py"
    file.write_text(MODULE)
    yield file
    sys.modules.pop(file.stem, None)


def settings(module: Path) -> ModelSettings:
    found = ModelSettings(name="m", implementation=f"{module.stem}.Model")
    # Of a file, which MLServer reloads the module for.
    found._source = str(module.parent / "model-settings.json")
    return found


def write(module: Path, text: str) -> None:
    module.write_text(text)


async def test_a_runtime_is_imported_alone_and_beside_the_event_loop(module: Path) -> None:
    registry = Registry()

    await registry.load(settings(module))

    assert sys.modules[module.stem].imported[0] == (False, True)
    assert not sys.modules[module.stem].collected
    assert gc.isenabled()
    assert type(await registry.get_model("m")).__module__ == module.stem


async def test_it_waits_for_weights_that_another_thread_loads(module: Path) -> None:
    held, free = threading.Event(), threading.Event()

    def load() -> None:
        with LOADING:
            held.set()
            free.wait()

    other = threading.Thread(target=load)
    other.start()
    await asyncio.to_thread(held.wait)
    try:
        importing = asyncio.create_task(import_runtime(f"{module.stem}.Other"))
        # Its thread has begun, or begins later: either way it may not import.
        done, _ = await asyncio.wait([importing], timeout=0.1)
        assert not done
        assert module.stem not in sys.modules
    finally:
        free.set()
        other.join()
    await importing
    assert module.stem in sys.modules


async def test_what_cannot_be_imported_is_said_where_it_is_made(module: Path) -> None:
    write(module, "import no_such_package_anywhere")
    with pytest.raises(ConfigurationError, match="needs the package 'no_such_package_anywhere'"):
        await Registry().load(settings(module))

    # Once it can be, it is.
    write(module, MODULE)
    await import_runtime(f"{module.stem}.Model")
    assert sys.modules[module.stem].imported == [(False, True)]
