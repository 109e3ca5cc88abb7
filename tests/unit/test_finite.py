from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.modeling_outputs import Seq2SeqLMOutput

from infergraph.errors import StageFailure
from infergraph.finite import check_answers, check_finite

NAN, INF = float("nan"), float("inf")
SOUND = torch.tensor([[1.0, -2.0]])


def holding(value: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.ones(3, 5, dtype=dtype)
    values[1, 2] = value
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(
    "answers",
    [
        lambda bad: bad,
        lambda bad: (SOUND, [SOUND, bad]),
        lambda bad: [{"boxes": SOUND}, {"boxes": bad}],
        lambda bad: {"cls_logits": bad, "bbox_regression": SOUND},
        lambda bad: Seq2SeqLMOutput(logits=bad, encoder_last_hidden_state=SOUND),
    ],
)
def test_what_is_no_number_is_found_wherever_it_is(
    answers: Any, value: float, dtype: torch.dtype
) -> None:
    with pytest.raises(StageFailure, match=r"^it computed values that are no numbers$"):
        check_finite(answers(holding(value, dtype)))


@pytest.mark.parametrize(
    "answers",
    [
        SOUND,
        torch.empty(0, 4),
        # Masks of the lowest number there is, whose sum is none.
        torch.full((4, 4), torch.finfo(torch.float32).min),
        torch.full((4, 4), torch.finfo(torch.float16).max, dtype=torch.float16),
        torch.tensor([2**62, 2**62]),
        # What answers are not made of may be infinite: proposals that are left out, say.
        Seq2SeqLMOutput(logits=SOUND, encoder_last_hidden_state=holding(INF)),
        {"logits": SOUND, "enc_outputs_coord_logits": holding(-INF)},
        [],
        None,
    ],
)
def test_what_is_a_number_passes(answers: Any) -> None:
    check_finite(answers)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fp32", "it computed values that are no numbers, in fp32"),
        ("int8", "it computed values that are no numbers, in int8; the setting 'dtype' = fp32 may"),
    ],
)
def test_a_network_says_in_which_format_it_failed(name: str, text: str) -> None:
    network = torch.nn.Linear(2, 2)
    check_answers(network, name)
    network(SOUND)

    with pytest.raises(StageFailure, match=text):
        network(SOUND * NAN)
