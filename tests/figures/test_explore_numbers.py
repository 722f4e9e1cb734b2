"""The numbers behind the still pictures of the figures that recompute."""

import numpy as np
import pytest
from scipy.special import softmax

from acrlls.figures.explore import acr_optimum, acr_penalty, shares_won, study_spread


def test_the_stills_penalty_is_the_layers():
    from acrlls import AdaptiveConfidenceRegularizer

    z = np.random.default_rng(0).normal(size=(50, 3)).astype("f4")
    layer = AdaptiveConfidenceRegularizer(alpha=0.3, tau=0.4)
    penalty = acr_penalty(softmax(z.astype(float), axis=1), 0.3, 0.4).mean()
    assert float(layer.penalty(z)) == pytest.approx(penalty, rel=1e-5)


def test_without_the_penalty_the_optimum_is_the_truth():
    assert acr_optimum([0.5, 0.3, 0.2], 0, 0.25) == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)


def test_the_spread_of_a_study_is_that_of_drawn_images_and_seeds():
    rng = np.random.default_rng(0)
    n, seeds, spread, disagree, gap = 2000, 3, 0.4, 6.0, 1.0
    odds = [(disagree + gap) / 200, (disagree - gap) / 200, 1 - disagree / 100]
    won, lost, _ = rng.multinomial(n, odds, 20_000).T
    drawn = 100 * (won - lost) / n
    for sign in (1, -1):
        drawn = drawn + sign * rng.normal(0, spread, (seeds, 20_000)).mean(axis=0)
    assert drawn.std() == pytest.approx(study_spread(gap, n, spread, seeds, disagree), rel=0.02)


def test_the_share_of_repetitions_won_is_that_of_drawn_noise():
    losses, sd = [0.40, 0.41, 0.41, 0.45], 0.02
    drawn = np.random.default_rng(0).normal(losses, sd, (100_000, 4)).argmin(axis=1)
    won = shares_won(losses, sd)
    np.testing.assert_allclose(won, np.bincount(drawn) / 100_000, atol=0.006)
    assert won.sum() == pytest.approx(1, abs=1e-5)


def test_without_noise_the_lowest_loss_always_wins():
    assert shares_won([0.5, 0.4, 0.6], 1e-3) == pytest.approx([0, 1, 0], abs=1e-6)
