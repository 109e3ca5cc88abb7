"""What the records of a run say: latency, steady state, validity, stages."""

from .summary import Summary, summarise

__all__ = ["Summary", "summarise"]
