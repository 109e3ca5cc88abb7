from __future__ import annotations

import pytest

from infergraph.manifests.quantity import GIB, MIB, parse_quantity, quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        (7, 7),
        ("1k", 1000),
        ("2M", 2 * 10**6),
        ("512Mi", 512 * MIB),
        ("1.5Gi", 3 * GIB / 2),
    ],
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "0", "0.3", "-1", "1 Gi", "1gb", "Mi", None, "1e3"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="accepted: bytes, or a quantity such as 512Mi"):
        parse_quantity(text)


def test_sizes_are_written_rounded_up() -> None:
    assert quantity(MIB) == "1Mi"
    assert quantity(MIB + 1) == "2Mi"
