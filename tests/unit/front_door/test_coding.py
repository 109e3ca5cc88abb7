"""Content codings in bounded memory, and who takes them."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
import zlib
from typing import Any

import pytest

from infergraph.errors import InvalidInput, TooLarge, UnsupportedCoding
from infergraph.front_door import coding
from infergraph.front_door.coding import accepts_gzip, coding_of, inflate

TEXT = b"the quick brown fox " * 10_000


class Stop(threading.Event):
    """An event that is set after so many looks at it."""

    def __init__(self, looks: int = 10**9) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def undone(data: bytes, name: str = "gzip", limit: int = 10**6) -> bytes:
    return bytes(inflate(data, name, limit, Stop()))


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare)]
)
@pytest.mark.parametrize("content", [b"", b"a", TEXT])
def test_there_and_back(name: str, pack: Any, content: bytes) -> None:
    assert undone(pack(content), name) == content


def test_members_are_one_after_another_and_zeros_may_follow() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two") + bytes(512)
    assert undone(packed) == b"onetwo"
    assert undone(gzip.compress(b"one") + bytes(100_000) + gzip.compress(b"two")) == b"onetwo"
    assert undone(b"") == b""


@pytest.mark.parametrize("limit", [0, 1, len(TEXT) - 1])
@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_more_than_the_limit(name: str, pack: Any, limit: int) -> None:
    packed = pack(TEXT)
    with pytest.raises(TooLarge) as caught:
        undone(packed, name, limit)
    assert str(caught.value) == (
        f"the body is too large: {len(packed)} bytes that hold more than {limit}; accepted: at "
        f"most {limit} bytes (server setting 'max_body_bytes')"
    )
    assert undone(packed, name, len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
        ("gzip", gzip.compress(TEXT) + b"more"),
        ("gzip", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", zlib.compress(TEXT) + b"more"),
        ("deflate", zlib.compress(TEXT) * 2),
        ("deflate", b"\xff" * 20),
        ("deflate", gzip.compress(TEXT)),
    ],
)
def test_what_is_not_of_its_coding(name: str, data: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"the body is not {name}, as content-encoding says: "):
        undone(data, name)


def test_a_bomb_takes_no_more_than_the_limit() -> None:
    limit = 1 << 20
    bomb = gzip.compress(bytes(256 << 20), 9)
    assert len(bomb) < limit
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            undone(bomb, limit=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * limit


def test_many_members_are_refused() -> None:
    member = gzip.compress(b"")
    assert undone(member * 10_000) == b""
    with pytest.raises(InvalidInput, match="gzip of more than 10000 members"):
        undone(member * 10_001)


class TestAStop:
    """It ends the work at its next piece, whatever the data are."""

    @pytest.mark.parametrize(
        "data",
        [
            gzip.compress(bytes(64 << 20)),
            gzip.compress(b"") * 10_000,
            gzip.compress(b"") + bytes(64 << 20),
        ],
        ids=["bomb", "members", "zeros"],
    )
    def test_it_ends_the_work(self, data: bytes) -> None:
        stop = Stop(looks=20)
        assert len(inflate(data, "gzip", 1 << 30, stop)) < 64 << 20
        assert -3 <= stop.looks < 0

    def test_it_is_looked_at_often(self) -> None:
        content = bytes(16 << 20)
        stop = Stop(looks=10**6)
        assert inflate(gzip.compress(content), "gzip", 1 << 30, stop) == content
        assert 10**6 - stop.looks >= len(content) // coding._LARGEST_RESULT


@pytest.mark.parametrize("size", [0, 511, 70_000, 300_000])
def test_gzip_of_parts_is_gzip_of_the_whole(size: int) -> None:
    content = (TEXT * 2)[:size]
    packed = coding.gzip([content[:10], memoryview(content)[10:400], bytearray(content[400:])])
    assert gzip.decompress(packed) == content


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
    ("headers", "name"),
    [
        ([], ""),
        ([""], ""),
        (["identity"], ""),
        (["gzip"], "gzip"),
        (["x-gzip"], "gzip"),
        ([" GZip "], "gzip"),
        (["identity", "gzip"], "gzip"),
        (["Deflate"], "deflate"),
    ],
)
def test_what_a_coding_is_called(headers: list[str], name: str) -> None:
    assert coding_of(", ".join(headers)) == name


@pytest.mark.parametrize(
    "headers", [["br"], ["gzip, deflate"], ["gzip", "gzip"], ["compress"], ["x" * 10_000]]
)
def test_codings_that_cannot_be_undone(headers: list[str]) -> None:
    with pytest.raises(UnsupportedCoding) as caught:
        coding_of(", ".join(headers))
    assert "accepted: gzip, deflate or identity, one of them" in str(caught.value)
    assert len(str(caught.value)) < 300
