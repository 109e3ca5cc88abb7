"""How requests reach a server: REST over sockets of our own, or gRPC."""

from .base import Transport
from .endpoint import Endpoint
from .exchange import Exchange
from .open import decoder, encoder, make_transport

__all__ = ["Endpoint", "Exchange", "Transport", "decoder", "encoder", "make_transport"]
