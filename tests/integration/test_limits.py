"""Full queues, deadlines, clients that go away, and stages that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import FRONT_ENDS, HELD_QUEUE, TRANSPORTS, Connect, Echoes
from .repositories import TEXT, Gate, pipeline_text, write_echo, write_pipeline, write_server
from .server import ServerProcess, wait_for
from .test_bad_input import assert_refused
from .v2 import Answer, Client

TIMEOUT_HEADER = "infergraph-timeout-ms"
WAYS = [
    pytest.param("in-process", "held", id="alone"),
    *(pytest.param(transport, "through-held", id=transport) for transport in TRANSPORTS),
]
SINGLE = """
steps:
- name: stage
  inputs: [NAME.inputs.text]
output:
  steps: [stage]
"""


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition in a thread, so that requests go on meanwhile."""
    await asyncio.to_thread(wait_for, condition)


class Held:
    """Requests to the model `held`, whose gate is closed: one runs, the others wait."""

    def __init__(self, client: Client, model: str, gate: Gate) -> None:
        self._client, self._model, self._gate = client, model, gate
        self.waiting: list[asyncio.Task[Answer]] = []

    async def occupy(self, waiting: int) -> None:
        """One request runs, so many wait behind it in the model's queue."""
        self.running = self.send("first")
        await until(lambda: self._gate.noted("ran") == ["first"])
        self.waiting = [self.send(f"waiting {number}") for number in range(waiting)]
        await until(lambda: len(self._gate.noted("arrived")) == 1 + waiting)

    def send(self, text: str, **headers: str) -> asyncio.Task[Answer]:
        return asyncio.create_task(
            self._client.infer(self._model, {"text": [text]}, request_id=text, headers=headers)
        )


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(("transport", "model"), WAYS)
async def test_a_full_queue_is_503_and_those_inside_are_answered(
    echoes: Echoes, connect: Connect, transport: str, model: str, front_end: str
) -> None:
    gate = echoes.gate("held")
    held = Held(connect(echoes.servers[transport], front_end), model, gate)
    await held.occupy(HELD_QUEUE)
    refused = await held.send("one too many")
    gate.open()
    assert_refused(refused, 503, "'held'", "queue is full", f"{HELD_QUEUE} of {HELD_QUEUE}")
    assert (await held.running).texts("text") == ["first"]
    for number, task in enumerate(held.waiting):
        assert (await task).texts("text") == [f"waiting {number}"]
    assert "one too many" not in gate.noted("ran")


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(("transport", "model"), WAYS)
async def test_a_deadline_that_passes_is_504_and_what_waited_does_not_run(
    echoes: Echoes, connect: Connect, transport: str, model: str, front_end: str
) -> None:
    gate = echoes.gate("held")
    held = Held(connect(echoes.servers[transport], front_end), model, gate)
    await held.occupy(0)
    late = await held.send("late", **{TIMEOUT_HEADER: "250"})
    assert_refused(late, 504, "'held'", "deadline of 250 ms")
    if model != "held":
        assert_refused(late, 504, f"'{model}'")
    gate.open()
    assert (await held.running).texts("text") == ["first"]
    assert (await held.send("next")).texts("text") == ["next"]
    assert gate.noted("ran") == ["first", "next"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_pipeline_has_a_deadline_of_its_own(
    echoes: Echoes, connect: Connect, transport: str
) -> None:
    gate = echoes.gate("held")
    client = connect(echoes.servers[transport], "grpc")
    answer = await Held(client, "impatient", gate).send("late")
    assert_refused(answer, 504, "'impatient'", "'held'", "deadline of 300 ms")
    gate.open()
    # Another pipeline of the same step has no deadline.
    assert (await Held(client, "through-held", gate).send("next")).texts("text") == ["next"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("budget", ["soon", "-5", "0", "nan", "inf", ""])
async def test_a_deadline_that_is_no_time_is_400(
    echoes: Echoes, connect: Connect, front_end: str, budget: str
) -> None:
    for model in ("left", "cascade"):
        client = connect(echoes.stages, front_end)
        answer = await client.infer(model, {"text": ["a"]}, headers={TIMEOUT_HEADER: budget})
        assert_refused(answer, 400, TIMEOUT_HEADER, f"'{budget}'", "milliseconds")


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(("transport", "model"), WAYS)
async def test_a_client_that_goes_away_leaves_the_queue(
    echoes: Echoes, connect: Connect, transport: str, model: str, front_end: str
) -> None:
    gate = echoes.gate("held")
    held = Held(connect(echoes.servers[transport], front_end), model, gate)
    await held.occupy(HELD_QUEUE)
    assert (await held.send("refused")).status == 503
    for task in held.waiting:
        task.cancel()
    await asyncio.wait(held.waiting)
    gone = {f"waiting {number}" for number in range(HELD_QUEUE)}
    await until(lambda: set(gate.noted("cancelled")) == gone)
    # Their places are free again, and they never run.
    after = [held.send(f"after {number}") for number in range(HELD_QUEUE)]
    await until(lambda: len([each for each in gate.noted("arrived") if "after" in each]) == 4)
    gate.open()
    assert (await held.running).texts("text") == ["first"]
    answers = [(await task).texts("text") for task in after]
    assert answers == [[f"after {number}"] for number in range(HELD_QUEUE)]
    ran = gate.noted("ran")
    assert ran[0] == "first"
    assert sorted(ran[1:]) == [f"after {number}" for number in range(HELD_QUEUE)]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_a_stage_that_is_not_there_is_503(
    echoes: Echoes, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer("through-nothing", {"text": ["a"]})
    assert_refused(answer, 503, "'through-nothing'", "'left'", echoes.nothing[transport])
    assert (await client.infer("cascade", {"text": ["easy"]})).texts("answer") == ["easy"]


async def test_a_stage_may_start_after_its_router_and_stop_before(
    tmp_path: Path, connect: Connect
) -> None:
    stage_root, router_root = tmp_path / "stage", tmp_path / "router"
    write_echo(write_server(stage_root), "stage", TEXT, TEXT, {})
    stage = ServerProcess(stage_root)
    write_server(router_root)
    for name, endpoint in (("over-grpc", stage.grpc_url), ("over-rest", stage.url)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(pipeline_text(name, SINGLE.replace("NAME", name)))
        write_pipeline(router_root, name, file, TEXT, TEXT, {"endpoints": {"*": endpoint}})
    # The router starts first: a stage that is down must not keep it from loading.
    with ServerProcess(router_root) as router:
        client = connect(router, "grpc")

        async def ask(name: str) -> Answer:
            return await client.infer(name, {"text": ["a"]})

        async def ask_until_answered(name: str) -> Answer:
            answer = await ask(name)
            while answer.status == 503:
                await asyncio.sleep(0.05)
                answer = await ask(name)
            return answer

        for name in ("over-grpc", "over-rest"):
            assert_refused(await ask(name), 503, f"'{name}'", "'stage'")
        with stage:
            for name in ("over-grpc", "over-rest"):
                answer = await asyncio.wait_for(ask_until_answered(name), 120)
                assert answer.texts("text") == ["a"]
        for name in ("over-grpc", "over-rest"):
            assert_refused(await ask(name), 503, f"'{name}'", "'stage'")
