"""`Runtime`, the base class of every model runtime."""

from .base import Runtime
from .items import Item, Outputs
from .parameters import RequestParameters

__all__ = ["Item", "Outputs", "RequestParameters", "Runtime"]
