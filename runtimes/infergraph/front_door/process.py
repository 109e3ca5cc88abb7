"""What a server sets for its process: the memory it keeps, the garbage collector's rounds."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable

from ..errors import ConfigurationError
from ..importing import alone
from .registry import Registry

_ALL = ".*"
_YOUNG_OBJECTS = 10_000
"""A request makes fewer objects, so that most of them are gone before anything looks at them."""

# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BLOCK = 16 << 20
_KEPT_AT_THE_END = 64 << 20
_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_SPINS = "2000"


def keep_freed_memory() -> None:
    """Has glibc keep freed blocks of up to 16 MiB for the next request, 64 MiB at an arena's end.

    It gives them back to the kernel else, and each tensor of 100 KB and more costs its page faults
    anew: half of the time of a request of 600 KB. Does nothing where the environment sets malloc's
    thresholds, or where the C library is another one.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _VARIABLES):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_THE_END)


def let_threads_sleep() -> None:
    """Has OpenMP's threads, which torch computes with, spin for microseconds after their work.

    They spin for a millisecond else, in case more comes, on cores that other models, decoders and
    the event loop need: where those are busy a batch can take ten times as long. OpenMP reads it
    once, when torch is imported. Does nothing where the environment says how they wait.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ[_WAITING[0]] = _SPINS


def preload(names: Iterable[str]) -> None:
    """Imports modules, of a name `package.*` all of that package's, in the order of their names.

    Of a whole package, modules that need what is not installed are left out: a model that needs
    them says so itself.

    Raises:
        ConfigurationError: one cannot be imported; the text says which, and why.
    """
    for name in names:
        try:
            with alone():
                module = importlib.import_module(name.removesuffix(_ALL))
                if name.endswith(_ALL):
                    for found in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
                        with contextlib.suppress(ModuleNotFoundError):
                            importlib.import_module(found.name)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"front door: setting 'preload': '{name}' cannot be imported: {error}"
            ) from None


def spare_the_collector(registry: Registry) -> None:
    """Takes what the server has loaded by now out of the garbage collector's rounds, once.

    A full round stops the loop for 0.15 s and more, and every request of many items brings one.
    """
    registry.on_settled = None
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
