"""Sampling noise: calibrated scores of several shapes, paired models, and tests against them."""

import numpy as np
import pytest
from scipy.stats import binomtest

from acrlls import calibration
from acrlls.ledger import chance

PREVALENCE, BRIER, AUC, ERRORS, N = 0.17, 0.0085, 0.9987, 34, 3179


def shapes():
    return {
        "Beta": chance.beta_shape(PREVALENCE, BRIER),
        "two groups": chance.two_group_shape(PREVALENCE, BRIER, AUC, ERRORS, N),
    }


SHAPES = shapes()
each_shape = pytest.mark.parametrize("name", SHAPES)


@each_shape
def test_a_shape_has_the_published_prevalence_and_brier_score(name):
    shape = SHAPES[name]
    assert (
        len(shape) == chance.POOL
        and (np.diff(shape) >= 0).all()
        and shape[0] >= 0
        and shape[-1] <= 1
    )
    assert shape.mean() == pytest.approx(PREVALENCE, rel=2e-3)
    assert (shape * (1 - shape)).mean() == pytest.approx(BRIER, rel=5e-3)


def test_two_groups_come_close_to_the_published_auc_and_errors():
    shape = SHAPES["two groups"]
    # Under calibration a score p stands for p hits, so the AUC is that of weighted ranks.
    below = (1 - shape).cumsum() - (1 - shape) / 2
    area = (shape * below).sum() / (shape.sum() * (1 - shape).sum())
    assert area == pytest.approx(AUC, abs=2e-4)
    assert N * np.minimum(shape, 1 - shape).mean() == pytest.approx(ERRORS, abs=2)


@each_shape
@pytest.mark.parametrize("binning", chance.BINNINGS, ids=str)
def test_the_errors_are_those_of_the_calibration_module(name, binning):
    shape, rng = SHAPES[name], np.random.default_rng(1)
    places = rng.integers(0, len(shape), (2, 300))
    labels = rng.random((2, 300)) < shape[places]
    kind, bins = binning
    expected = [
        calibration.classwise_ece(
            np.column_stack([1 - shape[i], shape[i]]), y.astype(int), bins, kind
        )[1]
        for i, y in zip(places, labels, strict=True)
    ]
    found = chance.binned_gaps(shape, places, labels, [binning])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def simulated(name, alike, n, draws, **more):
    return chance.simulate({name: SHAPES[name]}, alike, n, draws, **more)[name]


def test_the_floor_of_beta_scores_is_the_noise_floor_of_scores_drawn_from_that_beta():
    ours = simulated("Beta", (0.5, 0.5), 1000, 400, binnings=[("uniform", 15)])[0, :, 0]
    most, rng = PREVALENCE * (1 - PREVALENCE), np.random.default_rng(0)
    strength = BRIER / (most - BRIER)
    scores = rng.beta(PREVALENCE * strength, (1 - PREVALENCE) * strength, (60, 1000))
    floors = [
        calibration.noise_floor(np.column_stack([p, 1 - p]), resamples=20).mean[0] for p in scores
    ]
    spread = np.hypot(ours.std() / 20, np.std(floors) / np.sqrt(60))
    assert ours.mean() == pytest.approx(np.mean(floors), abs=4 * spread)


def test_more_bins_have_a_higher_floor():
    mean = simulated("Beta", (0.5, 0.5), N, 50).mean(axis=(0, 1))
    width = [mean[j] for j, (kind, _) in enumerate(chance.BINNINGS) if kind == "uniform"]
    assert (np.diff(width) > 0).all()


@each_shape
def test_two_calibrated_models_differ_by_nothing_on_average_and_less_the_more_alike_they_are(name):
    how = {"n": 1500, "draws": 300, "binnings": [("uniform", 15)]}
    draws = [np.subtract(*simulated(name, (r, r), **how)[:2, :, 0]) for r in (0, 0.999)]
    for d in draws:
        assert abs(d.mean()) < 4 * d.std() / np.sqrt(len(d))
    assert draws[1].std() < 0.8 * draws[0].std()


def test_equal_models_do_not_differ_at_all():
    first, *others = simulated("Beta", (1, 1), 500, 5)
    assert all((first == other).all() for other in others)


@each_shape
def test_every_simulated_model_is_calibrated(name, monkeypatch):
    seen = []
    monkeypatch.setattr(
        chance,
        "binned_gaps",
        lambda shape, places, labels, _: seen.append((shape[places], labels)) or 0.0,
    )
    simulated(name, (0.7, 0.8), 20_000, 10)
    assert len(seen) == chance.ALIKE
    for scores, labels in seen:
        for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0001)):
            inside = (scores >= low) & (scores < high)
            error = np.sqrt((scores * (1 - scores))[inside].sum())
            assert abs((labels[inside] - scores[inside]).sum()) < 5 * error + 1e-9


def test_score_correlations_are_taken_within_the_labels():
    rng = np.random.default_rng(2)
    hits = rng.random(4000) < 0.5
    a = rng.normal(size=4000)
    b = np.where(hits, a, rng.normal(size=4000))  # alike for hits alone
    low, high = chance.score_correlations(a + 9 * hits, b + 9 * hits, hits)
    assert low < 0.1 and high == pytest.approx(1)


def test_tail_probabilities_count_the_value_itself():
    assert chance.tails(np.array([1.0, 2.0, 3.0]), 2.0) == (3 / 4, 3 / 4)
    assert chance.tails(np.array([1.0, 2.0, 3.0]), 0.0) == (1 / 4, 1)


def test_the_mcnemar_curve_is_the_exact_test_at_every_possible_disagreement():
    curve = chance.mcnemar_curve(12, 7)
    assert list(curve.index) == list(range(5, 20, 2))
    for discordant, p in curve.items():
        assert p == pytest.approx(binomtest((discordant + 5) // 2, discordant).pvalue)
    assert chance.mcnemar_curve(3, 3)[0] == 1
