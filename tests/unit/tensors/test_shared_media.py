"""Steps of one request share what one of them decoded, whatever happens to that step."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from infergraph.errors import InvalidInput, Overloaded
from infergraph.tensors import image, shared_media
from infergraph.tensors.decode_memory import Check, DecodeMemory
from infergraph.tensors.image import KEPT_COST, Pixels, decode_image, writable
from infergraph.tensors.image_headers import ImageHeader
from infergraph.tensors.shared_media import sharing_media
from tests.pictures import pattern, pattern_file

WIDTH, HEIGHT = 48, 32
PIXELS = WIDTH * HEIGHT
FILE = pattern_file(WIDTH, HEIGHT)
OTHER = pattern_file(WIDTH, HEIGHT, seed=1)


class Gone(BaseException):
    """What a check raises."""


class Decoder:
    """Counts what is decoded, and can hold it up."""

    def __init__(self, decode: Callable[[ImageHeader, int], Pixels]) -> None:
        self._decode = decode
        self.count = 0
        self.began = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.failing = False

    def __call__(self, header: ImageHeader, scale: int) -> Pixels:
        self.count += 1
        self.began.set()
        self.may_go_on.wait()
        if self.failing:
            self.failing = False
            raise Gone
        return self._decode(header, scale)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> DecodeMemory:
    """The budget, of four images of this size."""
    memory = DecodeMemory(4 * PIXELS * KEPT_COST)
    for module in (image, shared_media):
        monkeypatch.setattr(module, "decode_memory", lambda: memory)
    return memory


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch, memory: DecodeMemory) -> Decoder:
    decoder = Decoder(image._decoded)
    monkeypatch.setattr(image, "_decoded", decoder)
    return decoder


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def decoded(file: bytes, check: Check | None = None) -> Pixels:
    return decode_image(file, max_pixels=PIXELS, check=check)


def in_context(
    pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any
) -> Future[Any]:
    """As a step's item is prepared: in a thread, and in the context of its request."""
    return pool.submit(contextvars.copy_context().run, function, *arguments)


def test_steps_of_a_request_share_an_image(decoder: Decoder) -> None:
    with sharing_media():
        first, second = decoded(FILE), decoded(FILE)
        assert np.shares_memory(first, second)
        assert (first == pattern(WIDTH, HEIGHT)).all()
        assert decoder.count == 1
        assert (decoded(OTHER) == pattern(WIDTH, HEIGHT, seed=1)).all()
        # Other bytes, be they the same: nobody compares them.
        assert not np.shares_memory(decoded(bytes(bytearray(FILE))), first)
    assert decoder.count == 3


def test_nothing_is_shared_between_requests_nor_outside_of_one(decoder: Decoder) -> None:
    outside = decoded(FILE)
    with sharing_media():
        first = decoded(FILE)
    with sharing_media():
        second = decoded(FILE)

    assert decoder.count == 3
    assert outside.flags.writeable
    assert not any(np.shares_memory(outside, each) for each in (first, second))
    assert not np.shares_memory(first, second)


def test_what_is_shared_cannot_be_changed(decoder: Decoder) -> None:
    with sharing_media():
        for _ in range(2):
            with pytest.raises(ValueError, match="read-only"):
                decoded(FILE)[0, 0] = 0
        with pytest.raises(ValueError, match="read-only"):
            decoded(FILE)[2:, 4:][0, 0] = 0


def test_libraries_that_want_to_be_allowed_to_write_get_no_copy(decoder: Decoder) -> None:
    with sharing_media():
        pixels = decoded(FILE)
        assert np.shares_memory(writable(pixels[3:, 4:]), pixels)
        assert writable(pixels[3:, 4:]).flags.writeable
        assert not pixels.flags.writeable
    foreign = np.frombuffer(bytes(12), np.uint8).reshape(2, 2, 3)
    assert writable(foreign).flags.writeable
    assert not np.shares_memory(writable(foreign), foreign)


def test_a_pipeline_within_a_pipeline_shares_with_it(decoder: Decoder) -> None:
    with sharing_media():
        first = decoded(FILE)
        with sharing_media():
            assert np.shares_memory(decoded(FILE), first)
        assert np.shares_memory(decoded(FILE), first)
    assert decoder.count == 1


