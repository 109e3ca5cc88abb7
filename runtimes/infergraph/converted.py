"""Networks that OpenVINO computes in torch's place, on a CPU, often in less time.

A network is traced with torch, converted and compiled once, for inputs of any size; before it
serves, it must answer calls of several shapes as torch does. OpenVINO settles how many threads a
network has when it compiles it: for the smaller shares of the cores that it has while other models
compute, it is compiled again, in the background, when it first has one.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import (
    tree_flatten,
    tree_leaves,
    tree_map_only,
    tree_structure,
    tree_unflatten,
)

from .errors import ConfigurationError
from .importing import alone

logger = logging.getLogger(__name__)

_TELEMETRY = "openvino_telemetry"
_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""The settings' names of number formats -> OpenVINO's."""
_MOST_OFF = 1e-3
"""How far answers in FP32 may be from torch's, as a share of all values of a tensor."""


Call = tuple[tuple[Any, ...], dict[str, Any], Any]
"""Arguments, arguments by name, and what a network answers."""


def convert(
    networks: Sequence[nn.Module],
    run: Callable[[], Any],
    number_format: str,
    threads: int,
    *,
    shared: bool = False,
) -> None:
    """Has OpenVINO compute what networks compute, each by itself.

    Their own hooks still run, those of their parts do not. Their weights are freed, and must not be
    those of another network. One thread at a time calls them then.

    Args:
        networks: In FP32, on the CPU, in evaluation mode; their `forward` is replaced.
        run: Calls each of them at least twice, as it will be called: first with several items, then
            with other numbers and sizes of them. What is the same each time may be taken for fixed.
        number_format: `fp32`, or `bf16`: what they compute in. Tensors stay in FP32.
        threads: Most threads of a call.
        shared: Whether a call has no more threads than torch has in its thread: as many, or half, a
            quarter and so on of `threads`.

    Raises:
        ConfigurationError: one cannot be converted, or then does not answer as it did.
    """
    with alone(), torch.no_grad():
        for network, calls in zip(networks, _calls(networks, run), strict=True):
            try:
                converted = _converted(network, calls, number_format, threads, shared)
            except Exception as error:
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                raise ConfigurationError(
                    f"setting 'engine' = 'openvino': it cannot compute {type(network).__name__} "
                    f"({reason}); accepted: torch"
                ) from error
            network.forward = converted
            for weights in network.parameters():
                weights.data = weights.data.new_empty(0)


def _calls(networks: Sequence[nn.Module], run: Callable[[], Any]) -> list[list[Call]]:
    """The calls of each network that are made meanwhile."""
    calls: dict[nn.Module, list[Call]] = {each: [] for each in networks}

    def note(network: nn.Module, arguments: Any, named: Any, answer: Any) -> None:
        # Whoever goes on with them may change them.
        calls[network].append(tree_map_only(torch.Tensor, torch.clone, (arguments, named, answer)))

    handles = [each.register_forward_hook(note, with_kwargs=True) for each in networks]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return list(calls.values())


def _converted(
    network: nn.Module, calls: Sequence[Call], number_format: str, threads: int, shared: bool
) -> _Converted:
    model = _traced(network, calls[0])
    name = type(network).__name__
    converted = _Converted(functools.partial(_compiled, model, "fp32"), calls[0], threads)
    for call in calls:
        _check_alike(converted, call)
    # Rounding is not what a conversion is judged by.
    if number_format != "fp32":
        compiled = functools.partial(_compiled, model, number_format)
        converted = _Converted(compiled, calls[0], threads)
    if shared:
        converted.share(name)
    return converted


