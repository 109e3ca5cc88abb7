"""Variants: which checkpoint a model loads."""

from __future__ import annotations

from pathlib import Path

from .errors import ConfigurationError
from .settings import RuntimeOptions


def resolve_checkpoint(options: RuntimeOptions, folder: Path, model: str) -> str:
    """The checkpoint of the chosen variant: an absolute folder path, or a hub id.

    A value that exists in the model's folder is local; one that begins with `.` or `/` must exist;
    anything else is an id on a model hub.

    Raises:
        ConfigurationError: the variant is not one of `variants`, or its folder is missing.
    """
    if options.variant not in options.variants:
        accepted = ", ".join(sorted(options.variants)) or "none: 'variants' is empty"
        raise ConfigurationError(
            f"model '{model}': setting 'variant' = '{options.variant}' is unknown; "
            f"accepted: {accepted}"
        )
    checkpoint = options.variants[options.variant]
    local = (folder / checkpoint).resolve()
    if local.exists():
        return str(local)
    if checkpoint.startswith((".", "/")):
        raise ConfigurationError(
            f"model '{model}': variant '{options.variant}': no checkpoint at '{checkpoint}' in the "
            f"model's folder; train it with `make checkpoint MODEL={model}`, or choose one of: "
            f"{', '.join(sorted(options.variants))}"
        )
    return checkpoint
