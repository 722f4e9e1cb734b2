"""The measures against scikit-learn, relplot and uncertainty-calibration.

Where one of those departs from the definition, the test says in what.
"""

import calibration as uncertainty_calibration
import numpy as np
import pytest
from conftest import labels_of, random_case
from relplot import smECE
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from acrlls import calibration as cal

P4 = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
Y4 = np.array([0, 0, 0, 0])  # the third image is predicted wrongly


def adversarial():
    """Inputs at which implementations part: name, p, y."""
    rng = np.random.default_rng(4)
    p, y = random_case(200, 3)
    coarse = rng.multinomial(10, [0.5, 0.3, 0.2], size=200) / 10
    certain = np.eye(3)[rng.integers(3, size=60)]
    yield "certain and half of it wrong", certain, rng.integers(3, size=60)
    yield "one class absent", p, np.where(y == 2, 0, y)
    yield "one class alone", p, np.zeros(200, int)
    yield "ties on the edges of ten bins", coarse, rng.integers(3, size=200)
    yield "all images alike", np.tile([0.2, 0.5, 0.3], (30, 1)), np.arange(30) % 3
    yield "one image", np.array([[0.7, 0.2, 0.1]]), np.array([1])
    yield "one certain image", np.array([[1.0, 0.0, 0.0]]), np.array([0])


CASES = {"random": random_case(), "random, two classes": random_case(classes=2, seed=1)}
CASES |= {name: (p, y) for name, p, y in adversarial()}
every_case = pytest.mark.parametrize("p, y", CASES.values(), ids=CASES)


def confidence_and_hit(p, y):
    return p.max(axis=1), (p.argmax(axis=1) == y).astype(float)


@every_case
def test_ece_is_that_of_uncertainty_calibration(p, y):
    for bins in (1, 7, 15):
        assert cal.ece(p, y, bins) == pytest.approx(
            uncertainty_calibration.get_ece(p, y, num_bins=bins), abs=1e-12
        )
        theirs = uncertainty_calibration.get_ece(p, y, num_bins=bins, mode="marginal")
        assert cal.classwise_ece(p, y, bins).mean() == pytest.approx(theirs, abs=1e-12)


def test_equal_mass_bins_are_those_of_uncertainty_calibration_where_the_count_divides():
    # where it does not, they give the surplus to the first bins and we spread it
    p, y = random_case(600)
    for bins in (1, 8, 15):
        theirs = uncertainty_calibration.get_ece_em(p, y, num_bins=bins)
        assert cal.ece(p, y, bins, "quantile") == pytest.approx(theirs, abs=1e-12)
        theirs = uncertainty_calibration.get_ece_em(p, y, num_bins=bins, mode="marginal")
        assert cal.classwise_ece(p, y, bins, "quantile").mean() == pytest.approx(theirs, abs=1e-12)


@every_case
def test_the_debiased_error_is_that_of_uncertainty_calibration(p, y):
    equal_width = uncertainty_calibration.utils.get_equal_prob_bins
    for bins in (1, 7, 15):
        how = {"num_bins": bins, "binning_scheme": equal_width}
        theirs = uncertainty_calibration.lower_bound_scaling_ce(p, y, mode="top-label", **how)
        assert cal.debiased_ece(p, y, bins) == pytest.approx(theirs, abs=1e-9)
        theirs = uncertainty_calibration.lower_bound_scaling_ce(p, y, mode="marginal", **how)
        classwise = cal.debiased_ece(p, y, bins, of="classes")
        assert np.sqrt((classwise**2).mean()) == pytest.approx(theirs, abs=1e-9)


