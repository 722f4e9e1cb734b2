"""The maximum calibration error of a population, and the interval that holds it at least as often as it says."""

import numpy as np
import pytest
from conftest import labels_of
from scipy.stats import binomtest

from acrlls.calibration import coverage as cov
from acrlls.calibration import registry as cal


def test_the_largest_true_error_of_a_bin_is_what_a_large_sample_shows():
    p, eta = cov.synthetic(20_000)["strong"]
    q, y = cov.draw(p, eta, 300_000, np.random.default_rng(1))
    for strategy in ("uniform", "quantile"):
        true = cal.true_calibration_error(p, eta, 8, strategy, norm="max")
        np.testing.assert_allclose(cal.classwise_mce(q, y, 8, strategy), true, atol=0.03)
    certain = np.eye(4)[cov.draw(p, eta, len(p), np.random.default_rng(2))[1]]
    np.testing.assert_allclose(
        cal.true_calibration_error(p, certain, norm="max"), cal.classwise_mce(p, certain.argmax(1))
    )


def test_the_interval_of_the_maximum_error_is_made_of_exact_limits():
    # class 1: 3 of 10 hits said 0.2, 2 of 5 said 0.9; so α' is 0.05 · 2/3, and half of that for each in the lower limit
    s, y = [0.2] * 10 + [0.9] * 5, [1] * 3 + [0] * 7 + [1] * 2 + [0] * 3
    found = cal.mce_interval(np.column_stack([1 - np.array(s), s]), y, 10)
    alpha, bins = 0.05 * 2 / 3, ((3, 10, 0.2), (2, 5, 0.9))
    limits = [(binomtest(k, n).proportion_ci, said) for k, n, said in bins]
    each = [(said, of(1 - alpha / 2), of(1 - 2 * alpha)) for of, said in limits]
    low = max(max(both.low - said, said - both.high, 0) for said, both, _ in each)
    high = max(max(one.high - said, said - one.low) for said, _, one in each)
    np.testing.assert_allclose(
        (found.low, found.estimate, found.high), [[low] * 2, [0.5] * 2, [high] * 2]
    )  # 2/5 said 0.9


@pytest.mark.parametrize("population", ["none", "slight", "strong", "local"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_interval_of_the_maximum_error_holds_it_at_least_as_often_as_it_says(
    population, strategy
):
    p, eta = cov.synthetic(20_000)[population]
    rng, held, widths = np.random.default_rng(0), [], []
    for _ in range(150):
        rows = rng.integers(len(p), size=700)
        q, y = p[rows], labels_of(eta[rows], rng)
        found = cal.mce_interval(q, y, 10, strategy)
        true = cal.true_calibration_error(
            q, eta[rows], 10, strategy, norm="max"
        )  # of the bins that hold any of these
        held.append((found.low <= true) & (true <= found.high))
        widths.append(found.high - found.low)
    assert np.mean(held) > 0.95 and np.mean(held, axis=0).min() > 0.95 - 4 * np.sqrt(
        0.95 * 0.05 / 150
    )
    assert np.mean(widths) < (0.5 if strategy == "uniform" else 0.25)


def test_the_interval_of_the_maximum_error_says_what_is_wrong():
    with pytest.raises(ValueError, match="of is 'mean'; choose one of: classes, top_label"):
        cal.mce_interval([[0.7, 0.3]], [0], of="mean")
    with pytest.raises(ValueError, match="level is 95"):
        cal.mce_interval([[0.7, 0.3]], [0], level=95)
    one = cal.mce_interval([[0.7, 0.3]], [0], of="top_label")
    assert (
        one.low == 0
        and one.estimate == pytest.approx(0.3)
        and one.high == pytest.approx(0.7 - 0.025)
    )
