from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mlserver import ModelSettings
from mlserver.errors import MLServerError
from prometheus_client import REGISTRY

from infergraph.errors import InfergraphError, InvalidInput, Overloaded, StageFailure
from infergraph.request import Deadline, RequestContext
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.v2 import Message, Tensor
from tests.unit.runtime.workbench import (
    Doubler,
    HeldDoubler,
    load,
    raw,
    rest,
    settle,
    values,
)

TEXT = {"text": ("BYTES", [-1, 1])}


async def refusal(model: Runtime, request: Any) -> tuple[int, str]:
    with pytest.raises(MLServerError) as caught:
        await model.predict(request)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return caught.value.status_code, str(caught.value)


def failures(model: str) -> float | None:
    return REGISTRY.get_sample_value("infergraph_model_failures_total", {"model": model})


def refusals(model: str, cause: str) -> float:
    labels = {"model": model, "cause": cause}
    return REGISTRY.get_sample_value("infergraph_model_refusals_total", labels) or 0


# Answers


async def test_a_rest_request() -> None:
    model = await load(Doubler, name="doubler", version="v3")

    response = await model.predict(rest([3, 0, 21]))

    assert response.model_dump() == {
        "model_name": "doubler",
        "model_version": "v3",
        "id": "request-1",
        "outputs": [{"name": "y", "shape": [3, 1], "datatype": "INT64", "data": [6, 0, 42]}],
    }


async def test_callers_of_mlserver_s_types_get_lists_whatever_they_sent() -> None:
    model = await load(Doubler)

    for request in (raw([3, 21]), rest([3, 21])):
        (output,) = (await model.predict(request)).outputs
        assert output.data.root == [6, 42]
        assert output.shape == [2, 1]


async def test_32_concurrent_requests_of_which_one_is_bad() -> None:
    model = await load(HeldDoubler, max_batch_size=32)
    first = asyncio.ensure_future(model.predict(rest([1000])))
    await asyncio.to_thread(model.entered.wait, 60)
    requests = [
        asyncio.ensure_future(model.predict(make([number if number != 13 else -13])))
        for number in range(32)
        for make in [raw if number % 2 else rest]
    ]
    await settle()
    model.released.set()
    answers = await asyncio.gather(*requests, return_exceptions=True)

    assert values(await first) == {"y": [2000]}
    assert model.batches == [[1000], [-13 if number == 13 else number for number in range(32)]]
    bad = answers.pop(13)
    assert isinstance(bad, MLServerError)
    assert bad.status_code == 400
    assert str(bad) == "model 'model': tensor 'x': -13 is negative; accepted: from 0"
    numbers = [number for number in range(32) if number != 13]
    assert [np.ravel(a.outputs[0].data.root).tolist() for a in answers] == [  # type: ignore[union-attr]
        [2 * number] for number in numbers
    ]


async def test_one_of_many_items_that_fails_is_named() -> None:
    model = await load(Doubler)

    assert await refusal(model, rest([1, 2, -3])) == (
        400,
        "model 'model': item 2: tensor 'x': -3 is negative; accepted: from 0",
    )


async def test_a_request_that_makes_its_batch_raise_fails_alone() -> None:
    model = await load(HeldDoubler)
    first = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    requests = [asyncio.ensure_future(model.predict(rest([n]))) for n in (1, 666, 2)]
    await settle()
    model.released.set()
    one, bad, two = await asyncio.gather(*requests, return_exceptions=True)

    assert values(await first) == {"y": [0]}
    assert [values(answer) for answer in (one, two)] == [{"y": [2]}, {"y": [4]}]  # type: ignore[arg-type]
    assert isinstance(bad, MLServerError)
    assert (bad.status_code, str(bad)) == (
        500,
        "model 'model': it failed with ValueError; the server's log has the details",
    )


async def test_half_and_single_precision_run_in_one_batch() -> None:
    model = await load(HeldDoubler, inputs={"x": ("FP32", [-1, 1])})
    first = asyncio.ensure_future(model.predict(rest([0], datatype="FP32")))
    await asyncio.to_thread(model.entered.wait, 60)
    requests = [
        asyncio.ensure_future(model.predict(rest([n], datatype=datatype)))
        for n, datatype in ((1, "FP32"), (2, "FP16"))
    ]
    await settle()
    model.released.set()
    answers = await asyncio.gather(first, *requests)

    assert [values(answer) for answer in answers] == [{"y": [0]}, {"y": [2]}, {"y": [4]}]
    assert model.batches == [[0], [1, 2]]


