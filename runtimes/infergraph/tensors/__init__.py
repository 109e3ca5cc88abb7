"""Tensors as models declare them, and media in them: `.audio` and `.image`."""

from .spec import TensorSpec

__all__ = ["TensorSpec"]
