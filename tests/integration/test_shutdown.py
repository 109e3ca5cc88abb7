"""SIGTERM under load.

A request counts as accepted once a model has begun to work on it: the model writes its id into a
file. Each of those must be answered, and rightly. Of the others a client learns by a connection
that is refused or closed before any byte of an answer, or by 503: it can safely ask elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from .conftest import FRONT_ENDS, Connect
from .repositories import (
    TEXT,
    Gate,
    pipeline_text,
    write_echo,
    write_gated,
    write_pipeline,
    write_server,
    write_test_model,
)
from .server import ServerProcess, wait_for
from .v2 import Client

CALLERS = 4
"""For each front end and model."""
GRACE_SECONDS = 20.0
CHAIN = """
steps:
- name: recorded
  inputs: [NAME.inputs.text]
- name: STEP
  inputs: [recorded.outputs.text]
output:
  steps: [STEP]
"""
PIPELINES = {"near": "later", "far": "stock"}
"""Pipeline -> its second step: called in process, or through the server's own gRPC port."""
MODELS = ("recorded", *PIPELINES)


def write_repository(root: Path) -> Gate:
    """An echo that records its requests, and pipelines in which another step follows it."""
    gate = Gate(root, "recorded")
    write_server(root / "models")
    write_test_model(
        root / "models", "recorded", "Recorded", TEXT, TEXT,
        {"ledger": str(gate.ledger), "service_time_ms": 60, "max_batch_size": 8},
    )  # fmt: skip
    write_echo(root / "models", "later", TEXT, TEXT, {"service_time_ms": 60})
    write_test_model(root / "models", "stock", "Wait", TEXT, TEXT)
    for name, step in PIPELINES.items():
        file = root / f"{name}.yaml"
        file.write_text(pipeline_text(name, CHAIN.replace("NAME", name).replace("STEP", step)))
        write_pipeline(root / "models", name, file, TEXT, TEXT)
    return gate


class Load:
    """Callers that ask again and again until the server takes no more."""

    def __init__(self) -> None:
        self.answered: list[str] = []
        self.refused: list[str] = []
        self.problems: list[str] = []

    async def call(self, client: Client, model: str, caller: int) -> None:
        """Asks until a request is not answered."""
        for number in range(10_000):
            name = f"{model} {client.kind} {caller} {number}"
            try:
                answer = await client.infer(model, {"text": [name]}, request_id=name)
            except aiohttp.ClientConnectionError:
                self.refused.append(name)
                return
            # gRPC cancels calls that it has received and not yet handed to MLServer.
            if answer.status in (499, 503):
                self.refused.append(name)
                return
            if answer.status != 200 or answer.texts("text") != [name]:
                self.problems.append(f"{name}: {answer}")
                return
            self.answered.append(name)

    def is_under_way(self, gate: Gate) -> bool:
        """Whether many were answered, and a request of each kind is being worked on now."""
        assert self.problems == []
        in_flight = set(gate.noted("arrived")) - set(self.answered)
        kinds = {tuple(name.split()[:2]) for name in in_flight}
        return len(self.answered) > 100 and len(kinds) == len(MODELS) * len(FRONT_ENDS)

    @asynccontextmanager
    async def running(
        self, clients: Sequence[Client], models: Sequence[str]
    ) -> AsyncIterator[None]:
        """Until the server stops; leaves once all callers have been turned away."""
        callers = [
            asyncio.create_task(self.call(client, model, caller))
            for client in clients
            for model in models
            for caller in range(CALLERS)
        ]
        try:
            yield
            await asyncio.wait_for(asyncio.gather(*callers), GRACE_SECONDS + 20)
        finally:
            for caller in callers:
                caller.cancel()


async def test_every_accepted_request_is_answered(tmp_path: Path, connect: Connect) -> None:
    gate = write_repository(tmp_path)
    environment = {"INFERGRAPH_GRACE_SECONDS": f"{GRACE_SECONDS:g}"}
    with ServerProcess(tmp_path / "models", environment) as server:
        load = Load()
        clients = [connect(server, front_end) for front_end in FRONT_ENDS]
        async with load.running(clients, MODELS):
            await asyncio.to_thread(wait_for, lambda: load.is_under_way(gate))
            before = set(load.answered)
            server.terminate()
        status = await asyncio.to_thread(server.wait_until_ended, GRACE_SECONDS + 10)
        assert load.problems == []
        accepted = set(gate.noted("arrived"))
        assert accepted - set(load.answered) == set()
        assert status == 0
    # Or nothing was in flight, and the test has shown nothing.
    kinds = {tuple(name.split()[:2]) for name in set(load.answered) - before}
    assert {model for model, _ in kinds} == set(MODELS)
    assert {front_end for _, front_end in kinds} == set(FRONT_ENDS)


async def test_requests_that_outlive_the_grace_period_do_not_hold_the_server(
    tmp_path: Path, connect: Connect
) -> None:
    root = write_server(tmp_path / "models")
    write_gated(root, "stuck", tmp_path, max_batch_size=1)
    gate = Gate(tmp_path, "stuck")
    gate.close()
    with ServerProcess(root, {"INFERGRAPH_GRACE_SECONDS": "1"}) as server:
        # One holds the model's thread, the others wait in its queue.
        requests = [
            asyncio.create_task(
                connect(server, front_end).infer(
                    "stuck", {"text": [f"{front_end} {number}"]}, request_id=front_end
                )
            )
            for front_end in FRONT_ENDS
            for number in range(2)
        ]
        await asyncio.to_thread(wait_for, lambda: len(gate.noted("arrived")) == len(requests))
        server.terminate()
        answers = await asyncio.gather(*requests, return_exceptions=True)
        # What runs in a thread cannot be interrupted; all else must have ended by now.
        gate.open()
        assert await asyncio.to_thread(server.wait_until_ended) == 0
    for answer in answers:
        assert isinstance(answer, aiohttp.ClientConnectionError) or answer.status >= 499
    assert len(gate.noted("ran")) == 1
