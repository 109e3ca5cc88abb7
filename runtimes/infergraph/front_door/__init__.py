"""The front door: REST and gRPC servers of V2 of our own, on MLServer's settings and models.

`ModelRepository` is the one seam, see `repository`.
"""

from .repository import ModelRepository

__all__ = ["ModelRepository"]
