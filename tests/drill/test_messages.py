"""The sizes of messages beside samples are those that samples make."""

from __future__ import annotations

import pytest

from .conftest import Reference
from .messages import measure, recorded
from .rendered import PIPELINES

_TOLERANCE = 0.02
"""Numbers take more or fewer bytes, as their values are larger or smaller."""


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_the_recorded_sizes_are_those_of_the_sample(
    reference: Reference, pipeline: str
) -> None:
    measured = await measure(pipeline, reference.answer)

    known = recorded(pipeline)
    assert measured.keys() == known.keys(), "run: make messages"
    for name, size in measured.items():
        assert known[name] == pytest.approx(size, rel=_TOLERANCE), f"{name}; run: make messages"
