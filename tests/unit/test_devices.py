from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from infergraph import devices
from infergraph.devices import (
    Placement,
    available_devices,
    dtype_name,
    lost_device,
    moved,
    resolve_placement,
)
from infergraph.errors import ConfigurationError
from infergraph.machine import Sharing
from infergraph.settings import RuntimeOptions
from tests.imitation_openvino import ImitationOpenvino


def place(**options: Any) -> Placement:
    return resolve_placement(RuntimeOptions(**options), "asr")


class FakeMachine:
    """A machine with these accelerators, as torch reports it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fractions: list[tuple[float, str]] = []
        self._asked: list[str] = []
        self._native_bf16: frozenset[str] = frozenset()
        monkeypatch.setattr(torch.cuda, "device", self._device)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"a stream of {device}")
        monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", self._bf16)
        monkeypatch.setattr(
            torch.cuda,
            "set_per_process_memory_fraction",
            lambda share, device: self.fractions.append((share, str(device))),
        )
        self._patch = monkeypatch
        self.has()

    def has(self, gpus: int = 0, mps: bool = False, native_bf16: tuple[str, ...] = ()) -> None:
        self._patch.setattr(torch.cuda, "device_count", lambda: gpus)
        self._patch.setattr(torch.backends.mps, "is_available", lambda: mps)
        self._native_bf16 = frozenset(native_bf16)

    @contextlib.contextmanager
    def _device(self, device: torch.device) -> Iterator[None]:
        self._asked.append(str(device))
        yield
        self._asked.pop()

    def _bf16(self, including_emulation: bool = True) -> bool:
        return including_emulation or self._asked[-1] in self._native_bf16


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return FakeMachine(monkeypatch)


def test_without_accelerators_auto_is_the_cpu_in_fp32(machine: FakeMachine) -> None:
    placement = place()

    assert placement == Placement(torch.device("cpu"), torch.float32, False)
    assert str(placement) == "cpu in fp32"
    assert available_devices() == ["cpu"]


def test_auto_takes_the_first_gpu_and_its_fast_dtype(machine: FakeMachine) -> None:
    machine.has(gpus=2, native_bf16=("cuda:0",))

    assert str(place()) == "cuda:0 in bf16"
    assert str(place(device="cuda")) == "cuda:0 in bf16"
    assert str(place(device="cuda:1")) == "cuda:1 in fp16"
    assert str(place(device="cpu")) == "cpu in fp32"
    assert available_devices() == ["cpu", "cuda:0", "cuda:1"]


def test_auto_on_apple_silicon(machine: FakeMachine) -> None:
    machine.has(mps=True)

    assert str(place()) == "mps in fp32"
    assert str(place(dtype="fp16", compile=True)) == "mps in fp16, compiled"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_an_absent_device_is_an_error_and_not_the_cpu(machine: FakeMachine, device: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place(device=device)

    assert str(caught.value) == (
        f"model 'asr': setting 'device' = '{device}': no such device here; "
        "available: cpu; 'auto' takes the best of them"
    )


def test_the_error_lists_the_devices_there_are(machine: FakeMachine) -> None:
    machine.has(gpus=2)

    with pytest.raises(ConfigurationError, match="available: cpu, cuda:0, cuda:1; 'auto'"):
        place(device="cuda:2")


def test_bf16_that_a_gpu_only_emulates_is_refused(machine: FakeMachine) -> None:
    machine.has(gpus=1)

    with pytest.raises(ConfigurationError) as caught:
        place(device="cuda", dtype="bf16")

    assert str(caught.value) == (
        "model 'asr': setting 'dtype' = 'bf16': cuda:0 does not support it; "
        "accepted there: auto, fp32, fp16"
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_dtype_of_ones_choice(machine: FakeMachine, name: Any, dtype: torch.dtype) -> None:
    assert place(dtype=name).dtype is dtype
    assert dtype_name(dtype) == name


def test_memory_fraction_goes_to_the_placed_gpu(machine: FakeMachine) -> None:
    machine.has(gpus=2)
    place(device="cuda:1", memory_fraction=0.25)
    place(device="cuda:0")

    assert machine.fractions == [(0.25, "cuda:1")]


def test_memory_fraction_needs_a_gpu(machine: FakeMachine) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place(memory_fraction=0.5)

    assert str(caught.value) == (
        "model 'asr': setting 'memory_fraction' = 0.5 needs a CUDA device, "
        "but the model is placed on cpu"
    )


class Threads:
    """Notes what torch is told of threads, of which there are eight."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[int] = []
        sharing = Sharing(8)
        monkeypatch.setattr(torch, "set_num_threads", self.told.append)
        monkeypatch.setattr(devices, "core_sharing", lambda: sharing)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    return Threads(monkeypatch)


