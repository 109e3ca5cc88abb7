"""The micro-batcher: items of many requests run together, and each request gets its own answers."""

from .micro_batcher import BatchObserver, MicroBatcher
from .stopping import BatchAbandoned, check_wanted
from .ticket import Served

__all__ = ["BatchAbandoned", "BatchObserver", "MicroBatcher", "Served", "check_wanted"]
