"""Batches that items join and leave while they run."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from infergraph.batching import MicroBatcher, Served, check_wanted, run_all
from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from infergraph.request import Deadline
from tests.unit.batching.workbench import SetDeadline, settle


@dataclass(frozen=True)
class Word:
    """An item that takes as many steps as its name has letters.

    A step with a "!" in it raises, one with a "?" refuses the item.
    """

    name: str

    @property
    def answer(self) -> str:
        return f"answer to {self.name}"


class Speller:
    """Spells the words that it was given, a letter of each in a step."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._words: dict[int, tuple[Word, Iterator[str]]] = {}

    def add(self, number: int, item: Word) -> None:
        assert number not in self._words
        self._words[number] = (item, iter(item.name[1:]))

    def drop(self, number: int) -> None:
        self._bench.dropped.append(self._words.pop(number)[0].name)

    def step(self) -> list[tuple[int, str | InfergraphError]]:
        check_wanted()
        self._bench.before_step()
        self._bench.steps.append([word.name for word, _ in self._words.values()])
        ended: list[tuple[int, str | InfergraphError]] = []
        for number, (word, letters) in list(self._words.items()):
            letter = next(letters, None)
            if letter == "!":
                raise RuntimeError("secret")
            if letter is None or letter == "?":
                del self._words[number]
                refused = InvalidInput(f"refused {word.name}")
                ended.append((number, refused if letter else word.answer))
        return ended


