"""gzip in bounded memory, and who takes it."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from infergraph.server.compression import (
    TooLarge,
    accepts_gzip,
    gunzip,
    gunzip_aside,
    gzip_aside,
    is_gzip,
)

TEXT = b"the quick brown fox " * 10_000


def test_members_are_one_after_another() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two") + bytes(512)
    assert gunzip(packed, 6) == b"onetwo"
    assert gunzip(b"", 6) == b""


@pytest.mark.parametrize("limit", [0, 1, len(TEXT) - 1])
def test_more_than_the_limit(limit: int) -> None:
    with pytest.raises(TooLarge):
        gunzip(gzip.compress(TEXT), limit)
    assert gunzip(gzip.compress(TEXT), len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"no gzip", zlib.error),
        (gzip.compress(TEXT)[:-1], EOFError),
        (gzip.compress(TEXT)[:-8] + bytes(8), zlib.error),
        (gzip.compress(TEXT) + b"more", zlib.error),
    ],
)
def test_what_is_no_gzip(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        gunzip(data, 10**6)


def test_a_bomb_takes_no_more_than_the_limit() -> None:
    limit = 1 << 20
    bomb = gzip.compress(bytes(256 << 20), 9)
    assert len(bomb) < limit
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            gunzip(bomb, limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * limit


@pytest.mark.parametrize("size", [0, 511, 512, 70_000, 300_000])
async def test_there_and_back(size: int) -> None:
    content = (TEXT * 2)[:size]
    packed = await gzip_aside(content)
    if size < 512:
        assert packed is None
    else:
        assert packed is not None
        assert len(packed) < size
        assert await gunzip_aside(packed, size) == content


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, gzip", True),
        ("GZIP;q=0.8, br", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("", False),
        ("identity, br", False),
        ("gzipped", False),
    ],
)
def test_who_takes_gzip(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("header", "known"), [("gzip", True), ("x-gzip", True), (" GZip ", True), ("deflate", False)]
)
def test_what_is_called_gzip(header: str, known: bool) -> None:
    assert is_gzip(header) is known
