"""Models that only tests serve. MLServer reloads this module for each: no state may live here."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, List, Tuple  # noqa: UP035

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec, decode_args
from mlserver.types import InferenceRequest, InferenceResponse

from infergraph.request import RequestContext
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.settings import RuntimeOptions
from infergraph.tasks.echo import Echo, EchoOptions
from infergraph.v2 import Message


class GatedOptions(RuntimeOptions):
    """Adds the files through which a test watches and holds the model.

    Attributes:
        ledger: A line is added for each event: `arrived ID`, `ran TEXT`, `cancelled ID`.
        gate: Batches wait until this file exists.
    """

    ledger: str
    gate: str


class Gated(Runtime[Item, None, threading.Event]):
    """Hands `text` back, once a file exists; writes down what it did."""

    settings_class: ClassVar[type[RuntimeOptions]] = GatedOptions
    text_inputs: ClassVar[frozenset[str]] = frozenset({"text"})
    options: GatedOptions

    def setup(self) -> threading.Event:
        """What nobody sets: waiting for it is a pause."""
        return threading.Event()

    async def infer(self, message: Message, context: RequestContext) -> Message:
        self._note("arrived", message.id)
        try:
            return await super().infer(message, context)
        except asyncio.CancelledError:
            self._note("cancelled", message.id)
            raise

    def predict_batch(self, items: Sequence[Item], parameters: None) -> Sequence[Outputs]:
        for item in items:
            self._note("ran", item["text"])
        while not Path(self.options.gate).exists():
            self.model.wait(0.005)
        return [{"text": item["text"]} for item in items]

    def _note(self, event: str, subject: str) -> None:
        with Path(self.options.ledger).open("a") as ledger:
            ledger.write(f"{event} {subject}\n")


class HeadersSeen(MLModel):
    """A stock MLServer model: answers with the headers that reached it, as JSON."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        headers = (payload.parameters.headers if payload.parameters else None) or {}
        seen = json.dumps({name.lower(): value for name, value in headers.items()})
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("headers", [seen])]
        )


class Scale(MLModel):
    """A stock MLServer model that decodes and encodes with MLServer's own codecs."""

    # MLServer finds its codecs by the names of the typing module.
    @decode_args
    async def predict(self, values: np.ndarray, names: List[str]) -> Tuple[np.ndarray, List[str]]:  # noqa: UP006
        return values * 2, [name.upper() for name in names]


class Reverse(MLModel):
    """A stock MLServer model that reverses each row with `NumpyCodec`."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("output", np.ascontiguousarray(array[:, ::-1]))],
        )


class Broken(Runtime):
    """Fails with a text that must not reach a client."""

    def predict_batch(self, items: Sequence[Item], parameters: None) -> Sequence[Outputs]:
        raise RuntimeError("the secret inside")


class Sorter(Runtime):
    """The idiomatic cascade's first step: hands `text` on as `accepted` or else as `escalate`."""

    text_inputs: ClassVar[frozenset[str]] = frozenset({"text"})

    def predict_batch(self, items: Sequence[Item], parameters: None) -> Sequence[Outputs]:
        return [
            {"escalate" if item["text"].startswith("hard") else "accepted": item["text"]}
            for item in items
        ]


class RecordedOptions(EchoOptions):
    """Adds the file in which the ids of all requests that reach the model are written down."""

    ledger: str


class Recorded(Echo):
    """An echo that writes down which requests reached it."""

    settings_class: ClassVar[type[RuntimeOptions]] = RecordedOptions
    options: RecordedOptions

    async def infer(self, message: Message, context: RequestContext) -> Message:
        self._note(message.id)
        return await super().infer(message, context)

    def _note(self, request_id: str) -> None:
        with Path(self.options.ledger).open("a") as ledger:
            ledger.write(f"arrived {request_id}\n")


class Wait(MLModel):
    """A stock MLServer model that hands its text on after a while."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        await asyncio.sleep(0.06)
        texts = StringCodec.decode_input(payload.inputs[0])
        output = StringCodec.encode_output("text", texts)
        return InferenceResponse(model_name=self.name, outputs=[output])