class Bench:
    """A micro-batcher whose batches are joined, and a worker that does a step when it is told to.

    Attributes:
        steps: The words of each step.
        dropped: The words that were given up.
        begun: How many batches were begun.
        observed: The sizes of what the batcher was told of.
    """

    def __init__(self, **settings: Any) -> None:
        self.steps: list[list[str]] = []
        self.dropped: list[str] = []
        self.begun = 0
        self.observed: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._stands = asyncio.Event()
        self._may_go = threading.Semaphore(0)
        self._free = False
        self.executor = ThreadPoolExecutor(1)
        self.batcher: MicroBatcher[Word, str] = MicroBatcher(
            lambda words: run_all(self._begin(words[0]), words),
            self.executor,
            name="speller",
            begin=self._begin,
            observe=self,
            **{"max_batch_size": 4, "max_queue_size": 500, "max_queue_bytes": 100, **settings},
        )

    def observe_batch(self, size: int, limit: int, seconds: float) -> None:
        self.observed.append(size)

    def observe_waiting(self, change: int) -> None:
        pass

    def _begin(self, first: Word) -> Speller:
        self.begun += 1
        return Speller(self)

    def before_step(self) -> None:
        """Holds the worker until it may go on."""
        if not self._free:
            self._loop.call_soon_threadsafe(self._stands.set)
            assert self._may_go.acquire(timeout=60)

    async def ask(
        self, *names: str, key: Any = None, deadline: Deadline | None = None, length: int = 0
    ) -> asyncio.Task[Served[str]]:
        """A request that has been queued."""
        place = self.batcher.admit(len(names), 1)
        task = asyncio.ensure_future(
            self.batcher.submit(
                place,
                [Word(name) for name in names],
                key=key,
                lengths=[length] * len(names),
                deadline=deadline,
            )
        )
        await settle()
        return task

    async def step(self, count: int = 1) -> None:
        """Has the worker do so many steps; it then stands before the next, if there is one."""
        for _ in range(count):
            await asyncio.wait_for(self._stands.wait(), 60)
            self._stands.clear()
            self._may_go.release()
            ends = [
                asyncio.ensure_future(each) for each in (self._stands.wait(), self.batcher.idle())
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            for each in ends:
                each.cancel()
        await settle()

    def go(self) -> None:
        """Has the worker do all steps that there are."""
        self._free = True
        self._may_go.release()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.go()
    made.executor.shutdown()


async def answers(*tasks: asyncio.Task[Served[str]]) -> list[list[str]]:
    return [served.results for served in await asyncio.gather(*tasks)]


async def test_an_item_joins_between_two_steps_and_leaves_when_it_is_done(bench: Bench) -> None:
    long = await bench.ask("abcdef")
    await bench.step()
    short = await bench.ask("xy")
    await bench.step(3)

    assert await answers(short) == [["answer to xy"]]
    assert not long.done()
    bench.go()
    assert await answers(long) == [["answer to abcdef"]]
    assert bench.steps == [["abcdef"]] * 2 + [["abcdef", "xy"]] * 2 + [["abcdef"]] * 2
    assert bench.begun == 1
    assert max(bench.observed) == 2
    assert bench.batcher.waiting == 0


async def test_the_items_of_a_request_are_answered_together(bench: Bench) -> None:
    several = await bench.ask("abc", "d", "ef")
    await bench.step(2)

    assert not several.done()
    bench.go()
    assert await answers(several) == [["answer to abc", "answer to d", "answer to ef"]]
    assert (await several).batch_size == 3


async def test_an_item_waits_until_there_is_room(bench: Bench) -> None:
    first = [await bench.ask(name) for name in ("abcd", "efghi", "jk", "lmno")]
    last = await bench.ask("pq")
    await bench.step(4)

    assert await answers(first[0], first[2]) == [["answer to abcd"], ["answer to jk"]]
    bench.go()
    assert await answers(first[1], first[3], last) == [
        ["answer to efghi"],
        ["answer to lmno"],
        ["answer to pq"],
    ]
    together = ["abcd", "efghi", "jk", "lmno"]
    # A place is free from the step on after the one that "jk" ended with.
    assert bench.steps[:4] == [["abcd"], together, together, ["abcd", "efghi", "lmno", "pq"]]


async def test_what_runs_together_is_bounded_by_its_work() -> None:
    bench = Bench(max_batch_work=10)
    tasks = [await bench.ask(name, length=6) for name in ("abc", "de")]
    tasks.append(await bench.ask("f", length=4))
    bench.go()

    assert await answers(*tasks) == [[f"answer to {name}"] for name in ("abc", "de", "f")]
    assert all(not {"abc", "de"} <= set(words) for words in bench.steps)
    bench.executor.shutdown()


async def test_nobody_joins_before_one_of_another_key_whose_turn_it_is(bench: Bench) -> None:
    running = await bench.ask("abcdef")
    await bench.step()
    other = await bench.ask("xy", key="other")
    await bench.step()
    late = await bench.ask("gh")
    bench.go()

    assert await answers(running, other, late) == [
        ["answer to abcdef"],
        ["answer to xy"],
        ["answer to gh"],
    ]
    assert bench.steps == [["abcdef"]] * 6 + [["xy"]] * 2 + [["gh"]] * 2
    assert bench.begun == 3


async def test_a_caller_who_goes_frees_the_place_at_the_next_step(bench: Bench) -> None:
    gone = await bench.ask("abcdefgh")
    others = [await bench.ask(name) for name in ("ijklm", "nopqr", "stuvw")]
    await bench.step()
    waiting = await bench.ask("yz")
    await bench.step(2)
    assert "yz" not in bench.steps[-1]

    gone.cancel()
    await settle()
    await bench.step(2)

    assert bench.dropped == ["abcdefgh"]
    assert "abcdefgh" in bench.steps[-2]
    assert sorted(bench.steps[-1]) == ["ijklm", "nopqr", "stuvw", "yz"]
    bench.go()
    assert await answers(*others, waiting) == [
        [f"answer to {name}"] for name in ("ijklm", "nopqr", "stuvw", "yz")
    ]


async def test_a_batch_that_nobody_waits_for_ends(bench: Bench) -> None:
    gone = await bench.ask("abcdefgh")
    await bench.step()
    gone.cancel()
    await settle()
    bench.go()
    after = await bench.ask("x")

    assert await answers(after) == [["answer to x"]]
    assert len(bench.steps) <= 3
    assert bench.steps[-1] == ["x"]
    await bench.batcher.idle()


async def test_a_deadline_that_passes_ends_one_item(bench: Bench) -> None:
    deadline = SetDeadline()
    late = await bench.ask("abcdefgh", deadline=deadline)
    other = await bench.ask("ijkl")
    await bench.step(2)
    deadline.set(0)
    await bench.step()

    with pytest.raises(DeadlineExceeded, match="model 'speller': the deadline of 250 ms passed"):
        await late
    bench.go()
    assert await answers(other) == [["answer to ijkl"]]
    assert bench.dropped == ["abcdefgh"]


async def test_an_item_that_is_refused_leaves_the_others(bench: Bench) -> None:
    fine, refused = await bench.ask("abcdef"), await bench.ask("g?")
    bench.go()

    with pytest.raises(InvalidInput, match="refused g"):
        await refused
    assert await answers(fine) == [["answer to abcdef"]]
    assert bench.begun == 1


async def test_a_step_that_fails_fails_one_item_only(bench: Bench) -> None:
    fine = [await bench.ask(name) for name in ("abcde", "f")]
    await bench.step(2)
    faulty = await bench.ask("gh!i")
    joined = await bench.ask("jklmno")
    bench.go()

    with pytest.raises(StageFailure) as caught:
        await faulty
    assert str(caught.value) == "it failed with RuntimeError; the server's log has the details"
    assert await answers(*fine, joined) == [
        ["answer to abcde"],
        ["answer to f"],
        ["answer to jklmno"],
    ]
    # Others are answered as before.
    assert await answers(await bench.ask("z")) == [["answer to z"]]


async def test_a_lost_device_ends_all(bench: Bench) -> None:
    lost = StageUnavailable("its device is lost", cause="device_lost")
    bench.batcher._worker._diagnose = lambda error: lost
    tasks = [await bench.ask(name) for name in ("abc", "d!", "efg")]
    bench.go()

    for task in tasks:
        with pytest.raises(StageUnavailable, match="its device is lost"):
            await task
    with pytest.raises(StageUnavailable, match="its device is lost"):
        await bench.ask("x")
    await bench.batcher.idle()


async def test_closing_lets_those_end_that_run(bench: Bench) -> None:
    running = [await bench.ask(name) for name in ("abcd", "ef", "gh", "ij")]
    waiting = await bench.ask("klm")
    await bench.step()
    bench.batcher.close("it is being unloaded")
    idle = asyncio.ensure_future(bench.batcher.idle())
    await settle()

    assert not idle.done()
    with pytest.raises(StageUnavailable, match="it is being unloaded"):
        await waiting
    bench.go()
    assert await answers(*running) == [[f"answer to {name}"] for name in ("abcd", "ef", "gh", "ij")]
    await idle
    assert all("klm" not in words for words in bench.steps)


async def test_a_request_holds_its_bytes_until_nothing_of_it_runs() -> None:
    bench = Bench(max_queue_bytes=2)
    gone = await bench.ask("abcdef")
    await bench.step()
    gone.cancel()
    await settle()

    # The worker has not noticed yet.
    bench.batcher.admit(1, 1)
    with pytest.raises(Overloaded, match="requests hold 2 of 2 bytes"):
        bench.batcher.admit(1, 1)
    bench.go()
    await bench.batcher.idle()
    bench.batcher.admit(1, 1)
    bench.executor.shutdown()


@pytest.mark.parametrize("seed", range(4))
async def test_no_interleaving_loses_or_swaps(seed: int) -> None:
    rng = random.Random(seed)
    bench = Bench()
    bench.go()
    asked: list[tuple[list[str], asyncio.Task[Served[str]]]] = []
    cancelled = []
    for number in range(300):
        names = [
            f"{number}-{index}" + "x" * rng.randrange(9) + rng.choice([""] * 30 + ["!", "?"])
            for index in range(rng.choice([1, 1, 2, 5]))
        ]
        task = await bench.ask(*names, key=rng.choice("aaaab"))
        asked.append((names, task))
        if rng.random() < 0.1:
            victim = rng.choice(asked)[1]
            if victim.cancel():
                cancelled.append(victim)
        if rng.random() < 0.3:
            await asyncio.wait([task])

    await asyncio.wait([task for _, task in asked])

    for names, task in asked:
        bad = [name for name in names if name[-1] in "!?"]
        if task.cancelled():
            assert task in cancelled
        elif bad:
            assert isinstance(task.exception(), (InvalidInput, StageFailure))
        else:
            assert task.result().results == [f"answer to {name}" for name in names]
    await bench.batcher.idle()
    assert bench.batcher.waiting == 0
    assert max(map(len, bench.steps)) == 4
    bench.executor.shutdown()
