"""Section 10: what is known about the estimators holds where the truth is known; its sentences."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from acrlls import calibration
from acrlls.calibration import populations
from acrlls.config import PROJECT
from acrlls.tables import estimators, words
from acrlls.tables.estimators import ESTIMATORS, study


@pytest.fixture(scope="module")
def bent():
    """An overconfident population, with a temperature of 1.6: ``(p, eta)``."""
    z = 2 * np.random.default_rng(0).normal(size=(4000, 3))
    return softmax(z, axis=1), softmax(z / 1.6, axis=1)


def test_every_estimator_nears_its_truth_as_test_sets_grow(bent):
    table = study(*bent, (200, 20_000), 10, repetitions=10)
    for name in ESTIMATORS:
        small, large = table.loc[(name, 200)], table.loc[(name, 20_000)]
        assert large.sd < 0.5 * small.sd
        assert abs(large.bias) < 0.15 * large.truth


def test_of_perfect_calibration_the_truth_is_nothing_and_the_ece_shows_the_floor(bent):
    p, _ = bent
    table = study(p, p, [1000], 10, repetitions=40)
    assert (table.truth.abs() < 1e-12).all()
    floor = calibration.noise_floor(p[:1000], None, 10, 200).mean.mean()
    assert table.loc[("uniform", 1000), "mean"] == pytest.approx(floor, rel=0.1)
    assert table.loc[("minus_floor", 1000), "mean"] < 0.3 * floor


def test_subtracting_the_floor_goes_too_far_and_the_ece_not_far_enough(bent):
    table = study(*bent, [500], 15, repetitions=40).xs(500, level="n")
    error = 3 * table.sd / np.sqrt(40)
    assert table.bias.uniform > error.uniform
    assert table.bias.minus_floor < -error.minus_floor


def test_the_truths_are_those_of_the_population_worked_by_hand():
    p = np.array([[0.2, 0.8], [0.2, 0.8], [0.6, 0.4], [0.6, 0.4]])
    eta = np.array([[0.3, 0.7], [0.1, 0.9], [0.9, 0.1], [0.7, 0.3]])
    # gaps 0 and 0.2, each half of the images, both classes alike
    expected = dict.fromkeys(("uniform", "minus_floor", "without_bias"), 0.1)
    truth = study(p, eta, [10], 2, repetitions=1).truth.xs(10, level="n")
    for name, value in {**expected, "debiased": np.sqrt(0.02)}.items():
        assert truth[name] == pytest.approx(value)


def test_recorded_coverage_is_summed_up_by_kind_of_interval(tmp_path):
    head = "interval,population,n,bins,strategy,of,coverage,repetitions"
    given = ("ece_interval", 0, 0.89), ("ece_interval", 1, 0.97), ("percentile", 0, 0.1)
    rows = [f"{way},none,300,10,uniform,class {k},{c},100" for way, k, c in given]
    (tmp_path / "coverage.csv").write_text("\n".join([head, *rows]))
    table = estimators.coverage(tmp_path / "coverage.csv")
    expected = [2, 100, 0.89, 0.93, 0.97]
    assert table.loc[("inverted test", "a class")].tolist() == pytest.approx(expected)
    assert len(estimators.coverage()) == 6  # as shipped


def test_cells_whose_coverage_chance_does_not_explain_are_counted(tmp_path):
    rows = ["interval,coverage,repetitions", "percentile,0.1,100"]
    rows += [f"ece_interval,{held},100" for held in (0.89, 0.9, 0.95, 0.99, 1.0)]
    (tmp_path / "coverage.csv").write_text("\n".join(rows))
    text = estimators.coverage_sentence(tmp_path / "coverage.csv")
    assert "0.900 to 0.990 in" in text  # at most 2.5 % lie beyond each end
    assert "of 5 cells, 1 lie below and 1 above" in text


def test_the_section_says_which_bias_there_is(bent):
    p, eta = bent
    known = {estimators.SLIGHT: (p, eta), estimators.CALIBRATED: (p, p)}
    tables = {title: study(*both, [300], 10, repetitions=4) for title, both in known.items()}
    calm = tables[estimators.CALIBRATED].loc[("uniform", 300)]
    assert estimators.bias_table(tables, 300).iloc[0, -2] == calm.bias
    assert f"ECE of {words.error(calm['mean'])} on average," in estimators.finding(tables, 300)


def test_the_recorded_coverage_is_of_every_population():
    record = pd.read_csv(PROJECT / "results" / "coverage" / "coverage.csv")
    assert set(populations.synthetic(2500)) < set(record.population)
    assert {"isotonic", "histogram"} <= set(record.population)
