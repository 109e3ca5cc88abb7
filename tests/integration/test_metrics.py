"""The Prometheus endpoint: histograms of every model and every step, and no label from outside."""

from __future__ import annotations

import pytest

from .conftest import TRANSPORTS, Connect, Echoes
from .server import ServerProcess


class Counts:
    """How much samples have grown since this was made."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._before = server.metrics()

    def __getitem__(self, sample: str) -> float:
        return self._server.metrics()[sample] - self._before.get(sample, 0)


async def test_a_model_counts_its_batches_and_its_failures(
    echoes: Echoes, connect: Connect
) -> None:
    client = connect(echoes.stages, "grpc")
    counts = Counts(echoes.stages)
    assert (await client.infer("picky", {"text": ["a", "b", "c"]})).status == 200
    assert (await client.infer("picky", {"text": ["poison"]})).status == 400
    assert counts['infergraph_model_batch_size_count{model="picky"}'] == 2
    assert counts['infergraph_model_batch_size_sum{model="picky"}'] == 4
    assert counts['infergraph_model_compute_seconds_count{model="picky"}'] == 2
    assert counts['infergraph_model_compute_seconds_sum{model="picky"}'] >= 0.010
    assert counts['infergraph_model_queue_seconds_count{model="picky"}'] == 1
    # What the client sent was wrong: no failure of the model.
    assert counts['infergraph_model_failures_total{model="picky"}'] == 0
    assert counts['infergraph_model_errors_total{model="picky",status="400"}'] == 1
    assert counts['infergraph_model_refusals_total{cause="invalid",model="picky"}'] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_pipeline_counts_the_steps_that_fired(
    echoes: Echoes, connect: Connect, transport: str
) -> None:
    server = echoes.servers[transport]
    client = connect(server, "rest")
    counts = Counts(server)
    for text in ("easy", "easy", "hard"):
        assert (await client.infer("cascade", {"text": [text]})).status == 200
    labels = 'pipeline="cascade",step="{}"'
    for step, calls in (("sorter", 3), ("heavy", 1)):
        label = labels.format(step)
        assert counts[f"infergraph_step_seconds_count{{{label}}}"] == calls
        assert counts[f'infergraph_step_seconds_bucket{{le="+Inf",{label}}}'] == calls
        assert counts[f"infergraph_step_seconds_sum{{{label}}}"] > 0


async def test_names_that_clients_make_up_do_not_become_labels_of_ours(
    echoes: Echoes, connect: Connect
) -> None:
    for front_end in ("rest", "grpc"):
        client = connect(echoes.stages, front_end)
        assert (await client.infer("made-up-name", {"text": ["a"]})).status == 404
    samples = [name for name in echoes.stages.metrics() if name.startswith("infergraph_")]
    assert samples
    assert not [name for name in samples if "made-up-name" in name]
