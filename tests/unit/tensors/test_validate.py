from __future__ import annotations

import numpy as np
import pytest

from infergraph.errors import InvalidInput
from infergraph.tensors import TensorSpec
from infergraph.tensors.validate import check_tensors, validate, widened
from infergraph.v2 import Message, Tensor

DECLARED = (
    TensorSpec("audio", "BYTES", (-1, 1)),
    TensorSpec("boxes", "FP32", (-1, -1, 4)),
    TensorSpec("language", "BYTES", (-1, 1), optional=True),
)
WHERE = "model 'asr'"
MORE_THAN_ONCE = "tensor 'audio' came more than once; accepted: one tensor of a name"


def audio(batch: int = 2, name: str = "audio") -> Tensor:
    return Tensor.of_bytes(name, [b"RIFF"] * batch)


def boxes(*shape: int, dtype: type = np.float32) -> Tensor:
    return Tensor.of("boxes", np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("tensors", "batch"),
    [
        ([audio(1), boxes(1, 3, 4)], 1),
        ([boxes(2, 0, 4), audio(2)], 2),
        ([audio(3), boxes(3, 1, 4), audio(3, "language")], 3),
    ],
)
def test_accepted(tensors: list[Tensor], batch: int) -> None:
    assert validate(Message(tensors), DECLARED, WHERE) == batch


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        (
            [audio(), boxes(2, 1, 4), audio(2, "video")],
            "no input tensor 'video'; accepted: audio BYTES [-1, 1], boxes FP32 [-1, -1, 4], "
            "language BYTES [-1, 1]",
        ),
        ([audio(), audio(), boxes(2, 1, 4)], MORE_THAN_ONCE),
        (
            [audio(), boxes(2, 1, 4, dtype=np.float64)],
            "tensor 'boxes' has datatype FP64; accepted: FP32 or FP16",
        ),
        (
            [audio(), boxes(2, 4)],
            "tensor 'boxes' has shape [2, 4]; accepted: [-1, -1, 4], where -1 is any size",
        ),
        (
            [audio(), boxes(2, 4, 1)],
            "tensor 'boxes' has shape [2, 4, 1]; accepted: [-1, -1, 4], where -1 is any size",
        ),
        ([boxes(2, 1, 4)], "missing input tensor audio BYTES [-1, 1]; came: 'boxes'"),
        (
            [audio(2, "language")],
            "missing input tensor audio BYTES [-1, 1], boxes FP32 [-1, -1, 4]; came: 'language'",
        ),
        ([], "missing input tensor audio BYTES [-1, 1], boxes FP32 [-1, -1, 4]; came: none"),
        (
            [audio(2), boxes(3, 1, 4)],
            "tensor 'boxes' holds 3 items and tensor 'audio' 2; "
            "all inputs must hold the same number",
        ),
        (
            [audio(0), boxes(0, 1, 4)],
            "tensor 'audio' has shape [0, 1], an empty batch; accepted: at least 1 item",
        ),
    ],
)
def test_refused(tensors: list[Tensor], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(Message(tensors), DECLARED, WHERE)

    assert str(caught.value) == f"{WHERE}: {text}"
    assert caught.value.status_code == 400


def test_half_precision_is_widened_where_single_is_declared() -> None:
    values = np.array([[[0.1, -65504, 6e-8, np.inf], [-np.inf, np.nan, 0, 1]]], np.float16)
    other = Tensor.of("other", values)
    message = Message([audio(1), Tensor.of("boxes", values), other], "7", {"beams": 4})

    wide = widened(message, DECLARED)

    assert validate(Message(wide.tensors[:2]), DECLARED, WHERE) == 1
    assert [each.datatype for each in wide.tensors] == ["BYTES", "FP32", "FP16"]
    assert wide.tensors[1].data.dtype == np.float32
    np.testing.assert_array_equal(wide.tensors[1].data.astype(np.float16), values)
    assert not wide.tensors[1].data.flags.writeable
    assert wide.tensors[2] is other
    assert (wide.id, wide.parameters) == ("7", {"beams": 4})
    assert message.tensors[1].datatype == "FP16"


def test_what_is_not_half_precision_is_not_widened() -> None:
    message = Message([audio(1), boxes(1, 1, 4, dtype=np.float64), boxes(1, 1, 4)])

    assert widened(message, DECLARED) is message
    assert widened(message, ()) is message


def test_single_precision_does_not_go_for_half() -> None:
    half = (TensorSpec("boxes", "FP16", (-1, 4)),)

    with pytest.raises(InvalidInput, match=r"has datatype FP32; accepted: FP16$"):
        validate(Message([boxes(1, 4)]), half, WHERE)


def test_without_a_declaration_any_tensors_of_one_batch_size_are_accepted() -> None:
    assert validate(Message([audio(3), boxes(3, 7)]), (), WHERE) == 3


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([], "the request has no input tensors"),
        ([boxes()], "tensor 'boxes' has shape []; accepted: a shape whose first dimension is the"),
        ([audio(1), boxes(0, 4)], "tensor 'boxes' has shape [0, 4], an empty batch"),
        ([audio(1), boxes(2)], "tensor 'boxes' holds 2 items and tensor 'audio' 1"),
        ([audio(2), boxes(2, 4), audio(2)], MORE_THAN_ONCE),
    ],
)
def test_without_a_declaration_the_batch_must_still_agree(tensors: list[Tensor], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(Message(tensors), (), WHERE)

    assert str(caught.value).startswith(f"{WHERE}: {text}")


def test_all_declared_inputs_may_be_optional_but_some_must_come() -> None:
    optional = (TensorSpec("image", "BYTES", (-1, 1), optional=True),)

    with pytest.raises(InvalidInput, match="the request has no input tensors"):
        validate(Message([]), optional, WHERE)


@pytest.mark.parametrize("declared", [DECLARED, ()])
@pytest.mark.parametrize(
    "tensors", [[audio(2), boxes(3, 1, 4)], [audio(0), boxes(3, 1, 4)]], ids=["sizes", "empty"]
)
def test_tensors_by_themselves_need_be_no_batch(
    tensors: list[Tensor], declared: tuple[TensorSpec, ...]
) -> None:
    check_tensors(Message(tensors), declared, WHERE)


def test_tensors_by_themselves_may_have_no_dimension() -> None:
    check_tensors(Message([boxes()]), (TensorSpec("boxes", "FP32", ()),), WHERE)
    check_tensors(Message([]), (), WHERE)


@pytest.mark.parametrize(
    ("tensors", "declared", "text"),
    [
        ([audio(1), boxes(1, 4), audio(1)], (), MORE_THAN_ONCE),
        ([audio(1), audio(1)], DECLARED, MORE_THAN_ONCE),
        ([audio(1), boxes(1, 1, 5)], DECLARED, "tensor 'boxes' has shape [1, 1, 5]; accepted: "),
        ([boxes(1, 1, 4)], DECLARED, "missing input tensor audio BYTES [-1, 1]; came: 'boxes'"),
    ],
)
def test_tensors_by_themselves_are_refused(
    tensors: list[Tensor], declared: tuple[TensorSpec, ...], text: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_tensors(Message(tensors), declared, WHERE)

    assert str(caught.value).startswith(f"{WHERE}: {text}")