async def test_a_trace_when_asked_for_and_none_otherwise() -> None:
    model = await load(Doubler, name="doubler")

    traced = await model.predict(rest([1, 2], trace=True))
    by_header = await model.predict(rest([1], headers={"x-infergraph-trace": "1"}))
    plain = await model.predict(rest([1], trace=False))

    assert plain.parameters is None
    for response, size in ((traced, 2), (by_header, 1)):
        assert response.parameters is not None
        trace = json.loads(response.parameters.trace)  # type: ignore[attr-defined]
        assert trace.keys() == {"model", "queue_us", "compute_us", "batch_size"}
        assert (trace["model"], trace["batch_size"]) == ("doubler", size)
        assert type(trace["queue_us"]) is type(trace["compute_us"]) is int
        assert min(trace["queue_us"], trace["compute_us"]) >= 0


# Bad input


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        (rest({"z": [1]}), 400, "model 'model': no input tensor 'z'; accepted: x INT64 [-1, 1]"),
        (
            rest([1.5], datatype="FP32"),
            400,
            "model 'model': tensor 'x' has datatype FP32; accepted: INT64",
        ),
        (
            rest([1.5]),
            422,
            "tensor 'x' has datatype INT64, but data holds 1.5 (a ",
        ),
        (rest([]), 400, "model 'model': tensor 'x' has shape [0, 1], an empty batch"),
        (rest([1], outputs=["z"]), 400, "model 'model': no output tensor 'z'; acc"),
        (
            rest([1], headers={"infergraph-timeout-ms": "soon"}),
            400,
            "header infergraph-timeout-ms: 'soon' is not a time",
        ),
    ],
)
async def test_a_bad_request(request_: Any, status: int, text: str) -> None:
    model = await load(Doubler)

    came = await refusal(model, request_)

    assert came[0] == status
    assert came[1].startswith(text)


class Upper(Runtime):
    text_inputs = frozenset({"text"})

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return [{"text": item["text"].upper()} for item in items]


async def test_text_reaches_the_task_as_str_and_goes_back_as_utf8() -> None:
    model = await load(Upper, inputs=TEXT, outputs=TEXT)

    as_json = await model.predict(rest({"text": ["été", ""]}, datatype="BYTES"))
    as_raw = await model.predict(raw(["été".encode()], "BYTES", "text"))

    assert values(as_json) == {"text": ["ÉTÉ", ""]}
    assert values(as_raw) == {"text": ["ÉTÉ"]}


async def test_text_that_is_not_utf8() -> None:
    model = await load(Upper, inputs=TEXT, outputs=TEXT)

    assert await refusal(model, raw([b"ok", b"a\xff"], "BYTES", "text")) == (
        400,
        "model 'model': tensor 'text', item 1: not valid UTF-8 (byte 1 is 0xff); "
        "accepted: UTF-8 text",
    )


# Overload and deadlines


async def test_a_full_queue_answers_503_and_recovers() -> None:
    model = await load(HeldDoubler, max_queue_size=4)
    running = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = [asyncio.ensure_future(model.predict(rest([1, 2]))) for _ in range(2)]
    await settle()

    assert await refusal(model, rest([3])) == (
        503,
        "model 'model': its queue is full (4 of 4 items wait); try again later",
    )
    assert await refusal(model, rest([1, 2, 3])) == (
        400,
        "model 'model': the request holds 3 items; accepted: at most 2 (half of the setting "
        "'max_queue_size' = 4)",
    )
    assert refusals("model", "queue_full") >= 1
    model.released.set()
    await asyncio.gather(running, *waiting)
    assert values(await model.predict(rest([4, 5]))) == {"y": [8, 10]}


async def test_the_bytes_of_waiting_tensors_are_bounded() -> None:
    model = await load(HeldDoubler, inputs={}, max_queue_bytes=2000)
    running = asyncio.ensure_future(model.infer(wide(800), RequestContext()))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = asyncio.ensure_future(model.infer(wide(800), RequestContext()))
    await settle()

    with pytest.raises(Overloaded) as caught:
        await model.infer(wide(800), RequestContext())
    assert str(caught.value) == (
        "model 'model': its queue is full (requests hold 1600 of 2000 bytes, setting "
        "'max_queue_bytes'); try again later"
    )
    with pytest.raises(InvalidInput) as refused:
        await model.infer(wide(1600), RequestContext())
    assert str(refused.value) == (
        "model 'model': the request's tensors hold 1600 bytes; accepted: at most 1000 (half of "
        "the setting 'max_queue_bytes' = 2000)"
    )
    model.released.set()
    await asyncio.gather(running, waiting)
    await model.infer(wide(800), RequestContext())


