"""An OpenVINO that runs traces with torch, for tests where the package is absent."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]


class ImitationOpenvino(ModuleType):
    """What `infergraph.converted` uses of the package.

    Attributes:
        compiled: The settings of each network that was compiled.
        converting: Called when a trace is converted.
        compiling: Called when a network is compiled.
        infers: Called with the threads of each call.
        change: What becomes of each answer.
    """

    def __init__(self) -> None:
        super().__init__("openvino")
        self.__spec__ = ModuleSpec("openvino", None)
        self.compiled: list[Mapping[str, Any]] = []
        self.converting: Callable[[], None] = lambda: None
        self.compiling: Callable[[], None] = lambda: None
        self.infers: Callable[[int], None] = lambda threads: None
        self.change: Callable[[Array], Array] = lambda answer: answer

    def convert_model(self, trace: Any) -> Any:
        self.converting()
        # With weights of its own.
        file = io.BytesIO()
        torch.jit.save(trace, file)  # type: ignore[no-untyped-call]
        file.seek(0)
        return torch.jit.load(file)  # type: ignore[no-untyped-call]

    def Core(self) -> ImitationOpenvino:
        return self

    def compile_model(self, trace: Any, device: str, settings: Mapping[str, Any]) -> _Compiled:
        assert device == "CPU"
        self.compiling()
        self.compiled.append(settings)
        return _Compiled(trace, self, settings["INFERENCE_NUM_THREADS"])


class _Compiled:
    """A network that is compiled, its request, and its latest answer, in one."""

    def __init__(self, trace: Any, openvino: ImitationOpenvino, threads: int) -> None:
        self._trace, self._openvino, self._threads = trace, openvino, threads

    def create_infer_request(self) -> _Compiled:
        return self

    def infer(self, arrays: Sequence[Array], *, share_inputs: bool) -> _Compiled:
        self._openvino.infers(self._threads)
        with torch.no_grad():
            answers = self._trace(*(torch.from_numpy(np.array(array)) for array in arrays))
        self._answers = [self._openvino.change(answer.numpy()) for answer in answers]
        return self

    def to_tuple(self) -> tuple[Array, ...]:
        return tuple(self._answers)
