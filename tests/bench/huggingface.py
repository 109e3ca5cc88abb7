"""Ours against MLServer's stock Hugging Face runtime: same checkpoint and requests, on the CPU.

The stock runtime has two best ways, so it runs in two servers: in the server's own process its
latency is lowest, in a worker process per core its throughput highest. Its adaptive batching is
left off: it doubled the latency and was no faster than workers. Both compute in FP32; a row beside
them says what ours gains in BF16, which the stock runtime has no setting for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.world import questions, reviews

from ..integration import huggingface
from ..integration.huggingface import StockServer
from ..integration.server import REPOSITORY, ServerProcess
from ..integration.v2 import GrpcClient
from . import repositories
from .bert_base import write_bert_base
from .drivers import GrpcDriver
from .rounds import Target, measure_in_turn, paired_ratio, table
from .shares import Shares, measure_shares

_CONCURRENCY = 16
_SEED = 7
_STOCK = "mlserver_huggingface.HuggingFaceRuntime"

Request = Mapping[str, str]


@dataclass(frozen=True)
class Task:
    """What both runtimes do.

    Attributes:
        model: Our servable; its settings and its embedded checkpoint are measured.
        stock_task: The stock runtime's name of the task.
        stock_inputs: Our input's name -> the stock one.
        said: Our output, and the field of the stock answer, that must be the same.
        requests: The requests, sent in turn.
        settings: What makes ours compute just what the stock pipeline does.
    """

    model: str
    stock_task: str
    stock_inputs: Mapping[str, str]
    said: str
    requests: Sequence[Request]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A checkpoint to measure, and how much it is asked.

    Attributes:
        title: What the checkpoint is.
        checkpoint: Its folder.
        calls: Calls per round and target at concurrency 1.
        together: Calls per round and target at concurrency 16.
        rounds: Most rounds.
        dtypes: What ours computes in; ratios are those of the first.
    """

    title: str
    checkpoint: Path
    calls: int
    together: int
    rounds: int
    dtypes: Sequence[str]


async def run(folder: Path, rounds: int) -> None:
    """Prints, for each task and checkpoint, both runtimes' speed and where ours spends its time."""
    if huggingface.MISSING is not None:
        print(f"\nStock Hugging Face runtime: left out; {huggingface.MISSING}")
        return
    for task in _tasks():
        embedded = REPOSITORY / "model-settings" / task.model / "embedded"
        base = folder / f"{task.model}-bert-base"
        write_bert_base(base, task.stock_task, embedded)
        for case in (
            Case("embedded checkpoint", embedded, 96, 192, rounds, ["fp32"]),
            Case("BERT base, untrained", base, 12, 32, min(rounds, 3), ["fp32", "bf16"]),
        ):
            await _compare(folder / task.model / case.title, task, case)
        shutil.rmtree(base)


def _tasks() -> Iterator[Task]:
    examples = questions(_SEED, 48, "held_out")
    yield Task(
        model="question-answering",
        stock_task="question-answering",
        stock_inputs={"question": "question", "context": "context"},
        said="answer",
        requests=[{"question": each.question, "context": each.context} for each in examples],
        settings={"no_answer": False, "max_answer_tokens": 15},
    )
    texts = iter([text for text, _ in reviews(_SEED, 200, "held_out")])
    sizes = (1, 6, 3, 4, 2, 5) * 8
    yield Task(
        model="sentiment",
        stock_task="text-classification",
        stock_inputs={"text": "array_inputs"},
        said="label",
        requests=[{"text": " ".join(itertools.islice(texts, size))} for size in sizes],
    )


async def _compare(folder: Path, task: Task, case: Case) -> None:
    workers = os.cpu_count() or 1
    stock_settings = _stock_settings(task, case.checkpoint)
    with contextlib.ExitStack() as stack:

        def start(server: ServerProcess) -> ServerProcess:
            return stack.enter_context(server)

        ours = [
            start(ServerProcess(_write(folder / dtype, _settings(task, case.checkpoint, dtype))))
            for dtype in case.dtypes
        ]
        stock = start(StockServer(_write(folder / "stock", stock_settings)))
        forked = start(StockServer(_write(folder / "workers", stock_settings, workers)))
        same = await _same_answers(task, ours[0], stock)
        targets = [
            Target("ours", _driver(task, ours[0], {})),
            Target("stock", _driver(task, stock, task.stock_inputs)),
            Target(f"stock, {workers} workers", _driver(task, forked, task.stock_inputs)),
            *(
                Target(f"ours, {dtype}", _driver(task, server, {}))
                for dtype, server in list(zip(case.dtypes, ours, strict=True))[1:]
            ),
        ]
        await measure_in_turn(
            targets, case.rounds, case.calls, concurrency=_CONCURRENCY, together=case.together
        )
        for target in targets:
            await target.driver.close()
    shares = await measure_shares(
        _settings(task, case.checkpoint, case.dtypes[0]), task.requests, _CONCURRENCY
    )
    _report(f"{task.model}, {case.title}", targets, same, len(task.requests), shares)


