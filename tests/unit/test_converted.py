"""Networks that OpenVINO computes: here one that runs torch's traces, see `ImitationOpenvino`.

That the real one answers as torch does is tested with the tasks, in `tasks/test_engines.py`.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from infergraph import converted, devices
from infergraph.converted import convert
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, StageFailure
from infergraph.importing import LOADING
from tests.imitation_openvino import ImitationOpenvino


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> ImitationOpenvino:
    imitation = ImitationOpenvino()
    monkeypatch.setitem(sys.modules, "openvino", imitation)
    return imitation


class Network(nn.Module):
    """Its answer has the kind of structure that one of transformers or torchvision has."""

    def __init__(self, kind: str = "tensor") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)
        self.kind = kind

    def forward(self, values: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        answer = self.layer(values)
        if mask is not None:
            answer = answer * mask[..., None]
        if self.kind == "dict":
            return OrderedDict(rows=answer, whole=answer.sum(dim=1))
        if self.kind == "lists":
            return [answer], (answer + 1,)
        if self.kind == "output":
            return QuestionAnsweringModelOutput(
                start_logits=answer[..., 0], end_logits=answer[..., 1]
            )
        return answer


def examples(network: nn.Module) -> None:
    for shape in ((2, 5, 4), (1, 7, 4)):
        network(torch.randn(shape))


def placed(network: nn.Module) -> nn.Module:
    cpu = Placement(torch.device("cpu"), torch.float32, False, threads=3, openvino="fp32")
    return cpu.place(network)


def refusal(network: nn.Module, run: Any = examples) -> str:
    forward = network.forward
    weights = [each.clone() for each in network.parameters()]
    with pytest.raises(ConfigurationError) as caught:
        convert([network], lambda: run(network), "fp32", 1)
    assert network.forward == forward
    for before, after in zip(weights, network.parameters(), strict=True):
        assert torch.equal(before, after)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["tensor", "dict", "lists", "output"])
def test_the_answer_is_what_it_was(kind: str, openvino: ImitationOpenvino) -> None:
    network = placed(Network(kind))
    values = torch.randn(3, 2, 4)
    wanted = network(values)
    openvino.change = lambda answer: answer + 1e-5

    convert([network], lambda: examples(network), "fp32", 1)

    found = network(values)
    assert type(found) is type(wanted)
    # The small difference is OpenVINO's own.
    torch.testing.assert_close(
        converted._tensors(found), converted._tensors(wanted), atol=2e-5, rtol=0
    )
    assert not torch.equal(converted._tensors(found)[0], converted._tensors(wanted)[0])


def test_arguments_by_name(openvino: ImitationOpenvino) -> None:
    network = placed(Network())

    def run() -> None:
        for shape in ((2, 5), (1, 7)):
            network(values=torch.randn(*shape, 4), mask=torch.ones(shape, dtype=torch.long))

    values, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 0, 0]])
    wanted = network(values=values, mask=mask)

    convert([network], run, "fp32", 1)

    torch.testing.assert_close(network(values=values, mask=mask), wanted)
    with pytest.raises(TypeError, match="called with"):
        network(values)


def test_its_weights_are_freed_and_its_hooks_still_run(openvino: ImitationOpenvino) -> None:
    network = placed(Network())
    convert([network], lambda: examples(network), "fp32", 1)

    assert sum(each.numel() for each in network.parameters()) == 0
    assert {each.device.type for each in network.parameters()} == {"cpu"}
    openvino.change = lambda answer: answer * float("nan")
    with pytest.raises(StageFailure, match="no numbers, in fp32"):
        network(torch.randn(2, 5, 4))


def test_parts_of_a_network_are_converted_from_the_same_run(openvino: ImitationOpenvino) -> None:
    first, second = Network(), nn.Linear(3, 2)
    network = placed(nn.Sequential(first, second))
    values = torch.randn(4, 6, 4)
    wanted = network(values)

    convert([first, second], lambda: examples(network), "fp32", 1)

    torch.testing.assert_close(network(values), wanted)
    assert len(openvino.compiled) == 2


def test_what_it_is_compiled_for(openvino: ImitationOpenvino) -> None:
    network = placed(Network())
    convert([network], lambda: examples(network), "bf16", 3)

    # What a conversion changed is seen in fp32.
    assert [each["INFERENCE_PRECISION_HINT"] for each in openvino.compiled] == ["f32", "bf16"]
    assert {each["INFERENCE_NUM_THREADS"] for each in openvino.compiled} == {3}
    assert not any(each["ENABLE_CPU_PINNING"] for each in openvino.compiled)


@pytest.fixture
def share() -> Iterator[Callable[[int], None]]:
    """Sets the calling thread's share of the threads."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def compiled_so_far(openvino: ImitationOpenvino) -> list[int]:
    """For how many threads, once nothing is being compiled."""
    converted._compiling().submit(lambda: None).result()
    return [each["INFERENCE_NUM_THREADS"] for each in openvino.compiled]


