"""`ForeignLanguage`: what is needed to say a few things in a language, without its grammar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ForeignLanguage:
    """The words of a language by category, and the templates that they fill."""

    words: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]