def test_a_model_alone_has_all_threads_and_each_of_several_its_share(
    machine: FakeMachine, threads: Threads
) -> None:
    first, second = place(), place()

    with first.computing():
        with second.computing(), second.computing():
            pass
        with second.computing():
            pass
    with second.computing():
        pass

    assert threads.told == [8, 4, 2, 4, 8]


def test_threads_of_its_own_are_a_models_alone(machine: FakeMachine, threads: Threads) -> None:
    with place(threads=3).computing():
        pass
    with place().computing():
        pass

    assert threads.told == [3, 8]


def test_a_model_on_a_gpu_leaves_the_cores_to_the_others(
    machine: FakeMachine, threads: Threads
) -> None:
    machine.has(gpus=1)

    with place(device="cuda").computing(), place(device="cpu").computing():
        pass

    assert threads.told == [1, 8]


def test_a_thread_computes_with_what_it_said_and_not_with_what_another_said() -> None:
    """torch's own number is that of the thread that said it last, for all that never did."""
    seen = []

    def compute(placement: Placement) -> None:
        with placement.computing():
            seen.append(torch.get_num_threads())

    for count in (3, 2):
        thread = threading.Thread(target=compute, args=(place(threads=count, device="cpu"),))
        thread.start()
        thread.join()

    def prepare() -> None:
        devices.one_thread()
        seen.append(torch.get_num_threads())

    one = threading.Thread(target=prepare)
    one.start()
    one.join()

    assert seen == [3, 2, 1]


@pytest.mark.parametrize(
    ("dtype", "has", "warned"),
    [
        ("bf16", {"avx2": True, "avx512_bf16": False}, True),
        ("bf16", {"avx512_bf16": True}, False),
        ("bf16", {"amx_bf16": True}, False),
        ("bf16", {"bf16": True}, False),
        ("fp16", {"avx512_bf16": True}, True),
        ("fp16", {"avx512_fp16": True}, False),
        ("bf16", {}, False),
        ("fp32", {"avx2": True}, False),
        ("auto", {"avx2": True}, False),
        ("int8", {"avx2": True}, False),
    ],
)
def test_a_format_that_the_cpu_emulates_is_told_once(
    dtype: str,
    has: dict[str, bool],
    warned: bool,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    with caplog.at_level(logging.WARNING):
        place(dtype=dtype)

    assert [record.getMessage() for record in caplog.records] == [
        f"model 'asr': setting 'dtype' = '{dtype}': this CPU only emulates it, which takes longer "
        "than fp32; accepted and faster: fp32, int8"
    ] * warned


def test_int8_is_for_cpus(machine: FakeMachine) -> None:
    machine.has(gpus=1, native_bf16=("cuda:0",))

    assert str(place(device="cpu", dtype="int8")) == "cpu in int8"
    assert place(device="cpu", dtype="int8").dtype is torch.float32
    with pytest.raises(ConfigurationError) as caught:
        place(dtype="int8")
    assert str(caught.value) == (
        "model 'asr': setting 'dtype' = 'int8': cuda:0 is not a CPU, for which alone it is; "
        "accepted there: auto, fp32, bf16, fp16"
    )


def test_what_computes_in_int8_is_not_compiled(machine: FakeMachine) -> None:
    with pytest.raises(ConfigurationError, match="setting 'compile' = True: what computes in int8"):
        place(dtype="int8", compile=True)


def test_openvino_is_for_the_cpu_beside_a_gpu(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(gpus=1, native_bf16=("cuda:0",))
    monkeypatch.setitem(sys.modules, "openvino", ImitationOpenvino())
    options = RuntimeOptions(engine="openvino")

    exact = resolve_placement(options, "asr", ("torch", "openvino"))
    rounded = resolve_placement(
        options.model_copy(update={"dtype": "bf16"}), "asr", ("torch", "openvino")
    )

    assert [str(each) for each in (exact, rounded)] == [
        "cpu in fp32, by openvino",
        "cpu in bf16, by openvino",
    ]
    # What goes in and comes out.
    assert {each.dtype for each in (exact, rounded)} == {torch.float32}
    with pytest.raises(ConfigurationError, match="not for this model's task; accepted: torch"):
        resolve_placement(options, "asr")


def test_place_casts_freezes_and_leaves_training_mode() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.9))

    placed = Placement(torch.device("cpu"), torch.bfloat16, False).place(network)

    assert {parameter.dtype for parameter in placed.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in placed.parameters())
    assert not placed.training


