"""`Runtime`, the base class of every model runtime."""

from .base import Runtime
from .items import Arrays, Item, Outputs
from .parameters import RequestParameters

__all__ = ["Arrays", "Item", "Outputs", "RequestParameters", "Runtime"]