def wide(size: int) -> Message:
    """A request of one item of so many bytes."""
    return Message([Tensor.of("x", np.ones((1, size // 8), np.int64))])


@pytest.mark.parametrize("kind", ["Doubler", "Inline"])
async def test_a_request_of_too_many_items_is_refused_before_any_work(kind: str) -> None:
    model = await load({"Doubler": Doubler, "Inline": Inline}[kind], max_items=3)

    assert await refusal(model, rest([1, 2, 3, 4])) == (
        400,
        "model 'model': the request holds 4 items; accepted: at most 3 (setting 'max_items')",
    )
    assert model.batches == []
    assert len(values(await model.predict(rest([1, 2, 3])))["y"]) == 3


async def test_one_callers_requests_hold_half_of_the_queue() -> None:
    model = await load(HeldDoubler, max_queue_size=4)
    context = RequestContext(caller="10.0.0.1")
    running = asyncio.ensure_future(model.infer(wide(8), context))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = [asyncio.ensure_future(model.infer(wide(8), context)) for _ in range(2)]
    await settle()

    with pytest.raises(Overloaded) as caught:
        await model.infer(wide(8), context)
    assert str(caught.value) == (
        "model 'model': 2 items of this caller wait; accepted: at most 2 of one caller (half of "
        "the setting 'max_queue_size' = 4); try again later"
    )
    other = asyncio.ensure_future(model.infer(wide(8), RequestContext(caller="10.0.0.2")))
    await settle()
    model.released.set()
    await asyncio.gather(running, *waiting, other)


async def test_a_request_without_a_deadline_has_the_models_own() -> None:
    model = await load(HeldDoubler, timeout_ms=5)
    running = asyncio.ensure_future(
        model.infer(wide(8), RequestContext(deadline=Deadline.after_ms(60_000)))
    )
    await asyncio.to_thread(model.entered.wait, 60)

    assert await refusal(model, rest([7])) == (504, "model 'model': the deadline of 5 ms passed")
    model.released.set()
    # It has brought its own.
    assert (await running).tensors[0].data.tolist() == [[2]]


async def test_a_deadline_of_thirty_thousand_years_holds() -> None:
    model = await load(Doubler)

    response = await model.predict(rest([7], headers={"infergraph-timeout-ms": "1e15"}))

    assert values(response) == {"y": [14]}


async def test_a_deadline_that_passes_answers_504_and_the_item_never_runs() -> None:
    model = await load(HeldDoubler)
    running = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)

    assert await refusal(model, rest([7], headers={"infergraph-timeout-ms": "5"})) == (
        504,
        "model 'model': the deadline of 5 ms passed",
    )

    model.released.set()
    await running
    await model.predict(rest([1]))
    assert model.batches == [[0], [1]]


async def test_a_cancelled_request_never_runs() -> None:
    model = await load(HeldDoubler)
    running = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    gone = asyncio.ensure_future(model.predict(rest([7])))
    await settle()

    gone.cancel()
    await settle()
    model.released.set()
    await running
    await model.predict(rest([1]))

    assert gone.cancelled()
    assert model.batches == [[0], [1]]


# Failures


class Broken(Runtime):
    """Fails where `where` says, with a text that nobody else must see."""

    where = ""

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise ValueError("secret /home/user/weights")

    def prepare(self, item: Item) -> Item:
        self._fail("prepare")
        return item

    def length(self, item: Item) -> int:
        self._fail("length")
        return 1

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        self._fail("predict_batch")
        if self.where == "join":
            return [{"y": object()} for _ in items]
        return [{"y": int(item["x"][0])} for item in items]


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("prepare", "ValueError"),
        ("length", "ValueError"),
        ("predict_batch", "ValueError"),
        ("join", "TypeError"),
    ],
)
async def test_an_unexpected_error_keeps_its_text_to_the_log(
    where: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = await load(Broken, name=f"broken-{where}", max_queue_size=4)
    model.where = where
    # More often than the queue has places: a failure must give its place back.
    for _ in range(6):
        assert await refusal(model, rest([1])) == (
            500,
            f"model 'broken-{where}': it failed with {kind}; the server's log has the details",
        )

    assert failures(f"broken-{where}") == 6
    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)
    model.where = ""
    assert values(await model.predict(rest([1, 2]))) == {"y": [1, 2]}


async def test_an_error_while_encoding_keeps_its_text_to_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def encode(*args: Any) -> None:
        raise ValueError("secret")

    model = await load(Doubler)
    module = sys.modules["infergraph.servable"]
    monkeypatch.setattr(module, "write_response", encode)

    assert await refusal(model, rest([1])) == (
        500,
        "model 'model': it failed with ValueError; the server's log has the details",
    )


async def test_in_process_callers_get_the_same_errors() -> None:
    model = await load(Doubler)

    with pytest.raises(InvalidInput, match=r"^model 'model': tensor 'x': -1 is negative"):
        await model.infer(Message([Tensor.of("x", np.array([[-1]]))]), RequestContext())
    with pytest.raises(StageFailure, match=r"^model 'model': it failed with ValueError; "):
        await model.infer(Message([Tensor.of("x", np.array([[666]]))]), RequestContext())


# Preparation


class Prepared(Doubler):
    """Prepares in a pool thread, where it refuses negative numbers."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.threads: set[str] = set()

    def prepare(self, item: Item) -> Item:
        self.threads.add(threading.current_thread().name)
        value = int(item["x"][0])
        if value < 0:
            raise InvalidInput(f"tensor 'x': cannot prepare {value}")
        return {"x": [value + 100]}


async def test_items_are_prepared_in_order_and_off_the_loop() -> None:
    model = await load(Prepared)

    assert values(await model.predict(rest(list(range(20))))) == {
        "y": [2 * (n + 100) for n in range(20)]
    }
    assert all(name.startswith("infergraph-prepare") for name in model.threads)


async def test_an_item_that_cannot_be_prepared_fails_its_request_only() -> None:
    model = await load(Prepared, max_queue_size=8)
    answers = await asyncio.gather(
        *(model.predict(rest([n])) for n in (1, -2, 3)),
        return_exceptions=True,
    )

    assert [values(answers[n]) for n in (0, 2)] == [{"y": [202]}, {"y": [206]}]  # type: ignore[arg-type]
    assert isinstance(answers[1], MLServerError)
    assert str(answers[1]) == "model 'model': tensor 'x': cannot prepare -2"
    for _ in range(4):
        assert await refusal(model, rest([1, -2])) == (
            400,
            "model 'model': item 1: tensor 'x': cannot prepare -2",
        )
    assert values(await model.predict(rest([0] * 4))) == {"y": [200] * 4}


class Together(Prepared):
    """Refuses requests whose numbers are more than 10 together."""

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Item]:
        total = sum(int(item["x"][0]) for item in items)
        if total > 10:
            raise InvalidInput(f"tensor 'x': {total} together; accepted: at most 10")
        return self.prepare


class TogetherInline(Together):
    @property
    def blocking(self) -> bool:
        return False


@pytest.mark.parametrize("kind", [Together, TogetherInline])
async def test_items_that_are_not_acceptable_together(kind: type[Together]) -> None:
    model = await load(kind, max_queue_size=4)

    for _ in range(5):
        assert await refusal(model, rest([5, 6])) == (
            400,
            "model 'model': tensor 'x': 11 together; accepted: at most 10",
        )
    assert values(await model.predict(rest([4, 6]))) == {"y": [208, 212]}


# Models that answer on the event loop


class Inline(Prepared):
    @property
    def blocking(self) -> bool:
        return False

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        self.threads.add(threading.current_thread().name)
        results = super().predict_batch(items, parameters)
        return results[:1] if 700 in self.batches[-1] else results


async def test_an_inline_model_answers_on_the_loop() -> None:
    model = await load(Inline)

    response = await model.predict(rest([1, 2], trace=True))

    assert values(response) == {"y": [202, 204]}
    assert model.threads == {threading.current_thread().name}
    assert response.parameters is not None
    trace = json.loads(response.parameters.trace)  # type: ignore[attr-defined]
    assert (trace["queue_us"], trace["batch_size"]) == (0, 2)


@pytest.mark.parametrize(
    ("numbers", "status", "text"),
    [
        ([1, -2], 400, "tensor 'x': cannot prepare -2"),
        ([566], 500, "it failed with ValueError; the server's log has the details"),
        ([600, 1], 500, "it gave 1 results for 2 items"),
    ],
)
async def test_an_inline_models_failures(numbers: list[int], status: int, text: str) -> None:
    model = await load(Inline)

    assert await refusal(model, rest(numbers)) == (status, f"model 'model': {text}")


async def test_a_deadline_that_has_passed_runs_nothing_inline() -> None:
    model = await load(Inline)
    context = RequestContext(deadline=Deadline.after_ms(-1))

    with pytest.raises(InfergraphError, match="the deadline of -1 ms passed"):
        await model.infer(Message([Tensor.of("x", np.array([[1]]))]), context)

    assert model.batches == []


async def test_a_large_request_is_answered_off_the_loop() -> None:
    model = await load(Inline, name="inline-large")
    numbers = list(range(500))

    response = await model.predict(rest(numbers, trace=True))

    assert values(response) == {"y": [2 * (number + 100) for number in numbers]}
    (thread,) = model.threads
    assert thread.startswith("infergraph-inline-large")
    assert json.loads(response.parameters.trace)["batch_size"] == 500  # type: ignore[union-attr]


class HeldInline(Inline):
    """Waits in its thread for `released`; on the event loop it never waits."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.entered = threading.Event()
        self.released = threading.Event()

    def prepare(self, item: Item) -> Item:
        if threading.current_thread() is not threading.main_thread():
            self.entered.set()
            assert self.released.wait(timeout=60)
        return super().prepare(item)


async def test_small_requests_do_not_wait_for_a_large_one() -> None:
    model = await load(HeldInline)
    large = asyncio.ensure_future(model.predict(rest([1] * 500)))
    await asyncio.to_thread(model.entered.wait, 60)

    assert values(await model.predict(rest([1]))) == {"y": [202]}
    assert not large.done()
    model.released.set()
    await large


async def test_a_large_requests_deadline_passes_while_it_is_computed() -> None:
    model = await load(HeldInline)
    message = Message([Tensor.of("x", np.ones((500, 1), np.int64))])

    with pytest.raises(InfergraphError, match="the deadline of 5 ms passed"):
        await model.infer(message, RequestContext(deadline=Deadline.after_ms(5)))
    model.released.set()


async def test_an_answer_past_its_deadline_is_none() -> None:
    now = time.monotonic()
    times = iter([now, now + 60])

    class Passing(Deadline):
        def remaining(self) -> float:
            return self.at - next(times)

    model = await load(Inline)
    context = RequestContext(deadline=Passing(now + 30, 30_000))

    with pytest.raises(InfergraphError, match="the deadline of 30000 ms passed"):
        await model.infer(Message([Tensor.of("x", np.array([[1]]))]), context)
    assert model.batches == [[101]]


# A lost device


class Sticky(HeldDoubler):
    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        if any(int(item["x"][0]) == 13 for item in items):
            raise RuntimeError("CUDA error: device-side assert triggered\nsecret trace")
        return super().predict_batch(items, parameters)


async def test_a_lost_device_takes_the_model_out_of_service() -> None:
    model = await load(Sticky, name="sticky")
    model.ready = True
    running = asyncio.ensure_future(model.predict(rest([1])))
    await asyncio.to_thread(model.entered.wait, 60)
    bad = asyncio.ensure_future(model.predict(rest([13, 2])))
    await settle()
    model.released.set()

    assert values(await running) == {"y": [2]}
    text = (
        "model 'sticky': its device is lost to this server (device-side assert triggered); "
        "start the server again"
    )
    with pytest.raises(MLServerError) as caught:
        await bad
    assert (caught.value.status_code, str(caught.value)) == (503, text)
    assert model.batches == [[1]]
    assert not model.ready
    assert await refusal(model, rest([1])) == (503, text)
    assert refusals("sticky", "device_lost") == 2
    assert await model.unload() is True


async def test_out_of_memory_loses_no_device() -> None:
    class Full(Doubler):
        def predict_batch(
            self, items: Sequence[Item], parameters: Any
        ) -> Sequence[Outputs | InfergraphError]:
            if len(items) > 1:
                raise RuntimeError("CUDA error: out of memory")
            return super().predict_batch(items, parameters)

    model = await load(Full)
    model.ready = True

    # In halves it fits.
    assert values(await model.predict(rest([1, 2]))) == {"y": [2, 4]}
    assert model.ready
