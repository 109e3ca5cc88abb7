from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.manifests.broker import MESSAGES, REQUEST, largest_message, sample_size
from infergraph.manifests.quantity import MIB


def sample(folder: Path, size: int) -> int:
    """Writes a sample of so many bytes and a little more; how many."""
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1, 1], "data": ["a" * size]}
    file = folder / "request.json"
    file.write_text(json.dumps({"inputs": [tensor]}, indent=2))
    return sample_size(file)


def sizes(folder: Path, of: int, **messages: int) -> None:
    (folder / MESSAGES).write_text(json.dumps({"sample": of, "messages": messages}))


def test_without_measured_sizes_the_request_is_the_largest_message(tmp_path: Path) -> None:
    sample(tmp_path, 5000)

    largest = largest_message(tmp_path)

    assert largest is not None
    assert 5000 < largest.size < 5200
    assert (largest.name, largest.is_measured) == (REQUEST, False)
    assert largest_message(tmp_path / "nowhere") is None


def test_the_largest_message_may_be_what_a_step_answers(tmp_path: Path) -> None:
    of = sample(tmp_path, 5000)
    sizes(tmp_path, of, **{REQUEST: 5100, "what step 'a' answers": 600_000, "its answer": 7})

    largest = largest_message(tmp_path)

    assert largest is not None
    assert (largest.size, largest.name, largest.is_measured) == (
        600_000,
        "what step 'a' answers",
        True,
    )


def test_the_limit_has_room_for_four_times_the_largest(tmp_path: Path) -> None:
    of = sample(tmp_path, 10)
    for size, limit in ((10, MIB), (MIB // 4, MIB), (MIB // 4 + 1, 2 * MIB), (MIB, 4 * MIB)):
        sizes(tmp_path, of, answer=size)
        largest = largest_message(tmp_path)
        assert largest is not None
        assert largest.needed_limit == limit


def test_a_message_over_the_limit_is_refused(tmp_path: Path) -> None:
    of = sample(tmp_path, 10)
    sizes(tmp_path, of, **{"what step 'a' answers": 3 * MIB})

    largest = largest_message(tmp_path)

    assert largest is not None
    assert largest.over_limit(3 * MIB) is None
    over = largest.over_limit(3 * MIB - 1)
    assert over is not None
    assert over[0].startswith("what step 'a' answers of its sample is 3145728 bytes in Kafka, over")
    assert "to 12Mi, or use --via-router" in over[1]


def test_sizes_of_another_sample_are_refused(tmp_path: Path) -> None:
    of = sample(tmp_path, 10)
    sizes(tmp_path, of + 1, answer=3)

    with pytest.raises(ConfigurationError, match="remove it, or measure anew with make messages"):
        largest_message(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [("{", "cannot be read"), ("[]", "holds a list"), ('{"messages": {"a": "b"}}', "no sizes")],
)
def test_sizes_that_are_none_are_an_error(tmp_path: Path, content: str, text: str) -> None:
    sample(tmp_path, 10)
    (tmp_path / MESSAGES).write_text(content)

    with pytest.raises(ConfigurationError, match=text):
        largest_message(tmp_path)


@pytest.mark.parametrize(("content", "text"), [("{}", "it has no inputs"), ("x", "cannot be re")])
def test_a_sample_that_is_none_is_an_error(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "request.json").write_text(content)

    with pytest.raises(ConfigurationError, match=text):
        largest_message(tmp_path)
