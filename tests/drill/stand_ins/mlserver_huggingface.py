"""Plays MLServer's Hugging Face runtime, whose packages do not fit ours: the same tensors and JSON.

Its answers are made of the texts that it is asked about, so that swapped ones would show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, Parameters
from mlserver.utils import get_model_uri


class HuggingFaceRuntime(MLModel):  # type: ignore[misc]
    """Answers question-answering and text-classification."""

    async def load(self) -> bool:
        folder = Path(await get_model_uri(self.settings))
        # Without them the real one fetches its task's usual checkpoint, and answers by that.
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).open("rb").close()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = {each.name: StringCodec.decode_input(each) for each in payload.inputs}
        task = self.settings.parameters.extra["task"]
        answer = _ANSWERS[task]
        items = [
            answer(dict(zip(texts, item, strict=True)))
            for item in zip(*texts.values(), strict=True)
        ]
        output = StringCodec.encode_output("output", [json.dumps(each) for each in items])
        output.parameters = Parameters(content_type="hg_jsonlist")
        return InferenceResponse(model_name=self.name, outputs=[output])


def _span(item: Mapping[str, str]) -> dict[str, Any]:
    """The last word of the context; the score tells the question."""
    context = item["context"].rstrip(".")
    start = context.rfind(" ") + 1
    score = 1 / (1 + len(item["question"]))
    return {"score": score, "start": start, "end": len(context), "answer": context[start:]}


def _label(item: Mapping[str, str]) -> dict[str, Any]:
    text = item["array_inputs"]
    label = "positive" if len(text) % 2 else "negative"
    return {"label": label, "score": 1 / (1 + len(text))}


_ANSWERS = {"question-answering": _span, "text-classification": _label}
