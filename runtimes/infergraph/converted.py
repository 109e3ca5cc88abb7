"""Networks that OpenVINO computes in torch's place, on a CPU, often in less time.

A network is traced with torch, converted and compiled once, for inputs of any size; before it
serves, it must answer calls of several shapes as torch does.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from .errors import ConfigurationError
from .weights import LOADING

_TELEMETRY = "openvino_telemetry"
_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""The settings' names of number formats -> OpenVINO's."""
_MOST_OFF = 1e-3
"""How far answers in FP32 may be from torch's, as a share of all values of a tensor."""


def convert(network: nn.Module, examples: Sequence[Any], number_format: str, threads: int) -> None:
    """Has OpenVINO compute what a network computes.

    Its own hooks still run, those of its parts do not. Its weights are freed, and must not be those
    of another network. One thread at a time calls it then, with arguments as the examples' and
    tensors of any shape.

    Args:
        network: In FP32, on the CPU, in evaluation mode; its `forward` is replaced.
        examples: The arguments of calls, each by name (a mapping) or a lone one. What is 1 or the
            same in all of them may be taken for fixed, so the first has several items, and the
            others have other sizes.
        number_format: `fp32`, or `bf16`: what it computes in. Tensors stay in FP32.
        threads: Most threads of a call.

    Raises:
        ConfigurationError: it cannot be converted, or then does not answer as it did.
    """
    calls = [((), dict(each)) if isinstance(each, Mapping) else ((each,), {}) for each in examples]
    with LOADING, torch.no_grad():
        try:
            wanted = [network(*arguments, **named) for arguments, named in calls]
            model = _traced(network, calls[0])
            # Rounding is not what a conversion is judged by.
            for each in dict.fromkeys(("fp32", number_format)):
                converted = _Converted(_compiled(model, each, threads), calls[0], wanted[0])
                if each == "fp32":
                    _check_alike(converted, calls, wanted)
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigurationError(
                f"setting 'engine' = 'openvino': it cannot compute {type(network).__name__} "
                f"({reason}); accepted: torch"
            ) from error
    network.forward = converted  # type: ignore[method-assign]
    for weights in network.parameters():
        weights.data = weights.data.new_empty(0)


class _Converted:
    """Takes what a network takes, and gives what it gives."""

    def __init__(self, compiled: Any, call: Any, answer: Any) -> None:
        _, self._taken = tree_flatten(call)
        self._given, self._answer = tree_flatten(answer)
        self._request = compiled.create_infer_request()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        tensors, taken = tree_flatten((arguments, named))
        if taken != self._taken:
            raise TypeError(f"called with {taken}; accepted: {self._taken}")
        values = [(each.float() if each.is_floating_point() else each).numpy() for each in tensors]
        found = iter(self._request.infer(values, share_inputs=True).to_tuple())
        return tree_unflatten(
            [
                torch.from_numpy(next(found)) if isinstance(each, torch.Tensor) else each
                for each in self._given
            ],
            self._answer,
        )


class _Flat(nn.Module):
    """A network that takes tensors and gives tensors, as a trace must."""

    def __init__(self, network: nn.Module, call: Any) -> None:
        super().__init__()
        self.network = network
        _, self._taken = tree_flatten(call)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments, named = tree_unflatten(tensors, self._taken)
        return tuple(_tensors(self.network(*arguments, **named)))


def _tensors(answer: Any) -> list[torch.Tensor]:
    return [each for each in tree_leaves(answer) if isinstance(each, torch.Tensor)]


def _traced(network: nn.Module, call: Any) -> Any:
    """The network as OpenVINO knows it."""
    with warnings.catch_warnings():
        # Of what a trace may lose: whether it did is seen afterwards.
        warnings.simplefilter("ignore")
        # Not torch.export, which changes how all networks of the process are called meanwhile.
        trace = torch.jit.trace(
            _Flat(network, call), tuple(tree_leaves(call)), check_trace=False, strict=False
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


def _check_alike(converted: _Converted, calls: Sequence[Any], wanted: Sequence[Any]) -> None:
    for (arguments, named), answer in zip(calls, wanted, strict=True):
        found = _tensors(converted(*arguments, **named))
        for mine, theirs in zip(found, _tensors(answer), strict=True):
            if mine.shape != theirs.shape:
                raise ValueError(
                    f"it gives {list(mine.shape)} where torch gives {list(theirs.shape)}"
                )
            # A norm, since of values near zero all digits may differ.
            off, size = (mine - theirs).float().norm(), theirs.float().norm()
            if not off <= _MOST_OFF * size + 1e-6:
                raise ValueError(f"its answers are {float(off / size):.2g} off torch's")


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
