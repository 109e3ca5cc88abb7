"""When requests are meant to be sent: rate profiles times interval distributions, and traces."""

from .schedule import Schedule, build_schedule
from .specification import Arrivals, ClosedLoop, MultiStream, Offline

__all__ = ["Arrivals", "ClosedLoop", "MultiStream", "Offline", "Schedule", "build_schedule"]
