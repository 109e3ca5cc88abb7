from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from infergraph.errors import InvalidInput, Overloaded
from infergraph.tensors import decode_memory
from infergraph.tensors.decode_memory import (
    LIMIT_VARIABLE,
    DecodeMemory,
    available_memory,
    out_of_memory_as_overload,
)


class Gone(BaseException):
    """What a check raises."""


class Watched:
    """A check that tells when a decoder waits, and may end the wait."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.gone = False

    def __call__(self) -> None:
        self.waits.set()
        if self.gone:
            raise Gone


@pytest.fixture
def fresh() -> Iterator[None]:
    decode_memory.decode_memory.cache_clear()
    yield
    decode_memory.decode_memory.cache_clear()


def test_a_reservation_is_counted_until_it_is_released() -> None:
    memory = DecodeMemory(100)

    first, second = memory.reserve(60, "a"), memory.reserve(40, "b")
    assert memory.held == 100
    first.shrink(10)
    assert memory.held == 50
    first.shrink(30)
    second.release()
    second.release()
    assert memory.held == 10
    first.release()
    assert memory.held == 0


def test_a_reservation_follows_an_array_and_its_views() -> None:
    memory = DecodeMemory(100)
    array = np.zeros((4, 5), np.uint8)
    memory.reserve(20, "a").follow(array)

    view = array[1:, ::2].T
    del array
    assert memory.held == 20
    del view
    assert memory.held == 0


def test_more_than_there_can_ever_be_is_the_callers_fault() -> None:
    memory = DecodeMemory(100)

    with pytest.raises(InvalidInput) as caught:
        memory.reserve(101, "tensor 'image'")

    assert str(caught.value) == (
        "tensor 'image': decoding takes up to 101 bytes of memory; accepted: at most 100 "
        f"(environment variable {LIMIT_VARIABLE})"
    )
    assert memory.held == 0


def test_a_decoder_waits_for_what_others_hold() -> None:
    memory, watched = DecodeMemory(100), Watched()
    held = memory.reserve(80, "a")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(memory.reserve, 30, "b", watched)
        assert watched.waits.wait(60)
        assert not waiting.done()
        held.release()
        waiting.result(60).release()

    assert memory.held == 0


def test_who_came_first_is_served_first() -> None:
    memory, large, small = DecodeMemory(100), Watched(), Watched()
    held = memory.reserve(50, "a")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memory.reserve, 100, "large", large)
        assert large.waits.wait(60)
        # There is room for it, but not its turn.
        second = pool.submit(memory.reserve, 10, "small", small)
        assert small.waits.wait(60)
        assert not second.done()
        held.release()
        first.result(60).release()
        second.result(60).release()


def test_a_wait_ends_with_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = DecodeMemory(100)
    held = memory.reserve(80, "a")
    monkeypatch.setattr(decode_memory, "MAX_WAIT_SECONDS", 0.0)

    with pytest.raises(Overloaded, match=r"^b: .* others hold 80 of 100; try again later$"):
        memory.reserve(30, "b")

    held.release()
    assert memory.reserve(100, "c")


def test_a_wait_ends_when_nobody_wants_the_answer() -> None:
    memory, watched = DecodeMemory(100), Watched()
    held = memory.reserve(80, "a")
    watched.gone = True

    with pytest.raises(Gone):
        memory.reserve(30, "b", watched)

    assert memory.held == 80
    held.release()
    assert memory.reserve(100, "c")


def test_half_as_much_again_may_be_kept_and_no_decoder_waits_for_it() -> None:
    memory = DecodeMemory(100)
    first, second = np.zeros(30, np.uint8), np.zeros(30, np.uint8)
    memory.keep(first, 30, "first")

    with pytest.raises(Overloaded) as caught:
        memory.keep(second, 30, "second")
    assert str(caught.value) == (
        "second: 30 bytes of it would wait in a queue beside 30 of others; accepted: at most 50 "
        f"together (half of the environment variable {LIMIT_VARIABLE}); try again later"
    )
    memory.reserve(100, "a").release()
    view = first[2:]
    del first
    assert memory.kept == 30
    del view
    assert memory.kept == 0
    memory.keep(second, 50, "second")
    assert memory.kept == 50


@pytest.mark.usefixtures("fresh")
def test_the_size_is_a_share_of_the_memory_unless_the_environment_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert decode_memory.decode_memory().size == max(256 << 20, available_memory() // 4)

    decode_memory.decode_memory.cache_clear()
    monkeypatch.setenv(LIMIT_VARIABLE, "12345")
    assert decode_memory.decode_memory().size == 12345
    assert decode_memory.decode_memory() is decode_memory.decode_memory()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "2 GB"])
def test_a_size_that_is_none_is_told_in_the_log(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, value)

    assert decode_memory.decode_memory().size >= 256 << 20
    assert f"{LIMIT_VARIABLE}={value!r} is not a number of bytes" in caplog.text


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, 1000),
        ("0::/a/b\n", {"memory.max": "max\n", "a/memory.max": "700", "a/b/memory.max": "900"}, 700),
        ("4:memory:/a\n2:cpu:/b\n", {"memory/a/memory.limit_in_bytes": "800"}, 800),
        ("4:cpu,memory:/gone\n", {"memory/memory.limit_in_bytes": "600"}, 600),
        ("no cgroup", {"memory.max": "500"}, 500),
    ],
)
def test_a_cgroups_limit_counts(
    own: str, files: dict[str, str], limit: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "own").write_text(own)

    assert available_memory(tmp_path / "cgroup", tmp_path / "own") == limit


def test_without_cgroups_the_machines_memory_counts(tmp_path: Path) -> None:
    assert available_memory(tmp_path, tmp_path / "none") > 1 << 28


@pytest.mark.parametrize(
    ("error", "count"),
    [
        (MemoryError(), 1),
        (OSError("out of memory when reading image file"), 1),
        (RuntimeError("Internal malloc () failed."), 1),
        (OSError("broken data stream"), 1 << 60),
    ],
)
def test_a_lack_of_memory_is_told_as_overload(error: Exception, count: int) -> None:
    with (
        pytest.raises(Overloaded, match=r"^tensor 'x': not enough memory to decode it now; try"),
        out_of_memory_as_overload(count, "tensor 'x'"),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [OSError("broken data stream"), InvalidInput("damaged"), ValueError("no")]
)
def test_damage_stays_damage(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, out_of_memory_as_overload(1000, "tensor 'x'"):
        raise error

    assert caught.value is error