def test_a_step_that_is_content_with_less_gets_that(decoder: Decoder, memory: DecodeMemory) -> None:
    file = pattern_file(WIDTH, HEIGHT, format="JPEG")
    with sharing_media():
        whole = decoded(file)
        halves = [
            decode_image(file, max_pixels=PIXELS, enough=lambda height, width: (16, 20))
            for _ in range(2)
        ]
        assert whole.shape == (HEIGHT, WIDTH, 3)
        assert [half.shape for half in halves] == [(HEIGHT // 2, WIDTH // 2, 3)] * 2
        assert np.shares_memory(*halves)
        del whole, halves
        assert memory.held == PIXELS * 3 + PIXELS // 4 * 3
    assert decoder.count == 2


def test_what_outlasts_a_request_shares_no_more(decoder: Decoder, pool: ThreadPoolExecutor) -> None:
    def shares() -> bool:
        with sharing_media():
            return np.shares_memory(decoded(FILE), decoded(FILE))

    with sharing_media():
        context = contextvars.copy_context()

    assert context.run(decoded, FILE).flags.writeable
    assert context.run(shares)


def test_the_limit_of_pixels_is_each_models_own(decoder: Decoder) -> None:
    with sharing_media():
        decoded(FILE)
        with pytest.raises(InvalidInput, match="setting 'max_image_pixels'"):
            decode_image(FILE, max_pixels=PIXELS - 1)


def test_the_second_step_waits_for_the_first(decoder: Decoder, pool: ThreadPoolExecutor) -> None:
    decoder.may_go_on.clear()
    waits = threading.Event()
    with sharing_media():
        first = in_context(pool, decoded, FILE)
        decoder.began.wait()
        second = in_context(pool, decoded, FILE, waits.set)
        waits.wait()
        assert not second.done()
        decoder.may_go_on.set()
        assert np.shares_memory(first.result(), second.result())
    assert decoder.count == 1


def test_a_step_that_waits_can_be_stopped(decoder: Decoder, pool: ThreadPoolExecutor) -> None:
    def gone() -> None:
        raise Gone

    decoder.may_go_on.clear()
    with sharing_media():
        first = in_context(pool, decoded, FILE)
        decoder.began.wait()
        with pytest.raises(Gone):
            in_context(pool, decoded, FILE, gone).result()
        decoder.may_go_on.set()
        assert (first.result() == pattern(WIDTH, HEIGHT)).all()
    assert decoder.count == 1


def test_a_step_that_is_stopped_fails_no_other(
    decoder: Decoder, pool: ThreadPoolExecutor, memory: DecodeMemory
) -> None:
    decoder.may_go_on.clear()
    decoder.failing = True
    waits = [threading.Event() for _ in range(3)]
    with sharing_media():
        first = in_context(pool, decoded, FILE)
        decoder.began.wait()
        others = [in_context(pool, decoded, FILE, event.set) for event in waits]
        for event in waits:
            event.wait()
        decoder.may_go_on.set()
        with pytest.raises(Gone):
            first.result()
        for other in others:
            assert (other.result() == pattern(WIDTH, HEIGHT)).all()
        del other, others
        assert np.shares_memory(decoded(FILE), decoded(FILE))
    assert decoder.count == 5
    gc.collect()
    assert memory.held == 0


def test_a_damaged_image_is_told_to_each_step(decoder: Decoder, memory: DecodeMemory) -> None:
    damaged = FILE[:-40]
    with sharing_media():
        for _ in range(2):
            with pytest.raises(InvalidInput, match="a damaged image"):
                decoded(damaged)
    assert memory.held == 0


def test_memory_is_counted_once_and_for_each_step_that_works_on_it(
    decoder: Decoder, memory: DecodeMemory
) -> None:
    with sharing_media():
        first = decoded(FILE)
        assert memory.held == PIXELS * KEPT_COST
        second = decoded(FILE)
        assert memory.held == PIXELS * (3 + 2 * (KEPT_COST - 3))
        del first
        assert memory.held == PIXELS * KEPT_COST
        del second
        assert memory.held == PIXELS * 3
    assert memory.held == 0


def test_what_a_step_still_uses_is_counted_after_its_request(
    decoder: Decoder, memory: DecodeMemory
) -> None:
    with sharing_media():
        left = decoded(FILE)
    assert memory.held == PIXELS * KEPT_COST
    del left
    assert memory.held == 0


def test_nothing_of_a_request_is_left(decoder: Decoder) -> None:
    file = bytes(bytearray(FILE))
    before = sys.getrefcount(file)
    with sharing_media():
        decoded(file)
        assert sys.getrefcount(file) > before
    assert sys.getrefcount(file) == before


def test_what_no_step_uses_makes_room_for_others(decoder: Decoder, memory: DecodeMemory) -> None:
    with sharing_media():
        used, _ = decoded(FILE), decoded(OTHER)
        del _
        # All but what is used: the other image is dropped, and decoded anew when it is needed.
        others = memory.reserve(memory.size - PIXELS * KEPT_COST, "another request's")
        assert memory.held == memory.size
        others.release()
        assert np.shares_memory(decoded(FILE), used)
        assert (decoded(OTHER) == pattern(WIDTH, HEIGHT, seed=1)).all()
    assert decoder.count == 3


def test_what_a_step_uses_is_not_dropped(
    decoder: Decoder, memory: DecodeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infergraph.tensors.decode_memory.MAX_WAIT_SECONDS", 0.0)
    with sharing_media():
        decoded(FILE)
        used = decoded(FILE)
        with pytest.raises(Overloaded):
            memory.reserve(memory.size, "another request's")
        assert np.shares_memory(decoded(FILE), used)
    assert decoder.count == 1


def test_a_decoder_that_waits_gets_what_is_no_longer_used(
    decoder: Decoder, memory: DecodeMemory, pool: ThreadPoolExecutor
) -> None:
    waits = threading.Event()
    with sharing_media():
        used = decoded(FILE)
        other = pool.submit(memory.reserve, memory.size, "another request's", waits.set)
        waits.wait()
        assert not other.done()
        del used
        other.result().release()
        assert (decoded(FILE) == pattern(WIDTH, HEIGHT)).all()
    assert decoder.count == 2


def test_many_requests_at_once_get_their_own_images(memory: DecodeMemory) -> None:
    """With room for four images of 24, so that they are dropped and decoded anew all the time."""
    pictures = [pattern(WIDTH, HEIGHT, seed=seed) for seed in range(24)]
    files = [pattern_file(WIDTH, HEIGHT, seed=seed) for seed in range(24)]

    def steps(seed: int) -> list[bool]:
        with sharing_media(), ThreadPoolExecutor(3) as steps:
            # An image of its own in three steps at once, and one that other requests have as well.
            turns = [files[seed], files[0], files[seed], files[seed], files[0]] * 4
            found = [in_context(steps, right, file) for file in turns]
            return [each.result() for each in found]

    def right(file: bytes) -> bool:
        return bool((decoded(file) == pictures[files.index(file)]).all())

    with ThreadPoolExecutor(8) as requests:
        answers = list(requests.map(steps, range(24)))

    assert all(all(each) for each in answers)
    gc.collect()
    assert memory.held == 0
