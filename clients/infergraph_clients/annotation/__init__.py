"""Answers drawn on the pictures that they are about. Needs Pillow and numpy alone."""

from .batch import PictureAnswer, by_picture
from .drawing import annotate
from .findings import BoxSet, Findings, read_findings

__all__ = ["BoxSet", "Findings", "PictureAnswer", "annotate", "by_picture", "read_findings"]
