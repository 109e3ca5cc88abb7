from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.manifests.broker import message_size, needed_limit, over_limit
from infergraph.manifests.quantity import MIB


def sample(folder: Path, size: int) -> Path:
    file = folder / "request.json"
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1, 1], "data": ["a" * size]}
    file.write_text(json.dumps({"inputs": [tensor]}, indent=2))
    return file


def test_a_message_is_as_large_as_its_texts_and_a_little_more(tmp_path: Path) -> None:
    assert 5000 < message_size(sample(tmp_path, 5000)) < 5200


def test_the_limit_has_room_for_four_samples(tmp_path: Path) -> None:
    assert needed_limit(sample(tmp_path, 10)) == MIB
    assert needed_limit(sample(tmp_path, MIB)) == 5 * MIB


def test_a_sample_over_the_limit_is_refused(tmp_path: Path) -> None:
    file = sample(tmp_path, 3 * MIB)

    assert over_limit(file, 4 * MIB) is None
    over = over_limit(file, 3 * MIB)
    assert over is not None
    assert "over the broker-limit of 3145728" in over[0]
    assert "to 13Mi, or use --via-router" in over[1]


def test_a_sample_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")

    with pytest.raises(ConfigurationError, match="no V2 request can be read"):
        message_size(tmp_path / "request.json")