def test_values_go_to_a_gpu_from_pinned_memory() -> None:
    class Values:
        """What is done with it, since no GPU is needed for that."""

        def __init__(self, *done: object) -> None:
            self.done = done

        def pin_memory(self) -> Values:
            return Values(*self.done, "pinned")

        def to(self, device: torch.device, non_blocking: bool = False) -> Values:
            return Values(*self.done, str(device), non_blocking)

    def done(device: str) -> object:
        values: Any = Values()
        moved_values: Any = moved(values, torch.device(device))
        return moved_values.done

    assert done("cuda:1") == ("pinned", "cuda:1", True)
    assert done("cpu") == ("cpu", False)


def test_place_compiles_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.nn.Identity()
    monkeypatch.setattr(torch, "compile", lambda network: compiled)
    network = torch.nn.Identity()

    assert Placement(torch.device("cpu"), torch.float32, True).place(network) is compiled
    assert Placement(torch.device("cpu"), torch.float32, False).place(network) is network


@pytest.mark.parametrize(
    ("device", "is_compiled", "calls"),
    [("cpu", False, 0), ("cpu", True, 1), ("cuda:1", False, 1), ("cuda:1", True, 1)],
)
def test_networks_whose_first_calls_take_long_are_called_before_requests_come(
    device: str, is_compiled: bool, calls: int
) -> None:
    seen: list[bool] = []

    placement = Placement(torch.device(device), torch.float32, is_compiled)
    placement.finish([torch.nn.Identity()], lambda: seen.append(torch.is_inference_mode_enabled()))

    # As tasks compute.
    assert seen == [True] * calls


def test_each_model_on_cuda_computes_in_a_stream_of_its_own(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(gpus=2)
    entered: list[str] = []

    @contextlib.contextmanager
    def stream(which: str) -> Iterator[None]:
        entered.append(which)
        yield
        entered.append("left")

    monkeypatch.setattr(torch.cuda, "stream", stream)
    for placement in (place(device="cuda:1"), place(device="cpu")):
        with placement.computing():
            entered.append(str(placement.device))

    assert entered == ["a stream of cuda:1", "cuda:1", "left", "cpu"]


def test_memory_is_released_without_touching_an_unused_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    devices.release_memory()
    assert emptied == []

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    devices.release_memory()
    assert emptied == [True]


# Lost devices


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("CUDA error: an illegal memory access was encountered\nFor debugging ..."),
            "an illegal memory access was encountered",
        ),
        (
            torch.AcceleratorError("CUDA error: device-side assert triggered", 710),
            "device-side assert triggered",
        ),
        (RuntimeError("CUDA error: unspecified launch failure"), "unspecified launch failure"),
        (RuntimeError("CUDA error: out of memory"), None),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), None),
        (RuntimeError("CUDA error: invalid configuration argument"), None),
        (RuntimeError("shape '[2, 3]' is invalid for input of size 5"), None),
        (RuntimeError("device is unknown error"), None),
        (ValueError("CUDA error: device-side assert triggered"), None),
    ],
)
def test_a_lost_device_is_told_from_other_failures(error: Exception, said: str | None) -> None:
    assert lost_device(error) == said


def test_a_lost_device_is_seen_behind_the_error_that_it_caused() -> None:
    error = ValueError("generation failed")
    error.__cause__ = RuntimeError("CUDA error: misaligned address")

    assert lost_device(error) == "misaligned address"


def test_memory_of_a_lost_device_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lost)
    devices.release_memory()

    monkeypatch.setattr(
        torch.cuda, "empty_cache", lambda: (_ for _ in ()).throw(RuntimeError("other"))
    )
    with pytest.raises(RuntimeError, match="other"):
        devices.release_memory()
