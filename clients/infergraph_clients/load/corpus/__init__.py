"""What is sent: payloads read from files, the order they go in, and the checks of the answers."""

from .check import AnswerCheck, read_expected
from .order import payload_order
from .source import read_payloads

__all__ = ["AnswerCheck", "payload_order", "read_expected", "read_payloads"]
