"""The V2 protocol as the load tester speaks it: payloads, and their JSON and protobuf forms."""

from .payload import Answer, Payload, Tensor

__all__ = ["Answer", "Payload", "Tensor"]
