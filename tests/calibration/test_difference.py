"""The difference of two models in calibration, and the p-value of its permutation."""

from itertools import product

import numpy as np
import pytest
from scipy.special import softmax

from acrlls import calibration
from acrlls.calibration import calibration_difference


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(2)
    p = softmax(rng.normal(size=(2000, 4)), axis=1)
    y = np.array([rng.choice(4, p=row) for row in p])
    worse = softmax(3 * np.log(p), axis=1)
    other = softmax(np.log(p) + 1e-3 * rng.normal(size=p.shape), 1)
    return y, p, worse, other


def test_it_tells_a_worse_model_and_not_an_equal_one(images):
    y, p, worse, other = images
    assert calibration_difference(p, y, worse, resamples=99).p_values[-1] == 0.01
    assert calibration_difference(p, y, other, resamples=99).p_values[-1] > 0.05
    same = calibration_difference(p, y, p, resamples=9)
    assert (same.gaps == 0).all() and (same.p_values == 1).all()


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_gaps_are_differences_of_the_classwise_ece(images, strategy):
    y, p, worse, other = images
    of = [np.array([p, other]), y, np.array([worse, worse])]
    found = calibration_difference(*of, 10, strategy, resamples=1).gaps
    ece = [calibration.classwise_ece(q, y, 10, strategy) for q in (p, other, worse)]
    expected = np.array([ece[0] - ece[2], ece[1] - ece[2]])
    np.testing.assert_allclose(
        found, np.column_stack([expected, expected.mean(axis=1)]), atol=1e-12
    )


def test_a_weight_counts_as_so_many_copies(images):
    y, p, worse, _ = (part[:300] for part in images)
    times = np.random.default_rng(0).integers(0, 4, 300)
    found = calibration_difference(p, y, worse, sample_weight=times, resamples=1).gaps
    copies = (np.repeat(part, times, axis=0) for part in (p, y, worse))
    np.testing.assert_allclose(found, calibration_difference(*copies, resamples=1).gaps, atol=1e-12)


@pytest.mark.parametrize("runs", [1, 2])
def test_p_is_that_of_all_exchanges(runs):
    """Of six images all 64 exchanges can be made, in all runs alike; the test draws from them."""
    rng = np.random.default_rng(4)
    p, p2 = rng.dirichlet(np.ones(3), (2, runs, 6))
    y = np.array([0, 1, 2, 0, 1, 1])

    def gap(swap):
        pairs = zip(np.where(swap, p2, p), np.where(swap, p, p2), strict=True)
        each = [[calibration.ece(q, y, 4, of="mean") for q in two] for two in pairs]
        return -np.diff(each).mean()

    swaps = np.array(list(product([False, True], repeat=6)))[..., None]
    exact = np.mean([abs(gap(s)) >= abs(gap(swaps[0])) - 1e-12 for s in swaps])
    found = calibration_difference(p, y, p2, 4, resamples=4000)
    assert abs(found.p_values[-1] - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)
    assert found.least == 1 / 4001


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"p2": np.ones((3, 2)) / 2}, "must be equal"),
        ({"p": np.ones((2, 2000, 4)) / 4}, "must be equal"),
        ({"sample_weight": [1, 2]}, "sample_weight"),
    ],
)
def test_models_of_other_images_and_wrong_weights_are_refused(images, change, says):
    y, p, worse, _ = images
    with pytest.raises(ValueError, match=says):
        calibration_difference(**{"p": p, "y": y, "p2": worse, "resamples": 9} | change)