def smoothed(at, residual, width, knots=301):
    """The definition: integral of the absolute residual under a reflected Gaussian kernel."""
    t = np.linspace(0, 1, knots)
    places_of = np.concatenate([2 * m + sign * at for m in range(-2, 3) for sign in (1, -1)])
    kernel = np.exp(-(((t[:, None] - places_of) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
    return np.trapezoid(np.abs(kernel @ np.tile(residual, 10)), t) / len(at)


@every_case
def test_smooth_ece_is_the_width_at_which_the_smoothed_residuals_integrate_to_it(p, y):
    columns = [*zip(p.T, np.eye(p.shape[1])[y].T, strict=True), confidence_and_hit(p, y)]
    for (at, hit), value in zip(
        columns, [*cal.smooth_ece(p, y, of="classes"), cal.smooth_ece(p, y)], strict=True
    ):
        if np.array_equal(at, hit):
            assert value == 0
        else:
            assert smoothed(at, hit - at, value) == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_smooth_ece_is_near_that_of_relplot_where_scores_keep_away_from_0_and_1(seed):
    # relplot takes the integral over 200 points and divides by a density that it smooths along, and
    # halves the range of widths ten times: some per cent
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(size=(3000, 3)), axis=1)
    y = labels_of(softmax(0.5 * np.log(p), axis=1), rng)
    assert cal.smooth_ece(p, y) == pytest.approx(smECE(*confidence_and_hit(p, y)), rel=0.03)
    theirs = [smECE(p[:, k], (y == k).astype(float)) for k in range(3)]
    np.testing.assert_allclose(cal.smooth_ece(p, y, of="classes"), theirs, rtol=0.03)


def test_smooth_ece_of_images_at_one_place_is_their_residual():
    p = np.tile([0.7, 0.3], (10, 1))  # smoothing moves mass and loses none
    assert cal.smooth_ece(p, np.array([0] * 4 + [1] * 6)) == pytest.approx(0.3, abs=1e-6)
    assert cal.smooth_ece(np.eye(2), [0, 1]) == 0


@every_case
def test_over_and_underconfidence_sum_to_the_ece(p, y):
    for bins in (1, 10, 15):
        for of, ece in (("", cal.ece), ("classwise_", cal.classwise_ece)):
            over, under = (cal.METRICS[f"{of}{way}confidence"] for way in ("over", "under"))
            parts = over(p, y, bins) + under(p, y, bins)
            np.testing.assert_allclose(parts, ece(p, y, bins), rtol=0, atol=1e-15)


def test_over_and_underconfidence_and_the_maximum_of_four_images_worked_by_hand():
    over, under = cal.METRICS["overconfidence"], cal.METRICS["underconfidence"]
    # ten bins: said .9 .8 .7 .6, came true 1 1 0 1; a quarter each
    assert over(P4, Y4, 10) == pytest.approx(0.7 / 4)
    assert under(P4, Y4, 10) == pytest.approx((0.1 + 0.2 + 0.4) / 4)
    assert cal.mce(P4, Y4, 10) == pytest.approx(0.7)
    # two bins for class 0: .3 alone, frequency 1; .9 .8 .6 with mean 2.3/3, frequency 1
    np.testing.assert_allclose(cal.mce(P4, Y4, 2, of="classes"), [0.7, 0.7])
    p, y = CASES["random"]
    flat, sharp = (softmax(power * np.log(p), axis=1) for power in (0.3, 3))
    assert over(sharp, y) > 10 * under(sharp, y) and under(flat, y) > 10 * over(flat, y)


@every_case
def test_the_maximum_error_is_the_largest_gap_of_the_reliability_diagram(p, y):
    for strategy in ("uniform", "quantile"):
        diagram = cal.prepare_reliability(p, y, 10, strategy=strategy, resamples=2)
        gaps = np.nanmax(np.abs(diagram.frequency - diagram.confidence), axis=1)
        np.testing.assert_allclose(cal.mce(p, y, 10, strategy, of="classes"), gaps)


RELIABILITY, RESOLUTION = (cal.METRICS[f"brier_{part}"] for part in ("reliability", "resolution"))


@every_case
def test_the_parts_of_the_brier_score_sum_to_it_exactly_and_are_those_of_isotonic_regression(p, y):
    reliability, resolution = RELIABILITY(p, y), RESOLUTION(p, y)
    assert (reliability >= 0).all() and (resolution >= 0).all()
    share = np.bincount(y, minlength=p.shape[1]) / len(y)
    total = reliability - resolution + share * (1 - share)
    np.testing.assert_allclose(total, cal.classwise_brier(p, y), atol=1e-14)
    assert total.sum() == pytest.approx(cal.brier_score(p, y), abs=1e-14)
    for k in range(p.shape[1]):
        hit = (y == k).astype(float)
        again = IsotonicRegression().fit_transform(p[:, k], hit)
        recalibrated, base = ((again - hit) ** 2).mean(), ((hit.mean() - hit) ** 2).mean()
        gain = ((p[:, k] - hit) ** 2).mean() - recalibrated
        assert reliability[k] == pytest.approx(gain, abs=1e-12)
        assert resolution[k] == pytest.approx(base - recalibrated, abs=1e-12)


def test_the_parts_of_the_brier_score_of_four_images_worked_by_hand():
    # class 0 said .1 .4 .4 .9, came true 0 1 0 1: isotonic 0, 1/2, 1/2, 1, frequency 1/2
    p = np.array([0.1, 0.4, 0.4, 0.9])
    case = np.column_stack([p, 1 - p]), [1, 0, 1, 0]
    # Brier (.01 + .36 + .16 + .01)/4 = .135; of the isotonic scores (0 + .25 + .25 + 0)/4 = .125
    assert RELIABILITY(*case)[0] == pytest.approx(0.01)
    assert RESOLUTION(*case)[0] == pytest.approx(0.125)  # below 1/4, that of the frequency


def test_certain_answers_that_are_right_have_a_brier_score_of_exactly_zero():
    p = np.eye(4)[np.arange(1000) % 4]
    assert cal.brier_score(p, np.arange(1000) % 4) == 0


@every_case
def test_every_metric_of_the_registry_has_a_value_and_ignores_the_order_of_the_images(p, y):
    order = np.random.default_rng(9).permutation(len(y))
    for name, metric in cal.METRICS.items():
        value = metric(p, y, 10)
        assert np.shape(value) in ((p.shape[1],), ()), name
        assert np.isfinite(value).all() or name == "classwise_auc", name
        np.testing.assert_allclose(metric(p[order], y[order], 10), value, atol=1e-6, err_msg=name)


def test_the_report_of_four_images_worked_by_hand():
    p = np.array([[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.4, 0]])
    table = cal.report(p, [0, 0, 1, 1], ["a", "b", "c"])
    said = table[["precision", "recall", "support"]].loc[["a", "b", "c", "macro avg"]].to_numpy()
    by_hand = [[2 / 3, 1, 2], [1, 1 / 2, 2], [0, 0, 0], [5 / 9, 1 / 2, 4]]
    np.testing.assert_allclose(said, by_hand)
    assert table.loc["accuracy", "f1-score"] == 0.75


@pytest.mark.parametrize(
    ("names", "says"),
    [("ab", "'ab'"), (["a"], "1 class names for 2"), (["a", "accuracy"], "last row")],
)
def test_the_report_refuses_names_that_do_not_fit(names, says):
    with pytest.raises(ValueError, match=says):
        cal.report([[0.5, 0.5], [0.2, 0.8]], [0, 1], names)
