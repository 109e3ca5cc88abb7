"""The weights of a checkpoint's folder: in which file they are, and loading them, one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConfigurationError, InfergraphError
from .importing import alone

SAFETENSORS, BIN = "model.safetensors", "pytorch_model.bin"
_INDEX = ".index.json"

# In this order: an index names the files of weights that are in parts.
WEIGHTS = (SAFETENSORS, SAFETENSORS + _INDEX, BIN, BIN + _INDEX)


def find_weights(names: Iterable[str]) -> str | None:
    """The file that a checkpoint's weights are read from, or the index of its parts.

    Safetensors go before `.bin`; weights of other frameworks, and copies in other formats, are not
    looked at. None where there are no such weights.
    """
    there = set(names)
    return next((name for name in WEIGHTS if name in there), None)


def is_index(name: str) -> bool:
    """Whether a file names the parts of weights rather than holding them."""
    return name.endswith(_INDEX)


def parts_of(index: str, names: Iterable[str]) -> list[str]:
    """Of the files of a checkpoint those that hold the parts which an index names."""
    stem, _, suffix = index.removesuffix(_INDEX).rpartition(".")
    part = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}")
    return [name for name in names if part.fullmatch(name)]


def weights_in(folder: str | Path) -> str:
    """The file of a folder that its weights are read from, or the index of its parts.

    Raises:
        ConfigurationError: it holds none, or a part is missing.
    """
    folder = Path(folder)
    found = find_weights(each.name for each in folder.iterdir()) if folder.is_dir() else None
    if found is None:
        raise ConfigurationError(
            f"the checkpoint '{folder}' has no weights; accepted: {SAFETENSORS} or {BIN}, whole or "
            "in parts with an index"
        )
    if is_index(found):
        try:
            index = json.loads((folder / found).read_text(encoding="utf-8"))
            parts = sorted({str(part) for part in index["weight_map"].values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"the checkpoint '{folder}': {found} names no parts ({error})"
            ) from None
        missing = [part for part in parts if not (folder / part).is_file()]
        if missing:
            raise ConfigurationError(f"the checkpoint '{folder}' lacks {', '.join(missing)}")
    return found


@contextmanager
def loading(part: str, checkpoint: str | Path) -> Iterator[None]:
    """One thread at a time loads a part of a checkpoint, whichever library does it.

    Raises:
        ConfigurationError: for any error of the library, in one line.
    """
    try:
        with alone():
            yield
    except InfergraphError:
        raise
    # Not some classes of errors: of a damaged file anything may come, as an AttributeError of a
    # configuration that is a list, or an EOFError of an empty pickle.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(
            f"cannot load the {part} of the checkpoint '{checkpoint}': {reason}"
        ) from error
