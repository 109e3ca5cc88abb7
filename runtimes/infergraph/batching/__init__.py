"""The micro-batcher: items of many requests run together, and each request gets its own answers."""

from .micro_batcher import BatchObserver, MicroBatcher
from .ticket import Served

__all__ = ["BatchObserver", "MicroBatcher", "Served"]
