"""`Runtime`, the base class of every model runtime."""

from .base import Runtime
from .items import Item, Outputs

__all__ = ["Item", "Outputs", "Runtime"]
