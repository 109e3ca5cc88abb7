"""What scores mean, on scores whose meaning is known."""

import numpy as np
import pytest
import torch

from zoo.calibration import (
    auroc,
    calibrate,
    divide_logits,
    expected_calibration_error,
    false_accepts,
    fit_temperature,
)


def test_the_calibration_error_is_how_far_scores_are_from_the_share_that_is_right() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=20_000)
    honest = rng.uniform(size=20_000) < scores

    assert expected_calibration_error(scores, honest.tolist()) < 0.01
    assert expected_calibration_error([1.0, 1.0, 1.0, 1.0], [True, False, True, False]) == 0.5
    # In one bin they even each other out; in bins of their own they do not.
    assert expected_calibration_error([0.05, 0.95], [True, False], bins=1) == 0
    assert expected_calibration_error([0.05, 0.95], [True, False]) == pytest.approx(0.95)


def test_auroc_counts_pairs_in_order() -> None:
    assert auroc([0.9, 0.8], [0.1, 0.2, 0.3]) == 1
    assert auroc([0.1], [0.9]) == 0
    assert auroc([0.5, 0.5], [0.5]) == 0.5
    assert auroc([0.9, 0.2], [0.1, 0.3]) == 0.75


def test_false_accepts_are_those_above_what_most_of_the_world_reaches() -> None:
    inside = np.arange(100) / 100

    assert false_accepts(inside, [0.0, 0.03, 0.5, 0.9]) == 0.5
    assert false_accepts(inside, [0.0, 0.5], accepted=1.0) == 1.0


@pytest.mark.parametrize("wanted", [0.25, 1.0, 4.0])
def test_dividing_by_the_temperature_makes_scores_honest(wanted: float) -> None:
    draws = torch.Generator().manual_seed(0)
    honest = torch.randn(8000, 4, generator=draws) * 2
    labels = torch.multinomial(honest.softmax(-1), 1, generator=draws)[:, 0]
    layer = torch.nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4) * wanted)
        layer.bias.zero_()
        temperature = fit_temperature(layer(honest), labels)
        divide_logits(layer, temperature)
        best, chosen = layer(honest).softmax(-1).max(-1)

    assert temperature == pytest.approx(wanted, rel=0.1)
    assert expected_calibration_error(best.numpy(), (chosen == labels).tolist()) < 0.02


def test_a_classifiers_last_linear_layer_is_divided() -> None:
    draws = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with torch.inference_mode():
        logits = model(torch.randn(2000, 4, generator=draws)) * 5
    labels = torch.multinomial((logits / 2).softmax(-1), 1, generator=draws)[:, 0]

    temperature = calibrate(model, logits, labels)

    assert temperature == pytest.approx(2, rel=0.2)
    for name, each in model.state_dict().items():
        expected = before[name] / (temperature if name.startswith("2") else 1)
        torch.testing.assert_close(each, expected)