def _settings(task: Task, checkpoint: Path, dtype: str) -> dict[str, Any]:
    """Our servable's settings, with another checkpoint."""
    file = REPOSITORY / "model-settings" / task.model / "model-settings.json"
    settings: dict[str, Any] = json.loads(file.read_text())
    del settings["name"]
    settings["parameters"]["extra"] |= {
        "variant": "measured",
        "variants": {"measured": str(checkpoint)},
        "device": "cpu",
        "dtype": dtype,
        **task.settings,
    }
    return settings


def _stock_settings(task: Task, checkpoint: Path) -> dict[str, Any]:
    extra = {"task": task.stock_task, "framework": "pt", "device": "cpu"}
    return {
        "implementation": _STOCK,
        "parameters": {"uri": str(checkpoint), "extra": extra},
    }


def _write(root: Path, settings: dict[str, Any], parallel_workers: int = 0) -> Path:
    repositories.write_server(root, parallel_workers=parallel_workers, **repositories.STOCK)
    repositories.write_model(root, "measured", settings)
    return root


class _InTurn:
    """Calls several drivers in turn."""

    def __init__(self, drivers: Sequence[GrpcDriver]) -> None:
        self._drivers = drivers
        self._turn = itertools.cycle(drivers)

    async def __call__(self) -> None:
        await next(self._turn)()

    async def close(self) -> None:
        for driver in self._drivers:
            await driver.close()


def _driver(task: Task, server: ServerProcess, names: Mapping[str, str]) -> _InTurn:
    return _InTurn(
        [
            GrpcDriver(
                server.grpc_port,
                "measured",
                {names.get(name, name): text.encode() for name, text in request.items()},
            )
            for request in task.requests
        ]
    )


async def _same_answers(task: Task, ours: ServerProcess, stock: ServerProcess) -> int:
    """How many requests both answer alike."""
    our_client, stock_client = GrpcClient(ours.grpc_port), GrpcClient(stock.grpc_port)
    same = 0
    try:
        for request in task.requests:
            answer = await our_client.infer("measured", {k: [v] for k, v in request.items()})
            theirs = await stock_client.infer(
                "measured", {task.stock_inputs[name]: [text] for name, text in request.items()}
            )
            (said,), (document,) = answer.texts(task.said), theirs.texts("output")
            same += said == json.loads(document)[task.said]
    finally:
        await our_client.close()
        await stock_client.close()
    return same


def _report(title: str, targets: Sequence[Target], same: int, count: int, shares: Shares) -> None:
    ours, stock, forked = targets[:3]
    print(
        table(
            f"Stock Hugging Face runtime: {title}, gRPC",
            ["", "p50 ms", "p99 ms", f"req/s at {_CONCURRENCY}"],
            [
                [each.label, f"{each.p50:.1f}", f"{each.p99:.1f}", f"{each.throughput:.1f}"]
                for each in targets
            ],
        )
    )
    print(f"{count} requests of {shares.tokens[0]} to {shares.tokens[1]} tokens; ", end="")
    print(f"{same} answered alike")
    print(f"ours / stock, p50: {paired_ratio(ours, stock):.2f} (wanted <= 1)")
    print(
        f"ours / stock, throughput: {_gain(ours, stock):.2f} (wanted >= 2); "
        f"ours / {forked.label}: {_gain(ours, forked):.2f}"
    )
    print(
        f"ours: {shares.padding:.0%} of the tokens computed are padding; the tokenizer takes "
        f"{shares.tokenizer_ms:.2f} ms of a request, {shares.tokenizer:.0%} of it and the network"
    )


def _gain(numerator: Target, denominator: Target) -> float:
    return statistics.median(
        a.throughput / b.throughput
        for a, b in zip(numerator.together, denominator.together, strict=True)
    )
