"""Placement: which device and number format a model runs with. Only this module says "cuda".

It imports torch only to place a model: what computes without it starts without it, which saves
seconds.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import ConfigurationError
from .machine import compute_threads, core_sharing
from .settings import RuntimeOptions

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""The settings' names of number formats -> torch's."""

_NATIVE = {
    "bf16": ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "avx10_1", "fp16_arith"),
}
"""What torch calls the instructions, one of which a CPU has that computes in a format itself."""

_STICKY = (
    "an illegal memory access was encountered",
    "device-side assert triggered",
    "unspecified launch failure",
    "the launch timed out and was terminated",
    "misaligned address",
    "an illegal instruction was encountered",
    "hardware stack error",
    "invalid program counter",
    "operation not supported on global/shared address space",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected",
    "context is destroyed",
    "CUDA-capable device(s) is/are busy or unavailable",
    "unknown error",
)
"""What CUDA says of errors after which every call of the process fails with the same one."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs, resolved from its settings.

    Attributes:
        device: The torch device.
        dtype: The floating-point format of weights and activations.
        compile: Whether networks are compiled.
        quantized: Whether linear layers compute in int8.
        threads: Of one operation on the CPU; None is a share of the cores, see `computing`.
        openvino: The format in which OpenVINO computes the networks that are given to `finish`,
            fp32 or bf16; what goes in and comes out is in `dtype`. None leaves them to torch.
        stream: What it computes in on CUDA, see `computing`; None is the device's own.
    """

    device: torch.device
    dtype: torch.dtype
    compile: bool
    quantized: bool = False
    threads: int | None = None
    openvino: str | None = None
    stream: Any = field(default=None, compare=False)

    @property
    def format(self) -> str:
        """The number format that networks compute in, as the settings name it."""
        return self.openvino or ("int8" if self.quantized else dtype_name(self.dtype))

    @property
    def engine(self) -> str:
        """What computes the networks of one forward pass, as the settings name it."""
        return "torch" if self.openvino is None else "openvino"

    @property
    def resizes_images(self) -> bool:
        """Whether images are best resized there, rather than in threads of the CPU."""
        return self.device.type == "cuda"

    def place(self, network: torch.nn.Module, *, of_images: bool = False) -> torch.nn.Module:
        """The network on this device in this format, in evaluation mode, compiled if so set.

        It raises StageFailure where its answers are no numbers, see `finite`.

        Args:
            network: It is changed.
            of_images: Whether it convolves images. Their channels are then kept side by side, with
                which convolutions take half the time on a CPU, and fewer on a GPU.

        Raises:
            ConfigurationError: it is to compute in int8, which would not make it faster.
        """
        import torch

        from .finite import check_answers

        network = network.to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)
        if self.quantized:
            from .quantized import quantize

            quantize(network)
        if of_images and self.openvino is None:
            network = network.to(memory_format=torch.channels_last)
        placed: Any = torch.compile(network) if self.compile else network
        # What generates calls the original's methods also where it is compiled.
        for each in dict.fromkeys((network, placed)):
            check_answers(each, self.format)
        return placed  # type: ignore[no-any-return]

    def finish(self, networks: Sequence[torch.nn.Module], run: Callable[[], Any]) -> None:
        """Makes placed networks, or parts of one, ready to serve.

        The engine converts them where it is not torch. Networks that are compiled, and those on
        CUDA, whose first calls take seconds, are called here rather than by the first requests.

        Args:
            networks: Each is one forward pass; they are changed. Whoever reads their weights does
                so before.
            run: Calls them, see `converted.convert`.

        Raises:
            ConfigurationError: the engine cannot compute one of them.
        """
        if self.openvino is not None:
            from .converted import convert

            threads, shared = self.threads or compute_threads(), self.threads is None
            convert(networks, run, self.openvino, threads, shared=shared)
        elif self.compile or self.device.type == "cuda":
            import torch

            # As tasks call them: the compiler makes another one of what is called otherwise.
            with torch.inference_mode():
                run()

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Gives the calling thread its threads for what it computes inside.

        torch counts them for each thread that calls it, and a thread that never said takes the
        number that any other set last: whatever computes says it each time. Without a number of
        its own, a model on the CPU has the process's cores, or its share of them while others
        compute too; what a model on another device computes beside it is little. On CUDA it has a
        stream of its own, so that models do not wait for each other.
        """
        import torch

        on_cpu = self.device.type == "cpu"
        with contextlib.ExitStack() as stack:
            share = stack.enter_context(core_sharing().share()) if on_cpu else 1
            if self.stream is not None:
                stack.enter_context(torch.cuda.stream(self.stream))
            torch.set_num_threads(self.threads or share)
            yield

    def __str__(self) -> str:
        return (
            f"{self.device} in {self.format}"
            + (", compiled" if self.compile else "")
            + (f", by {self.engine}" if self.openvino else "")
        )


def dtype_name(dtype: torch.dtype) -> str:
    return next(name for name, known in _DTYPES.items() if str(dtype) == f"torch.{known}")


def resolve_placement(
    options: RuntimeOptions, model: str, engines: Container[str] = ("torch",)
) -> Placement:
    """Resolves a model's device and number format, and applies its memory share.

    Args:
        options: The model's settings.
        model: Its name, for error texts.
        engines: Those that its task can compute with.

    Raises:
        ConfigurationError: the device is not on this machine, or does not support the format; or
            the engine is not installed, or not for this task, device or format.
    """
    import torch

    by_openvino = options.engine == "openvino"
    if by_openvino:
        _check_openvino(options, model, engines)
    device = _resolve_device("cpu" if by_openvino else options.device, model)
    dtype = _resolve_dtype(options.dtype, device, model)
    if options.memory_fraction is not None:
        if device.type != "cuda":
            raise ConfigurationError(
                f"model '{model}': setting 'memory_fraction' = {options.memory_fraction} needs a "
                f"CUDA device, but the model is placed on {device}"
            )
        torch.cuda.set_per_process_memory_fraction(options.memory_fraction, device)
    quantized = options.dtype == "int8"
    if quantized and options.compile:
        raise ConfigurationError(
            f"model '{model}': setting 'compile' = True: what computes in int8 (setting 'dtype') "
            "is not compiled; accepted: false"
        )
    if device.type == "cpu" and not quantized:
        _warn_if_emulated(dtype_name(dtype), model)
    placement = Placement(device, dtype, options.compile, quantized, options.threads)
    if by_openvino:
        placement = replace(placement, dtype=torch.float32, openvino=dtype_name(dtype))
    if device.type == "cuda":
        stream: Any = torch.cuda.Stream
        placement = replace(placement, stream=stream(device))
    return placement


def one_thread() -> None:
    """Lets torch use no other core for what the calling thread computes: one of many at once."""
    import torch

    torch.set_num_threads(1)


def moved(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values of the CPU, on a device; to CUDA from pinned memory, while the caller goes on."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def host_array(shape: tuple[int, ...], device: torch.device | None = None) -> npt.NDArray[np.uint8]:
    """Memory of the CPU for UINT8 that a device copies; for CUDA pinned, so that nobody waits."""
    if device is None or device.type != "cuda":
        return np.empty(shape, np.uint8)
    import torch

    return torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()


def gathered(arrays: Sequence[npt.NDArray[np.uint8]], device: torch.device) -> torch.Tensor:
    """Arrays of one shape as one tensor on a device, UINT8 [arrays, ...].

    Those of `host_array` are copied while the caller goes on, who neither changes nor frees them
    before it has waited for the device.
    """
    import torch

    together = torch.empty((len(arrays), *arrays[0].shape), dtype=torch.uint8, device=device)
    for place, array in zip(together, arrays, strict=True):
        place.copy_(torch.from_numpy(array), non_blocking=True)
    return together


def available_devices() -> list[str]:
    """The devices that a model can be placed on here."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def release_memory(frozen_before: int = 0) -> None:
    """Gives the memory of freed weights back: collects garbage and empties the device's cache.

    Args:
        frozen_before: `gc.get_freeze_count()` when the weights had been loaded. If more is frozen
            by now they may be, and all that is frozen is looked at, which takes longer.
    """
    frozen = gc.get_freeze_count()
    if frozen > frozen_before:
        gc.unfreeze()
    gc.collect()
    if frozen > frozen_before:
        gc.freeze()
    # Where nothing has imported torch, nothing of it is held.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.empty_cache()
    except RuntimeError as error:
        if lost_device(error) is None:
            raise


