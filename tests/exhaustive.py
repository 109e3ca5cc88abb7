"""Marks what only `make test-all` runs: more of the same kind as `make test` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet


def only(kept: Collection[Any], values: Iterable[Any]) -> list[ParameterSet]:
    """All values for `parametrize`; those that are not `kept` have the mark `exhaustive`.

    Raises:
        ValueError: what is to be kept is none of the values.
    """
    given = list(values)
    if unknown := [each for each in kept if each not in given]:
        raise ValueError(f"kept {unknown}; accepted: some of {given}")
    return [_parameters(each, each in kept) for each in given]


def one_in(count: int, values: Iterable[Any]) -> list[ParameterSet]:
    """All values for `parametrize`; only of the first of each `count` there is no mark."""
    return [_parameters(each, number % count == 0) for number, each in enumerate(values)]


def _parameters(value: Any, kept: bool) -> ParameterSet:
    marks = () if kept else (pytest.mark.exhaustive,)
    if isinstance(value, ParameterSet):
        return value._replace(marks=(*value.marks, *marks))
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks)
