"""Ours against MLServer's stock Hugging Face runtime: same checkpoint and requests, on the CPU.

The stock runtime has two best ways, so it runs in two servers: in the server's own process its
latency is lowest, in a worker process per core its throughput highest. Its adaptive batching is
left off: it doubled the latency and was no faster than workers. Both compute in FP32 with torch;
rows beside them say what ours gains in BF16, in INT8 and with OpenVINO, which the stock runtime has
no settings for.
"""

from __future__ import annotations

import contextlib
import importlib.util
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
_WAYS = {
    "ours": {"dtype": "fp32"},
    "ours, bf16": {"dtype": "bf16"},
    "ours, int8": {"dtype": "int8"},
    "ours, openvino": {"engine": "openvino", "dtype": "fp32"},
    "ours, openvino, bf16": {"engine": "openvino", "dtype": "bf16"},
}
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
        ways: Settings of how ours computes, by name; the first is to compute as the stock one.
    """

    title: str
    checkpoint: Path
    calls: int
    together: int
    rounds: int
    ways: Mapping[str, Mapping[str, str]]


async def run(folder: Path, rounds: int) -> None:
    """Prints, for each task and checkpoint, both runtimes' speed and where ours spends its time."""
    if huggingface.MISSING is not None:
        print(f"\nStock Hugging Face runtime: left out; {huggingface.MISSING}")
        return
    ways = dict(_WAYS)
    if importlib.util.find_spec("openvino") is None:
        print("\nThe engine openvino: left out; run: pip install 'infergraph[openvino]'")
        ways = {name: settings for name, settings in _WAYS.items() if "engine" not in settings}
    for task in _tasks():
        embedded = REPOSITORY / "model-settings" / task.model / "embedded"
        base = folder / f"{task.model}-bert-base"
        write_bert_base(base, task.stock_task, embedded)
        for case in (
            Case("embedded checkpoint", embedded, 96, 192, rounds, ways),
            Case("BERT base, untrained", base, 12, 32, min(rounds, 3), ways),
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
            start(ServerProcess(_write(folder / name, _settings(task, case.checkpoint, way))))
            for name, way in case.ways.items()
        ]
        stock = start(StockServer(_write(folder / "stock", stock_settings, **repositories.STOCK)))
        many = {**repositories.STOCK, "parallel_workers": workers}
        forked = start(StockServer(_write(folder / "workers", stock_settings, **many)))
        same = [await _same_answers(task, server, stock) for server in ours]
        targets = [
            Target("stock", _driver(task, stock, task.stock_inputs)),
            Target(f"stock, {workers} workers", _driver(task, forked, task.stock_inputs)),
            *(
                Target(name, _driver(task, server, {}))
                for name, server in zip(case.ways, ours, strict=True)
            ),
        ]
        await measure_in_turn(
            targets, case.rounds, case.calls, concurrency=_CONCURRENCY, together=case.together
        )
        for target in targets:
            await target.driver.close()
    shares = await measure_shares(
        _settings(task, case.checkpoint, next(iter(case.ways.values()))),
        task.requests,
        _CONCURRENCY,
    )
    _report(f"{task.model}, {case.title}", targets, same, len(task.requests), shares)


def _settings(task: Task, checkpoint: Path, way: Mapping[str, str]) -> dict[str, Any]:
    """Our servable's settings, with another checkpoint."""
    file = REPOSITORY / "model-settings" / task.model / "model-settings.json"
    settings: dict[str, Any] = json.loads(file.read_text())
    del settings["name"]
    settings["parameters"]["extra"] |= {
        "variant": "measured",
        "variants": {"measured": str(checkpoint)},
        "device": "cpu",
        **way,
        **task.settings,
    }
    return settings


def _stock_settings(task: Task, checkpoint: Path) -> dict[str, Any]:
    extra = {"task": task.stock_task, "framework": "pt", "device": "cpu"}
    return {
        "implementation": _STOCK,
        "parameters": {"uri": str(checkpoint), "extra": extra},
    }


def _write(root: Path, settings: dict[str, Any], **server: Any) -> Path:
    repositories.write_server(root, **server)
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


def _report(
    title: str, targets: Sequence[Target], same: Sequence[int], count: int, shares: Shares
) -> None:
    stock, forked, *ours = targets
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
    print(f"{count} requests of {shares.tokens[0]} to {shares.tokens[1]} tokens")
    for each, alike in zip(ours, same, strict=True):
        print(
            f"{each.label} / stock, p50: {paired_ratio(each, stock):.2f} (wanted <= 1); "
            f"throughput: {_gain(each, stock):.2f} (wanted >= 2 in FP32, 3 at best), "
            f"/ {forked.label}: {_gain(each, forked):.2f}; {alike} answered alike"
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