def test_it_is_compiled_once_for_each_share_of_the_threads(
    openvino: ImitationOpenvino, share: Callable[[int], None]
) -> None:
    network = placed(Network())
    values = torch.randn(2, 3, 4)
    wanted = network(values)
    used: list[int] = []
    openvino.infers = used.append
    convert([network], lambda: examples(network), "fp32", 8, shared=True)
    del used[:]

    for threads in (8, 3, 5, 1, 3, 64):
        share(threads)
        torch.testing.assert_close(network(values), wanted)
        # The call itself did not wait for it.
        assert compiled_so_far(openvino)[0] == 8
        torch.testing.assert_close(network(values), wanted)

    assert compiled_so_far(openvino) == [8, 2, 4, 1]
    assert used == [8, 8, 8, 2, 8, 4, 2, 1, 2, 2, 8, 8]


def test_with_threads_of_its_own_it_takes_no_share(
    openvino: ImitationOpenvino, share: Callable[[int], None]
) -> None:
    network = placed(Network())
    convert([network], lambda: examples(network), "fp32", 8)
    share(1)

    network(torch.randn(2, 3, 4))

    assert compiled_so_far(openvino) == [8]


def test_a_share_that_it_cannot_be_compiled_for(
    openvino: ImitationOpenvino, share: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    network = placed(Network())
    values = torch.randn(2, 3, 4)
    wanted = network(values)
    convert([network], lambda: examples(network), "fp32", 2, shared=True)
    share(1)

    def fail() -> None:
        raise RuntimeError("no memory")

    openvino.compiling = fail
    for _ in range(2):
        torch.testing.assert_close(network(values), wanted)
        assert compiled_so_far(openvino) == [2]

    assert [record.getMessage() for record in caplog.records] == [
        "the engine openvino could not compile Network for 1 threads (no memory): it goes on with "
        "more while other models compute"
    ]


def test_a_placement_shares_threads_unless_it_has_its_own(
    openvino: ImitationOpenvino, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, bool]] = []

    def note(networks: Any, run: Any, number_format: str, threads: int, *, shared: bool) -> None:
        told.append((threads, shared))

    monkeypatch.setattr(converted, "convert", note)
    monkeypatch.setattr(devices, "compute_threads", lambda: 16)

    for threads in (3, None):
        placement = Placement(
            torch.device("cpu"), torch.float32, False, threads=threads, openvino="fp32"
        )
        placement.finish([], examples)

    assert told == [(3, False), (16, True)]


def test_rounding_is_not_judged(openvino: ImitationOpenvino) -> None:
    network = placed(Network())

    def rounded(answer: Any) -> Any:
        return answer * 1.05 if len(openvino.compiled) == 2 else answer

    openvino.change = rounded

    convert([network], lambda: examples(network), "bf16", 1)

    assert len(openvino.compiled) == 2


def test_another_answer_is_refused(openvino: ImitationOpenvino) -> None:
    openvino.change = lambda answer: answer * 1.05

    assert refusal(placed(Network())) == (
        "setting 'engine' = 'openvino': it cannot compute Network (its answers are off torch's by "
        "0.05 of them); accepted: torch"
    )


def test_an_answer_that_is_no_number_is_refused(openvino: ImitationOpenvino) -> None:
    openvino.change = lambda answer: answer * float("nan")

    assert "its answers are off torch's by nan of them" in refusal(placed(Network()))


def test_a_length_that_the_trace_took_for_fixed_is_refused(openvino: ImitationOpenvino) -> None:
    class Counting(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            steps = [values[:, step] for step in range(values.shape[1])]
            return torch.stack(steps).sum(dim=0)

    class Positions(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values.new_ones(int(values.shape[1]))

    assert "cannot compute Counting (its answers are off torch's" in refusal(placed(Counting()))
    assert "cannot compute Positions ([5] where torch gives [7])" in refusal(placed(Positions()))


def test_what_cannot_be_converted_is_refused_in_one_line(openvino: ImitationOpenvino) -> None:
    def fail() -> None:
        raise RuntimeError("operator X\n  is not supported" + 1000 * "!")

    openvino.converting = fail

    text = refusal(placed(Network()))

    assert "(operator X is not supported!" in text
    assert text.endswith("!); accepted: torch")
    assert "\n" not in text
    assert len(text) < 400


def test_nothing_else_is_loaded_meanwhile(openvino: ImitationOpenvino) -> None:
    free: list[bool] = []

    def look() -> None:
        other = threading.Thread(target=lambda: free.append(LOADING.acquire(blocking=False)))
        other.start()
        other.join()

    openvino.converting = look
    network = placed(Network())

    convert([network], lambda: examples(network), "fp32", 1)

    assert free == [False]


def test_torch_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    network = nn.Linear(2, 2)
    forward = network.forward

    Placement(torch.device("cpu"), torch.float32, False).finish([network], pytest.fail)

    assert network.forward == forward


def test_its_use_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openvino_telemetry.py").write_text("")
    (tmp_path / "openvino.py").write_text(
        "try:\n    import openvino_telemetry\nexcept ImportError:\n    openvino_telemetry = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [each for each in sys.modules if each.partition(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)

    imported = converted._openvino()
    # What was there comes back.
    del sys.modules["openvino"]

    assert imported.openvino_telemetry is None
    # Whoever else wants it may have it.
    assert importlib.import_module("openvino_telemetry").__file__
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
