"""Placement: which device and number format a model runs with. Only this module says "cuda"."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass

import torch

from .errors import ConfigurationError
from .settings import RuntimeOptions

logger = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs, resolved from its settings.

    Attributes:
        device: The torch device.
        dtype: The floating-point format of weights and activations.
        compile: Whether networks are compiled.
    """

    device: torch.device
    dtype: torch.dtype
    compile: bool

    def place(self, network: torch.nn.Module, *, of_images: bool = False) -> torch.nn.Module:
        """The network on this device in this dtype, in evaluation mode, compiled if so set.

        Args:
            network: It is changed.
            of_images: Whether it convolves images. Their channels are then kept side by side, with
                which convolutions take half the time on a CPU, and fewer on a GPU.
        """
        network = network.to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)
        if of_images:
            network = network.to(memory_format=torch.channels_last)
        return torch.compile(network) if self.compile else network  # type: ignore[return-value]

    def __str__(self) -> str:
        return f"{self.device} in {dtype_name(self.dtype)}" + (", compiled" if self.compile else "")


def dtype_name(dtype: torch.dtype) -> str:
    return next(name for name, known in _DTYPES.items() if known is dtype)


def resolve_placement(options: RuntimeOptions, model: str) -> Placement:
    """Resolves a model's device and dtype, and applies its memory share and thread count.

    Call it in the thread that will run the model: the thread count holds per thread.

    Raises:
        ConfigurationError: the device is not on this machine, or does not support the dtype.
    """
    device = _resolve_device(options.device, model)
    dtype = _resolve_dtype(options.dtype, device, model)
    if options.memory_fraction is not None:
        if device.type != "cuda":
            raise ConfigurationError(
                f"model '{model}': setting 'memory_fraction' = {options.memory_fraction} needs a "
                f"CUDA device, but the model is placed on {device}"
            )
        torch.cuda.set_per_process_memory_fraction(options.memory_fraction, device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return Placement(device, dtype, options.compile)


def available_devices() -> list[str]:
    """The devices that a model can be placed on here."""
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def release_memory() -> None:
    """Gives freed memory back: collects garbage and empties the device's cache."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def _resolve_device(wanted: str, model: str) -> torch.device:
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
    if wanted == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if _has_bf16(device) else torch.float16
    if wanted == "bf16" and device.type == "cuda" and not _has_bf16(device):
        raise ConfigurationError(
            f"model '{model}': setting 'dtype' = 'bf16': {device} does not support it; "
            "accepted there: auto, fp32, fp16"
        )
    return _DTYPES[wanted]


def _has_bf16(device: torch.device) -> bool:
    # Not emulated: torch says yes by default where bf16 is converted for every operation.
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