class _Converted:
    """Takes what a network takes, and gives what it gives.

    Args:
        compiled: Compiles it for a number of threads.
        call: One of the calls that it is traced from.
        threads: Most threads of a call.
    """

    def __init__(self, compiled: Callable[[int], Any], call: Call, threads: int) -> None:
        *taken, answer = call
        self._taken = tree_structure(tuple(taken))
        self._given, self._answer = tree_flatten(answer)
        self._threads = threads
        self._compiled = compiled
        self._requests = {threads: compiled(threads).create_infer_request()}
        self._name: str | None = None

    def share(self, name: str) -> None:
        """Has it take the calling thread's share of the threads; `name` names it in the log."""
        self._name = name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        tensors, taken = tree_flatten((arguments, named))
        if taken != self._taken:
            raise TypeError(f"called with {taken}; accepted: {self._taken}")
        found = self._request().infer([each.numpy() for each in tensors], share_inputs=True)
        answers = iter(found.to_tuple())
        return tree_unflatten(
            [
                torch.from_numpy(next(answers)) if isinstance(each, torch.Tensor) else each
                for each in self._given
            ],
            self._answer,
        )

    def _request(self) -> Any:
        """The one for the most threads that the calling thread's share allows."""
        threads = self._threads
        if self._name is not None:
            while threads > torch.get_num_threads():
                threads //= 2
            if threads not in self._requests:
                # Until it is there, the next larger one serves.
                larger = min(each for each in self._requests if each > threads)
                self._requests[threads] = self._requests[larger]
                _compiling().submit(self._compile, threads)
        return self._requests[threads]

    def _compile(self, threads: int) -> None:
        try:
            self._requests[threads] = self._compiled(threads).create_infer_request()
        except Exception as error:
            logger.warning(
                "the engine openvino could not compile %s for %d threads (%s): it goes on with "
                "more while other models compute",
                self._name,
                threads,
                " ".join(str(error).split())[:300],
            )


@functools.cache
def _compiling() -> ThreadPoolExecutor:
    """Compiles one network at a time, while others serve."""
    return ThreadPoolExecutor(1, thread_name_prefix="infergraph-compiling")


class _Flat(nn.Module):
    """A network that takes tensors and gives tensors, as a trace must."""

    def __init__(self, network: nn.Module, call: Call) -> None:
        super().__init__()
        self.network = network
        self._taken = tree_structure(call[:2])

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments, named = tree_unflatten(tensors, self._taken)
        return tuple(_tensors(self.network(*arguments, **named)))


def _tensors(answer: Any) -> list[torch.Tensor]:
    return [each for each in tree_leaves(answer) if isinstance(each, torch.Tensor)]


def _traced(network: nn.Module, call: Call) -> Any:
    """The network as OpenVINO knows it."""
    with warnings.catch_warnings():
        # Of what a trace may lose: whether it did is seen afterwards.
        warnings.simplefilter("ignore")
        # Not torch.export, which changes how all networks of the process are called meanwhile.
        trace = torch.jit.trace(  # type: ignore[no-untyped-call]
            _Flat(network, call), tuple(tree_leaves(call[:2])), check_trace=False, strict=False
        )
        return _openvino().convert_model(trace)


def _compiled(model: Any, number_format: str, threads: int) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[number_format],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # A process has other threads than OpenVINO's, which would wait for the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    return _openvino().Core().compile_model(model, "CPU", settings)


def _check_alike(converted: _Converted, call: Call) -> None:
    arguments, named, answer = call
    found = _tensors(converted(*arguments, **named))
    for mine, theirs in zip(found, _tensors(answer), strict=True):
        if mine.shape != theirs.shape:
            raise ValueError(f"{list(mine.shape)} where torch gives {list(theirs.shape)}")
        # A norm, since of values near zero all digits may differ.
        off, size = (mine.float() - theirs.float()).norm(), theirs.float().norm()
        if not off <= _MOST_OFF * size + 1e-6:
            raise ValueError(f"its answers are off torch's by {float(off / size):.2g} of them")


def _openvino() -> Any:
    with _untold():
        return importlib.import_module("openvino")


@contextmanager
def _untold() -> Iterator[None]:
    """OpenVINO finds no package to report its use with, which it does by default."""
    known = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if known is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = known
