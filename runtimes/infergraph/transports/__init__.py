"""How a message reaches a model: in this process, over V2 gRPC, or over V2 REST."""

from .base import Transport
from .endpoint import Endpoint
from .in_process import InProcessTransport
from .pool import connect

__all__ = ["Endpoint", "InProcessTransport", "Transport", "connect"]
