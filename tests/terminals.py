"""Terminals that lack letters."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest


def use_stdout(monkeypatch: pytest.MonkeyPatch, encoding: str) -> Callable[[], str]:
    """Puts a terminal of an encoding in the place of stdout; what is called tells its text."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding, errors="strict", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    return lambda: content.getvalue().decode(encoding)
