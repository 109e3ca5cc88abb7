"""Answers drawn on the pictures that they are about. Needs Pillow and numpy alone."""

from .drawing import annotate
from .findings import BoxSet, Findings, by_picture, read_findings

__all__ = ["BoxSet", "Findings", "annotate", "by_picture", "read_findings"]
