"""When a form of transfer pays against another, from bytes and CPU times."""

from __future__ import annotations

import pytest

from infergraph.v2.tensor import Tensor
from tests.bench.transfer import Form, pays


def form(size: int, *cpu_ms: float) -> Form:
    made = Form("wav", lambda: Tensor.of_bytes("x", [b""]), "grpc-raw", bytes=size)
    made.cpu = [each / 1e3 for each in cpu_ms]
    return made


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        # 8 * 100 kB saved for 8 ms more.
        (form(100_000, 10, 10), form(200_000, 2, 2), "pays below 100 Mbit/s"),
        (form(100_000, 1, 1), form(200_000, 2, 2), "always pays"),
        (form(200_000, 2, 2), form(100_000, 10, 10), "pays above 100 Mbit/s"),
        (form(200_000, 10, 10), form(100_000, 2, 2), "never pays"),
        (form(200_000, 2, 4), form(200_100, 4, 2), "makes no difference"),
        # 0 ms more, of a standard error of sqrt(2) ms.
        (form(100_000, 2, 4), form(200_000, 2, 4), "pays below 280 Mbit/s at least"),
    ],
)
def test_when_a_form_pays(new: Form, old: Form, verdict: str) -> None:
    assert pays(new, old) == verdict
