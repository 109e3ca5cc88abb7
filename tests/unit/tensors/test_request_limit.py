from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from infergraph.errors import InvalidInput
from infergraph.tensors.request_limit import RequestLimit


def test_the_sum_is_limited() -> None:
    limit = RequestLimit(10, lambda amount: f"{amount:g} is too much")

    limit.take(4)
    limit.take(6)
    with pytest.raises(InvalidInput, match=r"^11 is too much$"):
        limit.take(1)


def test_what_all_items_claim_is_measured_once() -> None:
    limit, measured = RequestLimit(10, str), []

    def measure() -> float:
        measured.append(1)
        return 7

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: limit.take_once(measure), range(20)))

    assert len(measured) == 1
    limit.take(3)
    with pytest.raises(InvalidInput):
        limit.take(1)


def test_every_item_of_a_request_that_claims_too_much_is_refused() -> None:
    limit = RequestLimit(10, str)

    for _ in range(3):
        with pytest.raises(InvalidInput, match=r"^11\.0$"):
            limit.take_once(lambda: 11)
