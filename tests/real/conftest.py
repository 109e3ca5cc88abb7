"""Real checkpoints, recordings and photographs, of packages that `make real-env` unpacks.

Nothing here is imported from these packages, and no network is used: what is absent is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlserver import ModelSettings

from infergraph.request import RequestContext
from infergraph.v2 import Message, Tensor

ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("REAL_PACKAGES", ROOT / ".venv-real")).resolve()

Given = Callable[[str], Path]
Ask = Callable[..., Awaitable[dict[str, list[Any]]]]


@pytest.fixture(scope="session")
def given() -> Given:
    """The path of a file or folder of the packages; skips the test where it is absent."""

    def get(path: str) -> Path:
        found = PACKAGES / path
        if not found.exists():
            pytest.skip(f"{path} is not in {PACKAGES}; `make real-env` puts it there")
        return found

    return get


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """`await ask(model, settings, tensor=[bytes, ...])`: the answer of a model."""
    loaded: list[Any] = []

    async def infer(
        model: str, settings: Mapping[str, Any], **inputs: list[bytes]
    ) -> dict[str, list[Any]]:
        file = json.loads((ROOT / "model-settings" / model / "model-settings.json").read_text())
        file["parameters"]["extra"] |= {"device": "cpu", **settings}
        parsed = ModelSettings(**file)
        runtime = parsed.implementation(parsed)
        await runtime.load()
        loaded.append(runtime)
        tensors = [Tensor.of_bytes(name, items) for name, items in inputs.items()]
        answer = await runtime.infer(Message(tensors), RequestContext())
        return {
            tensor.name: [
                each.decode() if isinstance(each, bytes) else each
                for each in tensor.data.ravel().tolist()
            ]
            for tensor in answer.tensors
        }

    yield infer
    for runtime in loaded:
        await runtime.unload()
