"""What only one thread at a time may do: import the libraries of models, and load with them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

# transformers and timm change themselves, their classes and torch's initialisers while they build a
# network: of two that are built in two threads, one would be left in pieces. And transformers
# imports what a network needs as it loads it: of modules that import each other, as timm's do, two
# threads that begin at different ends each find some of them in pieces.
LOADING = threading.RLock()

_imported: set[str] = set()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One thread at a time imports or loads, and the garbage collector rests meanwhile.

    Nearly all that an import makes stays, and to look through it over and over again would take a
    fifth of its time.
    """
    with LOADING:
        collects = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="infergraph-import")


async def import_runtime(path: str) -> None:
    """Imports the module of a runtime, off the event loop and while nothing loads.

    Whoever makes the runtime imports it again: what is wrong with it is said there, and a module in
    the model's own folder, which this does not look into, is found there.

    Args:
        path: Of the class, `package.module.Class`.
    """
    module = path.rpartition(".")[0]
    if module not in _imported:
        await asyncio.get_running_loop().run_in_executor(_thread(), _import, module)


def _import(module: str) -> None:
    with contextlib.suppress(Exception), alone():
        importlib.import_module(module)
        _imported.add(module)
