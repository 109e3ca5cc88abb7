"""What the records of a run say: latency, steady state, validity, stages."""

from .summarising import summarise
from .summary import Summary

__all__ = ["Summary", "summarise"]
