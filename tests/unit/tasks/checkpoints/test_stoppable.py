"""Networks of every task end between their layers once nobody waits, and answer as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from infergraph.batching import BatchAbandoned
from infergraph.runtime import Runtime
from infergraph.tasks.checkpoints.stoppable import stoppable
from tests.checkpoints import TEXT
from tests.exhaustive import one_in
from tests.pictures import pattern_file
from tests.sounds import chirps

from ..conftest import Checks, Serve

PICTURES = [{"image": pattern_file(160, 120, seed=1)}, {"image": pattern_file(96, 200, seed=2)}]
TEXTS = [{"text": "the keeper counts gulls"}, {"text": "seven grey gulls"}]
SOUNDS = [{"samples": chirps(seconds, 3)} for seconds in (0.6, 2.5)]
QUESTIONS = [
    {"question": "who?", "context": "Mira Solano"},
    {"question": "who lives there?", "context": " ".join([TEXT] * 4)},
]
BOXES = [
    {
        **picture,
        "boxes": np.array([[0, 0, 90, 100], [10, 10, 60, 70]], np.float32),
        "num_detections": np.array([2]),
    }
    for picture in PICTURES
]

CASES: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "bert-qa": (
        "question-answering",
        {"max_answer_tokens": 8, "doc_stride": 10, "max_batch_size": 2},
        QUESTIONS,
    ),
    "roberta": ("language-identification", {}, TEXTS),
    "marian": ("translation-fr-en", {"num_beams": 1}, TEXTS),
    "pegasus": ("summarization", {"num_beams": 3}, TEXTS),
    "t5": ("translation-en-de", {"do_sample": True, "seed": 3, "max_new_tokens": 12}, TEXTS),
    "wav2vec2-bert": ("speech-to-text", {"chunk_seconds": 1}, SOUNDS),
    "speech2text": ("speech-to-text", {"chunk_seconds": 1}, SOUNDS),
    "whisper-multilingual": ("speech-to-text", {}, SOUNDS),
    "vit": ("alexnet", {}, PICTURES),
    "timm-mobilenet": ("alexnet", {}, PICTURES),
    "torchvision-googlenet": ("alexnet", {}, PICTURES),
    "yolos": ("object-detection", {"threshold": 0.1}, PICTURES),
    "compact-fcos": ("object-detection", {"threshold": 0.1}, PICTURES),
    "trocr": ("plate-reading", {"locator": None, "max_new_tokens": 8}, BOXES),
}
"""Checkpoint -> the model that serves it here, settings, and items."""


@pytest.fixture
def calls() -> Iterator[list[nn.Module]]:
    """The modules of any network whose call has ended, in order."""
    ended: list[nn.Module] = []
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, outputs: ended.append(module)
    )
    yield ended
    hook.remove()


def answers(runtime: Runtime, work: Sequence[Any], parameters: Any) -> Sequence[Any]:
    """What comes of prepared items, all in one batch."""
    if not runtime.continuous:
        return runtime.predict_batch(work, parameters)
    running = runtime.running(parameters)
    for number, item in enumerate(work):
        running.add(number, item, parameters)
    written: dict[int, Any] = {}
    while len(written) < len(work):
        written.update(running.step())
    return [written[number] for number in range(len(work))]


async def prepared(
    case: str, checkpoint: Callable[[str], str], serve: Serve
) -> tuple[Runtime, Callable[[], Any]]:
    """The case's runtime, and what answers its items, all in one batch."""
    task, settings, items = CASES[case]
    runtime = await serve(task, checkpoint(case), **settings)
    work = [runtime.prepare(dict(item)) for item in items]
    given = runtime.parameters_class
    parameters = None if given is None else runtime.accept(given())
    return runtime, lambda: answers(runtime, work, parameters)


