"""What is sent: payloads, the order they go in, and the checks of the answers."""

from .check import AnswerCheck, read_expected
from .source import payload_order, read_payloads, settle

__all__ = ["AnswerCheck", "payload_order", "read_expected", "read_payloads", "settle"]
