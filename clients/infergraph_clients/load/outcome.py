"""`Outcome`, under the name by which the load tester knows it."""

from ..transports.outcome import Outcome

__all__ = ["Outcome"]