@pytest.mark.parametrize("case", one_in(2, CASES))
async def test_an_abandoned_batch_ends_at_any_check_and_the_next_is_answered(
    case: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    checks: Checks,
    calls: list[nn.Module],
) -> None:
    _, answer = await prepared(case, checkpoint, serve)
    checks.restart()
    calls.clear()
    expected = answer()
    total, work = checks.made, len(calls)

    done = []
    for last in (1, 2 * total // 3, total):
        checks.restart(abandoned_at=last)
        calls.clear()
        with pytest.raises(BatchAbandoned):
            answer()
        # Nothing went on after it.
        assert checks.made == last
        done.append(len(calls))

    assert total >= 5
    assert done[0] < done[1] < done[2] <= work
    assert done[0] < work / 5
    checks.restart()
    np.testing.assert_equal(answer(), expected)


def gaps(answer: Callable[[], Any], checks: Checks, calls: list[nn.Module]) -> list[int]:
    """How many modules ran between one check and the next."""
    done: list[int] = []
    checks.at_each = lambda: done.append(len(calls))
    calls.clear()
    answer()
    return [after - before for before, after in zip(done, [*done[1:], len(calls)], strict=True)]


async def test_a_longer_context_means_more_checks_not_more_between_two(
    checkpoint: Callable[[str], str], serve: Serve, checks: Checks, calls: list[nn.Module]
) -> None:
    settings = {"max_answer_tokens": 8, "doc_stride": 10, "max_batch_size": 2}
    runtime = await serve("question-answering", checkpoint("bert-qa"), **settings)
    short, long = (
        runtime.prepare({"question": "who?", "context": " ".join([TEXT] * times)})
        for times in (1, 150)
    )

    few = gaps(lambda: runtime.predict_batch([short], None), checks, calls)
    many = gaps(lambda: runtime.predict_batch([long] * 2, None), checks, calls)

    assert len(many) > 20 * len(few)
    assert max(many) == max(few)


@pytest.mark.parametrize("beams", [1, 3])
async def test_more_tokens_mean_more_checks_not_more_between_two(
    beams: int,
    checkpoint: Callable[[str], str],
    serve: Serve,
    checks: Checks,
    calls: list[nn.Module],
) -> None:
    runtime = await serve("translation-fr-en", checkpoint("marian"), num_beams=beams)
    work = [runtime.prepare(dict(item)) for item in TEXTS]
    given = runtime.parameters_class
    assert given is not None
    few, many = (
        gaps(
            lambda: answers(
                runtime,
                work,
                runtime.accept(given(min_new_tokens=tokens, max_new_tokens=tokens)),  # noqa: B023
            ),
            checks,
            calls,
        )
        for tokens in (2, 20)
    )

    # Two layers of the decoder, and the decoder itself.
    assert len(many) >= len(few) + 18 * 3
    assert max(many) == max(few)


class Noting(nn.Module):
    """Notes that it ran."""

    def __init__(self, name: str, ran: list[str]) -> None:
        super().__init__()
        self.name = name
        self.ran = ran

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.ran.append(self.name)
        return values + 1


class Layered(nn.Module):
    """A network of a stem, two stages of two layers each, and one layer that is used twice."""

    def __init__(self, ran: list[str]) -> None:
        super().__init__()
        self.stem = Noting("stem", ran)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*(Noting(f"{stage}.{layer}", ran) for layer in range(2)))
                for stage in range(2)
            )
        )
        twice = Noting("twice", ran)
        self.tail = nn.ModuleList([twice, twice])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.stages(self.stem(values))
        for layer in self.tail:
            values = layer(values)
        return values


def test_each_layer_is_left_out_once_nobody_waits(checks: Checks) -> None:
    ran: list[str] = []
    network = stoppable(Layered(ran))
    order = ["stem", "0.0", "0.1", "1.0", "1.1", "twice", "twice"]
    with torch.inference_mode():
        assert int(network(torch.tensor(0))) == 7
    assert ran == order

    # Before the network, its stem, its stages as a whole, and each of six layers.
    assert checks.made == 9
    for last, done in zip(range(1, 10), [0, 0, 1, 1, 2, 3, 4, 5, 6], strict=True):
        ran.clear()
        checks.restart(abandoned_at=last)
        with pytest.raises(BatchAbandoned):
            network(torch.tensor(0))
        assert ran == order[:done]


def test_a_compiled_network_is_whole_and_checks_once(checks: Checks) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).requires_grad_(False)
    values = torch.ones(4, 2)
    expected = network(values)
    # It fails if anything of the network cannot be compiled.
    compiled: Any = stoppable(torch.compile(network, backend="eager", fullgraph=True))

    assert torch.equal(compiled(values), expected)
    assert checks.made == 1
    checks.restart(abandoned_at=1)
    with pytest.raises(BatchAbandoned):
        compiled(values)
