from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mlserver.errors import MLServerError
from prometheus_client import REGISTRY

from infergraph.errors import InfergraphError, InvalidInput, StageFailure
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


async def test_a_raw_request_is_answered_with_arrays() -> None:
    model = await load(Doubler)

    (output,) = (await model.predict(raw([3, 21]))).outputs

    assert isinstance(output.data.root, np.ndarray)
    assert output.data.root.tolist() == [[6], [42]]


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
        (rest([1.5]), 422, "tensor 'x' has datatype INT64, but data holds 1.5 (float64); accepted"),
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
    assert as_raw.outputs[0].data.root.tolist() == [["ÉTÉ".encode()]]  # type: ignore[union-attr]


async def test_text_that_is_not_utf8() -> None:
    model = await load(Upper, inputs=TEXT, outputs=TEXT)

    assert await refusal(model, raw([b"ok", b"a\xff"], "BYTES", "text")) == (
        400,
        "model 'model': tensor 'text', item 1: not valid UTF-8 (byte 1 is 0xff); "
        "accepted: UTF-8 text",
    )


# Overload and deadlines


async def test_a_full_queue_answers_503_and_recovers() -> None:
    model = await load(HeldDoubler, max_queue_size=2)
    running = asyncio.ensure_future(model.predict(rest([0])))
    await asyncio.to_thread(model.entered.wait, 60)
    waiting = asyncio.ensure_future(model.predict(rest([1, 2])))
    await settle()

    assert await refusal(model, rest([3])) == (
        503,
        "model 'model': its queue is full (2 of 2 items wait); try again later",
    )
    assert await refusal(model, rest([1, 2, 3])) == (
        400,
        "model 'model': the request holds 3 items; accepted: at most 2 (setting 'max_queue_size')",
    )
    model.released.set()
    await asyncio.gather(running, waiting)
    assert values(await model.predict(rest([4, 5]))) == {"y": [8, 10]}


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
    model = await load(Broken, name=f"broken-{where}", max_queue_size=2)
    model.where = where
    # More often than the queue has places: a failure must give its place back.
    for _ in range(4):
        assert await refusal(model, rest([1])) == (
            500,
            f"model 'broken-{where}': it failed with {kind}; the server's log has the details",
        )

    assert failures(f"broken-{where}") == 4
    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)
    model.where = ""
    assert values(await model.predict(rest([1, 2]))) == {"y": [1, 2]}


async def test_an_error_while_encoding_keeps_its_text_to_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def encode(*args: Any) -> None:
        raise ValueError("secret")

    model = await load(Doubler)
    # The package's name `answer` is the function; the module is found by its path only.
    module = sys.modules["infergraph.server.answer"]
    monkeypatch.setattr(module, "encode_response", encode)

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

    def setup(self) -> None:
        super().setup()
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
    model = await load(Prepared, max_queue_size=4)
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
