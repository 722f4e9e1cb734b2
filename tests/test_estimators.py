"""What is known about the estimators of calibration error holds on populations whose truth is known."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from acrlls.calibration import estimators
from acrlls.calibration import registry as calibration
from acrlls.calibration.estimators import ESTIMATORS, study
from acrlls.config import UserError


@pytest.fixture(scope="module")
def bent():
    """A population that is too sure, with a temperature of 1.6: ``(p, eta)``."""
    z = 2 * np.random.default_rng(0).normal(size=(4000, 3))
    return softmax(z, axis=1), softmax(z / 1.6, axis=1)


def test_every_estimator_nears_its_truth_as_test_sets_grow(bent):
    table = study(*bent, [(200, 10), (20_000, 10)], repetitions=10)
    for name in ESTIMATORS:
        small, large = table.loc[(name, 200, 10)], table.loc[(name, 20_000, 10)]
        assert large.rmse < 0.5 * small.rmse
        assert abs(large.bias) < 0.15 * large.truth


def test_the_true_reliability_is_what_the_best_rising_recalibration_gains(bent):
    p, eta = bent
    gained = []
    for scores, target in zip(p.T, eta.T, strict=True):
        best = IsotonicRegression().fit_transform(scores, target)
        gained.append(((scores - target) ** 2 - (best - target) ** 2).mean())
    assert ESTIMATORS["reliability"].truth(p, eta, 15) == pytest.approx(np.mean(gained), rel=1e-9)


def test_of_perfect_calibration_the_truth_is_nothing_and_the_ece_shows_the_floor(bent):
    p, _ = bent
    table = study(p, p, [(1000, 10)], repetitions=40)
    assert (table.truth.abs() < 1e-12).all()
    floor = calibration.noise_floor(p[:1000], None, 10, 200).mean.mean()
    assert table.loc[("uniform", 1000, 10), "mean"] == pytest.approx(floor, rel=0.1)
    assert table.loc[("minus_floor", 1000, 10), "mean"] < 0.3 * floor


def test_taking_the_floor_off_goes_too_far_and_the_ece_not_far_enough(bent):
    table = study(*bent, [(500, 15)], ["uniform", "minus_floor"], repetitions=40)
    assert table.loc[("uniform", 500, 15), "bias"] > 3 * table.loc[
        ("uniform", 500, 15), "sd"
    ] / np.sqrt(40)
    assert table.loc[("minus_floor", 500, 15), "bias"] < -3 * table.loc[
        ("minus_floor", 500, 15), "sd"
    ] / np.sqrt(40)


def test_the_truths_are_those_of_the_population_worked_by_hand():
    p = np.array([[0.2, 0.8], [0.2, 0.8], [0.6, 0.4], [0.6, 0.4]])
    eta = np.array([[0.3, 0.7], [0.1, 0.9], [0.9, 0.1], [0.7, 0.3]])
    # gaps 0 and 0.2, each half of the images, both classes alike
    expected = {
        "uniform": 0.1,
        "quantile": 0.1,
        "minus_floor": 0.1,
        "freed": 0.1,
        "debiased": np.sqrt(0.02),
    }
    for name, value in expected.items():
        assert ESTIMATORS[name].truth(p, eta, 2) == pytest.approx(value)
    # equal scores are one group: squared gaps of 0 and 0.04
    assert ESTIMATORS["reliability"].truth(p, eta, 2) == pytest.approx(0.02)


def test_all_estimators_see_the_same_test_sets_and_a_seed_gives_them_again(bent):
    cells = [(100, 5), (300, 5)]
    whole = study(*bent, cells, ["uniform", "smooth"], repetitions=3, seed=1)
    alone = study(*bent, cells, ["smooth"], repetitions=3, seed=1)
    np.testing.assert_array_equal(whole.loc[["smooth"]], alone)
    assert not np.array_equal(alone, study(*bent, cells, ["smooth"], repetitions=3, seed=2))


def test_the_inverted_test_holds_the_truth_more_often_than_the_percentile_bootstrap(bent):
    p, eta = bent
    near = 0.9 * p + 0.1 * eta
    truth = calibration.true_calibration_error(p, near, 15)[0]
    found = estimators.repeated_intervals(p, near, 0, 500, repetitions=100, resamples=200)
    held = {way: ((t.low <= truth) & (truth <= t.high)).mean() for way, t in found.items()}
    assert held["percentile bootstrap"] < 0.5 < 0.88 < held["inverted test"]


def test_recorded_coverage_is_summed_up_a_kind_of_interval_and_population(tmp_path):
    lines = ["interval,population,n,bins,strategy,of,truth,floor,coverage,repetitions"]
    lines += [
        f"{way},none,300,10,width,class {k},0,0.01,{c},100"
        for way, k, c in (
            ("ece_interval", 0, 0.89),
            ("ece_interval", 1, 0.97),
            ("percentile", 0, 0.1),
        )
    ]
    (tmp_path / "coverage.csv").write_text("\n".join(lines))
    table = estimators.recorded_coverage(tmp_path)
    assert table.loc[("inverted test", "none")].tolist() == pytest.approx(
        [2, 100, 0.89, 0.93, 0.97, 0.5, 1]
    )  # .89 is .93 less 1.8 errors
    by_column = estimators.recorded_coverage(tmp_path, by="of")
    assert by_column.loc[("inverted test", "a class"), "cells"] == 2
    assert estimators.recorded_coverage(tmp_path, by="n").loc[
        ("inverted test", 300), "mean"
    ] == pytest.approx(0.93)
    with pytest.raises(ValueError, match="population, n, of"):
        estimators.recorded_coverage(tmp_path, by="bins")
    assert table.loc[("percentile bootstrap", "none"), ["mean", "within error"]].tolist() == [
        0.1,
        0,
    ]
    with pytest.raises(
        UserError,
        match="no coverage is recorded in nothing/; `python -m acrlls.calibration.coverage`",
    ):
        estimators.recorded_coverage(tmp_path / "nothing")
    (tmp_path / "coverage.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    with pytest.raises(
        UserError, match="an older one; `python -m acrlls.calibration.coverage` makes it again"
    ):
        estimators.recorded_coverage(tmp_path)


def test_bad_input_is_an_error_that_says_what_would_be_right(bent):
    with pytest.raises(ValueError, match="no estimator 'ece'; choose from: uniform"):
        study(*bent, [(100, 5)], ["ece"])
    with pytest.raises(ValueError, match="must be equal"):
        study(bent[0], bent[1][:10], [(100, 5)])
