from __future__ import annotations

import pytest

from infergraph.batching.room import Room
from infergraph.errors import InvalidInput, Overloaded


def room(items: int = 8, size: int = 1000, changes: list[int] | None = None) -> Room:
    return Room("asr", items, size, None if changes is None else changes.append)


def test_a_full_queue_refuses_and_recovers() -> None:
    queue = room(8)
    first, second = queue.admit(4, 0, ""), queue.admit(4, 0, "")
    assert queue.waiting == 8

    with pytest.raises(Overloaded) as caught:
        queue.admit(1, 0, "")
    assert str(caught.value) == (
        "model 'asr': its queue is full (8 of 8 items wait); try again later"
    )
    assert caught.value.cause == "queue_full"

    first.begin(3)
    assert queue.waiting == 5
    queue.admit(3, 0, "")
    second.release()
    assert queue.waiting == 4


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 1), (3, 2), (8, 4), (9, 5), (512, 256)])
def test_one_request_holds_at_most_half_of_the_queue(places: int, most: int) -> None:
    queue = room(places)

    with pytest.raises(InvalidInput) as caught:
        queue.admit(most + 1, 0, "")

    assert str(caught.value) == (
        f"model 'asr': the request holds {most + 1} items; accepted: at most {most} "
        f"(half of the setting 'max_queue_size' = {places})"
    )
    assert caught.value.cause == "too_large"
    assert queue.waiting == 0
    queue.admit(most, 0, "")
    assert queue.waiting == most


def test_the_bytes_of_a_request_are_held_until_it_is_released() -> None:
    queue = room(size=1000)
    first = queue.admit(1, 500, "")
    queue.admit(1, 400, "")
    # It runs; its tensors are there as before.
    first.begin(1)

    with pytest.raises(Overloaded) as caught:
        queue.admit(1, 101, "")
    assert str(caught.value) == (
        "model 'asr': its queue is full (requests hold 900 of 1000 bytes, setting "
        "'max_queue_bytes'); try again later"
    )
    assert caught.value.cause == "queue_bytes"

    first.release()
    queue.admit(1, 500, "")


def test_a_request_of_more_bytes_than_half_can_never_be_served() -> None:
    queue = room(size=1000)

    with pytest.raises(InvalidInput) as caught:
        queue.admit(1, 501, "")

    assert str(caught.value) == (
        "model 'asr': the request's tensors hold 501 bytes; accepted: at most 500 (half of the "
        "setting 'max_queue_bytes' = 1000)"
    )


def test_all_requests_of_one_caller_hold_at_most_half_of_the_places() -> None:
    queue = room(8)
    held = [queue.admit(1, 0, "10.0.0.1") for _ in range(4)]

    with pytest.raises(Overloaded) as caught:
        queue.admit(1, 0, "10.0.0.1")
    assert str(caught.value) == (
        "model 'asr': 4 items of this caller wait; accepted: at most 4 of one caller (half of the "
        "setting 'max_queue_size' = 8); try again later"
    )
    assert caught.value.cause == "caller_share"
    for _ in range(4):
        queue.admit(1, 0, "10.0.0.2")
    held[0].begin(1)
    queue.admit(1, 0, "10.0.0.1")


def test_all_requests_of_one_caller_hold_at_most_half_of_the_bytes() -> None:
    queue = room(size=1000)
    queue.admit(1, 300, "10.0.0.1")

    with pytest.raises(Overloaded, match="requests of this caller hold 300 bytes; accepted: at"):
        queue.admit(1, 300, "10.0.0.1")
    queue.admit(1, 300, "10.0.0.2")


def test_requests_of_unknown_callers_have_nothing_in_common() -> None:
    queue = room(8)

    places = [queue.admit(2, 0, "") for _ in range(4)]

    assert [place.rank for place in places] == [1, 1, 1, 1]


def test_a_callers_requests_are_ranked() -> None:
    queue = room(100)
    first, second = queue.admit(1, 0, "a"), queue.admit(1, 0, "a")
    other = queue.admit(1, 0, "b")
    first.release()

    third = queue.admit(1, 0, "a")

    assert [first.rank, second.rank, other.rank, third.rank] == [1, 2, 1, 2]


def test_releasing_twice_gives_back_once() -> None:
    changes: list[int] = []
    queue = room(8, changes=changes)
    place = queue.admit(4, 100, "a")
    place.begin(1)

    place.release()
    place.release()

    assert changes == [4, -1, -3]
    assert queue.waiting == 0


def test_callers_that_never_come_again_leave_nothing_behind() -> None:
    queue = room(8)

    for number in range(1000):
        queue.admit(1, 10, f"10.0.0.{number}").release()

    assert queue._callers == {}
