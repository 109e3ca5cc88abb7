"""The micro-batcher: items of many requests run together, and each request gets its own answers."""

from .micro_batcher import BatchObserver, MicroBatcher
from .room import Place
from .running import Running, run_all
from .stopping import BatchAbandoned, check_wanted
from .ticket import Served

__all__ = [
    "BatchAbandoned",
    "BatchObserver",
    "MicroBatcher",
    "Place",
    "Running",
    "Served",
    "check_wanted",
    "run_all",
]
