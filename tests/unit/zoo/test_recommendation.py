"""Recommendation: the planted model, training, scores and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from infergraph.tasks.dlrm import load_tensors, read_config
from zoo.clicks import DENSE, HOTNESS, TABLE_ROWS, Clicks, auc, held_out, log_loss
from zoo.evaluate_recommendation import main as evaluate
from zoo.evaluate_recommendation import probabilities
from zoo.train_recommendation import PARTS, SHAPES, TRAINED, main, with_tables_of

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("scores", "clicked", "area"),
    [
        ([0.1, 0.4, 0.8], [0, 0, 1], 1.0),
        ([0.9, 0.4, 0.8], [0, 0, 1], 0.5),
        ([0.9, 0.9, 0.8], [0, 1, 1], 0.25),
        ([0.5, 0.5], [0, 1], 0.5),
    ],
)
def test_auc(scores: list[float], clicked: list[int], area: float) -> None:
    assert auc(np.array(scores), np.array(clicked)) == pytest.approx(area)


def test_log_loss() -> None:
    found = log_loss(np.array([0.5, 0.75]), np.array([1, 0]))

    assert found == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_rows_are_those_of_their_seed() -> None:
    first, again, other = (Clicks().rows(seed, 500) for seed in (3, 3, 4))

    assert np.array_equal(first.indices, again.indices)
    assert np.array_equal(first.clicked, again.clicked)
    assert not np.array_equal(first.dense, other.dense)
    assert first.dense.shape == (500, DENSE)
    assert first.indices.shape == (500, sum(HOTNESS))
    ends = np.repeat(TABLE_ROWS, HOTNESS)
    assert (first.indices < ends).all()
    assert (first.indices >= -1).all()
    # Of a feature of several columns some rows have no index at all, and some all.
    several = first.indices[:, 2:5]
    assert {*(several >= 0).sum(axis=1)} == {0, 1, 2, 3}
    assert (first.indices[:, :2] >= 0).all()


def test_the_planted_model_is_calibrated_and_ranks_best() -> None:
    rows = held_out(40_000)
    noisy = rows.probability + np.random.default_rng(0).normal(0, 0.05, len(rows.probability))

    assert rows.clicked.mean() == pytest.approx(rows.probability.mean(), abs=0.01)
    assert auc(rows.probability, rows.clicked) > auc(noisy, rows.clicked) > 0.8


def test_the_embedded_checkpoint_ranks_nearly_as_the_planted_model() -> None:
    rows = held_out(40_000)

    found = probabilities(REPOSITORY / TRAINED, rows)

    best = auc(rows.probability, rows.clicked)
    assert best - 0.01 <= auc(found, rows.clicked) < best
    assert log_loss(found, rows.clicked) < log_loss(rows.probability, rows.clicked) + 0.01
    assert found.mean() == pytest.approx(rows.clicked.mean(), abs=0.02)


@pytest.mark.exhaustive
def test_a_training_learns_and_writes_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = f"--threads={torch.get_num_threads()}"
    main([f"--output={tmp_path / 'all'}", "--steps=12", "--batch-size=128", threads])
    main([f"--output={tmp_path / 'none'}", "--shape=embedded", threads])
    rows = held_out(3000)

    losses = [
        log_loss(probabilities(tmp_path / name, rows), rows.clicked) for name in ("all", "none")
    ]
    assert losses[0] < losses[1]
    evaluate([f"--checkpoint={tmp_path / 'all'}", "--rows=500"])
    printed = capsys.readouterr().out
    assert "planted model" in printed
    assert "always the mean   AUC 0.5000" in printed


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_a_slice(part: str, tmp_path: Path) -> None:
    main([f"--output={tmp_path}", f"--part={part}", f"--trained={REPOSITORY / TRAINED}"])

    assert read_config(tmp_path) == read_config(REPOSITORY / TRAINED)
    whole = load_tensors(REPOSITORY / TRAINED, ("bottom.", "tables", "top."))
    if not PARTS[part]:
        assert [file.name for file in tmp_path.iterdir()] == ["config.json"]
        return
    found = load_tensors(tmp_path, PARTS[part])
    assert found.keys() == {name for name in whole if name.startswith(PARTS[part])}
    assert all(torch.equal(found[name], whole[name]) for name in found)


def test_published_shapes() -> None:
    kaggle, terabyte = SHAPES["criteo-kaggle"], SHAPES["criteo-terabyte"]
    assert (kaggle.features, terabyte.features) == (16 + 351, 64 + 351)
    assert len(SHAPES["mlperf-multi-hot"].feature_of) == 214
    assert max(terabyte.table_rows) == 10_000_000
    assert sum(SHAPES["mlperf"].table_rows) > 200_000_000
    assert max(with_tables_of(kaggle, 1000).table_rows) == 1000
    assert with_tables_of(kaggle, None) is kaggle