def check_unplaced(options: RuntimeOptions, model: str) -> None:
    """Checks the settings of a model that computes on no device: plain Python or numpy.

    Raises:
        ConfigurationError: a setting asks for a device or for what only devices have.
    """
    wanted = {
        "device": (options.device, options.device in ("auto", "cpu"), "auto, cpu"),
        "dtype": (options.dtype, options.dtype in ("auto", "fp32"), "auto, fp32"),
        "memory_fraction": (options.memory_fraction, options.memory_fraction is None, "none"),
        "compile": (options.compile, not options.compile, "false"),
        "threads": (options.threads, options.threads is None, "none"),
        "engine": (options.engine, options.engine == "torch", "torch"),
    }
    for name, (value, fits, accepted) in wanted.items():
        if not fits:
            raise ConfigurationError(
                f"model '{model}': setting '{name}' = {value!r}: it computes without a device; "
                f"accepted: {accepted}"
            )


def lost_device(error: BaseException) -> str | None:
    """What CUDA said of the device's loss, if that is what an error or one of its causes tells.

    Such an error is sticky: the process cannot use the device again. Out of memory is not.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        # torch.AcceleratorError is a RuntimeError too; older releases raise the latter.
        if isinstance(cause, RuntimeError):
            text = str(cause)
            if "CUDA error" in text or "device-side assert" in text:
                said = next((words for words in _STICKY if words in text), None)
                if said is not None:
                    return said
        cause = cause.__cause__ or cause.__context__
    return None


def _check_openvino(options: RuntimeOptions, model: str, engines: Container[str]) -> None:
    """Raises ConfigurationError where it is not there, or not for what the settings say."""
    which = f"model '{model}': setting 'engine' = '{options.engine}'"
    if options.engine not in engines:
        raise ConfigurationError(f"{which}: it is not for this model's task; accepted: torch")
    fits = {
        "device": (options.device, ("auto", "cpu")),
        "dtype": (options.dtype, ("auto", "fp32", "bf16")),
        "compile": (options.compile, (False,)),
    }
    for name, (value, accepted) in fits.items():
        if value not in accepted:
            raise ConfigurationError(
                f"{which}: not with the setting '{name}' = {value!r}; accepted with it: "
                f"{', '.join(map(str, accepted))}"
            )
    if importlib.util.find_spec("openvino") is None:
        raise ConfigurationError(
            f"{which}: the package 'openvino' is not installed; accepted: torch, or both after: "
            "pip install 'infergraph[openvino]'"
        )


def _resolve_device(wanted: str, model: str) -> torch.device:
    import torch

    available = available_devices()
    if wanted == "auto":
        accelerators = [name for name in available if name != "cpu"]
        return torch.device(accelerators[0] if accelerators else "cpu")
    device = torch.device("cuda:0" if wanted == "cuda" else wanted)
    if str(device) not in available:
        raise ConfigurationError(
            f"model '{model}': setting 'device' = '{wanted}': no such device here; "
            f"available: {', '.join(available)}; 'auto' takes the best of them"
        )
    return device


def _resolve_dtype(wanted: str, device: torch.device, model: str) -> torch.dtype:
    import torch

    if wanted == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if _has_bf16(device) else torch.float16
    if wanted == "int8":
        if device.type != "cpu":
            raise ConfigurationError(
                f"model '{model}': setting 'dtype' = 'int8': {device} is not a CPU, for which "
                "alone it is; accepted there: auto, fp32, bf16, fp16"
            )
        return torch.float32
    if wanted == "bf16" and device.type == "cuda" and not _has_bf16(device):
        raise ConfigurationError(
            f"model '{model}': setting 'dtype' = 'bf16': {device} does not support it; "
            "accepted there: auto, fp32, fp16"
        )
    dtype: torch.dtype = getattr(torch, _DTYPES[wanted])
    return dtype


def _has_bf16(device: torch.device) -> bool:
    import torch

    # Not emulated: torch says yes by default where bf16 is converted for every operation.
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _warn_if_emulated(dtype: str, model: str) -> None:
    """Says in the log that a CPU converts to fp32 and back for every operation."""
    import torch

    # Releases of torch that cannot tell are given no warning.
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if dtype in _NATIVE and has and not any(has.get(name) for name in _NATIVE[dtype]):
        logger.warning(
            "model '%s': setting 'dtype' = '%s': this CPU only emulates it, which takes longer "
            "than fp32; accepted and faster: fp32, int8",
            model,
            dtype,
        )
