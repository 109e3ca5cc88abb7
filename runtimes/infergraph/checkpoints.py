"""Variants: which checkpoint a model loads, and the folder that holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .errors import ConfigurationError
from .settings import EMBEDDED, RuntimeOptions, environment_overrides

TORCHVISION = "torchvision/"
"""What the ids of torchvision's own checkpoints begin with."""
PROGRESS = "fetching weights:"
"""Words of the log lines that tell that a download begins, and how far it is."""

_FURTHER = ("locator", "vocoder")
"""Settings besides `variant` that may name a checkpoint."""

_ID = re.compile(r"([\w.-]+/)?[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on this machine.

    Attributes:
        path: An absolute folder path; of torchvision's own checkpoints their id, `torchvision/...`.
        name: What people call it: `owner/name@commit`, or the folder's path.
    """

    path: str
    name: str


def resolve_checkpoint(
    options: RuntimeOptions, folder: Path, model: str, *, weights: bool = True
) -> Checkpoint:
    """The checkpoint of the chosen variant; one of a hub is fetched unless it is in the cache.

    Args:
        options: The settings: `variant` is a key of `variants`, or itself what these hold.
        folder: The model's folder, against which paths are resolved.
        model: The model's name.
        weights: Whether its weights are needed, too.

    Raises:
        ConfigurationError: the variant is unknown, its folder is missing, or it cannot be had.
    """
    return locate(variant_source(options, folder, model), folder, weights=weights)


def checkpoint_sources(
    model: str, folder: Path, variants: Sequence[str], extra: Mapping[str, Any]
) -> dict[str, str]:
    """All checkpoints that variants of a model are made of.

    Args:
        model: The model's name.
        folder: The model's folder.
        variants: The variants; if empty, that of the settings and the environment.
        extra: `parameters.extra` of the model's settings.

    Returns:
        Each variant, and each setting besides it that names one -> a folder's absolute path, or an
        id. Variants come first.

    Raises:
        ConfigurationError: there is no such variant, or a setting cannot be read.
    """
    settings: dict[str, Any] = {
        **extra,
        **{name: value for name, (_, value) in environment_overrides(model).items()},
    }
    sources: dict[str, str] = {}
    further: dict[str, str] = {}
    for variant in variants or [settings.get("variant", EMBEDDED)]:
        try:
            options = RuntimeOptions(variant=variant, variants=settings.get("variants", {}))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigurationError(f"model '{model}': setting 'variants': {problem}") from None
        sources[variant] = variant_source(options, folder, model)
        for name in _FURTHER:
            if source := source_for(settings.get(name), variant):
                further[f"{name} of {variant}"] = local_folder(source, folder) or source
    return sources | further


def variant_source(options: RuntimeOptions, folder: Path, model: str) -> str:
    """What the chosen variant stands for: an absolute folder path, or an id. Raises as above."""
    wanted = options.variant
    source = options.variants.get(wanted, wanted)
    local = local_folder(source, folder)
    if local is not None:
        return local
    if wanted in options.variants:
        if not source.startswith((".", "/")):
            return source
        raise ConfigurationError(
            f"model '{model}': variant '{wanted}': no checkpoint at '{source}' in the model's "
            f"folder; train it with `make checkpoint MODEL={model}`, or choose one of: "
            f"{', '.join(sorted(options.variants))}"
        )
    if "/" in wanted and _ID.fullmatch(wanted) and not wanted.startswith("."):
        return wanted
    accepted = ", ".join(sorted(options.variants)) or "no name, as 'variants' is empty"
    raise ConfigurationError(
        f"model '{model}': setting 'variant' = '{wanted}' is unknown; accepted: {accepted}; or a "
        "folder, absolute or in the model's folder, or an id such as owner/name@revision"
    )


def source_for(sources: str | Mapping[str, str] | None, variant: str) -> str | None:
    """What a setting names for a variant: itself, or if it is by variant, its entry, else `*`'s.

    Raises:
        ConfigurationError: it is a string that begins as a JSON object, and is none.
    """
    if isinstance(sources, str) and sources.lstrip().startswith("{"):
        try:
            sources = json.loads(sources)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"'{sources}' is not JSON ({error})") from None
    if isinstance(sources, Mapping):
        return sources.get(variant, sources.get("*"))
    return sources


def local_folder(source: str, folder: Path) -> str | None:
    """The absolute path of a folder that exists; paths are relative to the model's folder."""
    local = (folder / source).resolve()
    return str(local) if local.exists() else None


def locate(source: str, folder: Path, *, weights: bool = True) -> Checkpoint:
    """The checkpoint that a setting names: a folder, `owner/name`, or `owner/name@revision`.

    Raises:
        ConfigurationError: it cannot be had, see `hub.snapshot`.
    """
    local = local_folder(source, folder)
    if local is not None:
        return Checkpoint(local, local)
    if source.startswith(TORCHVISION):
        return Checkpoint(source, source)
    if source.startswith((".", "/")) or not _ID.fullmatch(source):
        raise ConfigurationError(
            f"checkpoint '{source}': there is no such folder; accepted: a folder, absolute or in "
            "the model's folder, or an id such as owner/name@revision"
        )
    # Models with local checkpoints, most of them, do without what this imports.
    from .hub import snapshot

    id, _, revision = source.partition("@")
    path = snapshot(id, revision or None, weights=weights)
    return Checkpoint(str(path), f"{id}@{path.name}")
