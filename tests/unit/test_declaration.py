from __future__ import annotations

from infergraph.declaration import ModelDeclaration
from infergraph.tensors import TensorSpec

AUDIO = TensorSpec("audio", "BYTES", (-1, 1))
TEXT = TensorSpec("text", "BYTES", (-1, 1))
SCORE = TensorSpec("score", "FP32", (-1, 1))


def test_tensors_are_found_by_name_on_their_own_side() -> None:
    declaration = ModelDeclaration("asr", (AUDIO,), (TEXT, SCORE))

    assert declaration.input("audio") is AUDIO
    assert declaration.output("score") is SCORE
    assert declaration.input("text") is None
    assert declaration.output("audio") is None
