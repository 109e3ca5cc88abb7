from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from mlserver import MLModel, ModelSettings
from mlserver.types import MetadataTensor

from infergraph import registry
from infergraph.errors import DeadlineExceeded, UnknownModel
from infergraph.request import Deadline, RequestContext
from infergraph.settings import ModelOptions
from infergraph.tensors import TensorSpec
from infergraph.transports import InProcessTransport
from infergraph.v2 import Message, Tensor


class Served(MLModel):
    options = ModelOptions(optional_outputs=["score"])
    calls = 0

    async def infer(self, message: Message, context: RequestContext) -> Message:
        self.calls += 1
        return Message([message.tensors[0].renamed("y")], message.id)


@pytest.fixture
def served() -> Iterator[Served]:
    tensor = MetadataTensor(name="x", datatype="FP32", shape=[-1, 2])
    outputs = [tensor.model_copy(update={"name": name}) for name in ("y", "score")]
    model = Served(ModelSettings(name="m", implementation=Served, inputs=[tensor], outputs=outputs))
    registry.register(model)
    yield model
    registry.unregister(model)


async def test_arrays_are_handed_over_not_copied(served: Served) -> None:
    tensor = Tensor.of("x", np.zeros((1, 2), np.float32))
    answer = await InProcessTransport().infer("m", Message([tensor], "7"), RequestContext())
    assert answer.id == "7"
    assert answer.tensors[0].data is tensor.data


async def test_what_is_not_loaded_is_unknown() -> None:
    with pytest.raises(UnknownModel, match="model 'absent' is not loaded in this process"):
        await InProcessTransport().infer("absent", Message([]), RequestContext())


async def test_nothing_is_called_after_the_deadline(served: Served) -> None:
    context = RequestContext(deadline=Deadline(at=0.0, budget_ms=5))
    with pytest.raises(DeadlineExceeded, match="model 'm': the deadline of 5 ms passed"):
        await InProcessTransport().infer("m", Message([]), context)
    assert served.calls == 0


async def test_declaration(served: Served) -> None:
    declaration = await InProcessTransport().declaration("m")
    assert declaration.inputs == (TensorSpec("x", "FP32", (-1, 2)),)
    assert declaration.outputs == (
        TensorSpec("y", "FP32", (-1, 2)),
        TensorSpec("score", "FP32", (-1, 2), optional=True),
    )
