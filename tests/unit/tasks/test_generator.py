from __future__ import annotations

from collections import Counter

import pytest
import torch

from infergraph.tasks.generator import GumbelNoise


def test_the_likeliest_of_noisy_logits_is_a_sample() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -torch.inf]])
    expected = logits.softmax(dim=-1)[0].tolist()

    drawn = Counter(
        int(GumbelNoise(seed)(torch.empty(1, 0), logits).argmax()) for seed in range(4000)
    )

    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx(expected, abs=0.03)
    assert drawn[3] == 0


def test_each_step_has_noise_of_its_own_and_all_rows_of_a_step_the_same() -> None:
    noise = GumbelNoise(5)
    first, second = (noise(torch.empty(2, 0), torch.zeros(2, 50)) for _ in range(2))

    assert torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert torch.equal(first, GumbelNoise(5)(torch.empty(2, 0), torch.zeros(2, 50)))
    assert not torch.equal(first, GumbelNoise(6)(torch.empty(2, 0), torch.zeros(2, 50)))


def test_the_process_own_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    GumbelNoise(1)(torch.empty(1, 0), torch.zeros(1, 9))

    assert torch.equal(torch.get_rng_state(), state)
