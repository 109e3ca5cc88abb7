from __future__ import annotations

import pytest

from infergraph.generations import newest_first, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("resnet_2", "resnet"),
        ("audio-qa_10", "audio-qa"),
        ("gpt2_1", "gpt2"),
        ("resnet", "resnet"),
        ("resnet-2", "resnet-2"),
        ("my_model_2", "my_model_2"),
        ("Resnet_2", "Resnet_2"),
        ("resnet_", "resnet_"),
        ("resnet_2\n", "resnet_2\n"),
        ("_2", "_2"),
    ],
)
def test_plain_names(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_the_newest_is_the_highest_number() -> None:
    names = ["resnet_9", "resnet_10", "resnet-50_11", "resnet", "resnet_x", "resnet_9_12"]
    assert newest_first("resnet", names) == ["resnet_10", "resnet_9"]
    assert newest_first("resnet-50", names) == ["resnet-50_11"]
    assert newest_first("inception", names) == []
