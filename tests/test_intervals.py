"""Intervals for over- and underconfidence and for the measures without bins; one function for every metric."""

import numpy as np
import pytest
from conftest import labels_of, random_case
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression

from acrlls.calibration import coverage as cov
from acrlls.calibration import errors as miscalibration
from acrlls.calibration import intervals, simulation
from acrlls.calibration import registry as cal
from acrlls.calibration.floor import WITHOUT_BINS


@pytest.fixture(scope="module")
def strong():
    """Samples of 1,200 images from an overconfident population, and that population."""
    p, eta = cov.synthetic(20_000)["strong"]
    rng = np.random.default_rng(0)
    return [cov.draw(p, eta, 1200, rng) for _ in range(12)], p, eta


def held_of(p, y, k=0, bins=10):
    return intervals.Bins.of(p, y, np.full((len(p), 1), k), bins, "uniform")


# ---------------------------------------------------------------- over- and underconfidence


@pytest.mark.parametrize("top_label", [False, True])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_parts_of_the_true_error_sum_to_it_and_are_what_a_large_sample_shows(
    strong, top_label, strategy
):
    _, p, eta = strong
    whole, over, under = (
        cal.true_calibration_error(
            p, eta, 10, strategy, of="top_label" if top_label else "classes", part=part
        )
        for part in ("all", "over", "under")
    )
    np.testing.assert_allclose(over + under, whole, atol=1e-12)
    q, y = cov.draw(p, eta, 200_000, np.random.default_rng(1))
    shown = cal.overconfidence if top_label else cal.classwise_overconfidence
    np.testing.assert_allclose(shown(q, y, 10, strategy), over, atol=0.006)


def test_a_part_that_there_is_not_is_an_error(strong):
    (sample, *_), p, eta = strong
    for wrong in (
        lambda: cal.ece_interval(*sample, part="both"),
        lambda: cal.true_calibration_error(p, eta, part="both"),
    ):
        with pytest.raises(ValueError, match="'both'; choose one of: all, over, under"):
            wrong()
    with pytest.raises(ValueError, match="of is 'mean'; choose one of: classes, top_label"):
        cal.ece_interval(*sample, part="over", of="mean")
    with pytest.raises(ValueError, match="l2 error has no parts"):
        cal.true_calibration_error(p, eta, norm="l2", part="over")


@pytest.mark.parametrize("sign", [-1, 1])
def test_possible_populations_have_the_error_of_one_sign_and_of_the_other_what_is_clearly_shown(
    strong, sign
):
    (sample, *_), *_ = strong
    held = held_of(*sample)
    noise, observed, errors = intervals.candidates(held, sign)
    errors = np.append(0, np.linspace(0.1, 1, 5) * observed)
    gaps = intervals.populations(held, noise, errors, sign)
    np.testing.assert_allclose(np.maximum(sign * gaps, 0).sum(axis=1), errors, atol=1e-9)
    against, clear = np.maximum(-sign * held.gap, 0), 2 * np.sqrt(noise)
    assert (against > clear).any() and (against < clear).any()
    assert (-sign * gaps[:, against > clear] > 0).all() and (
        -sign * gaps[:, against < clear] <= 0
    ).all()
    assert (-sign * gaps <= against + 1e-12).all()  # shrunk


def test_the_recalibration_of_bins_is_that_of_isotonic_regression_in_each_column(strong):
    ((p, y), *_), *_ = strong
    expected = []
    for k in range(4):
        held = held_of(p, y, k, 40)  # of unequal counts, which are weights
        frequency = held.mean + held.gap / held.share
        fitted = IsotonicRegression().fit(held.mean, frequency, held.share).predict(held.mean)
        assert (np.diff(fitted) == 0).any()  # some are pooled
        expected.append(held.share * (fitted - held.mean))
        np.testing.assert_allclose(held.recalibration(), expected[-1], atol=1e-12)
    together = intervals.Bins.of(p, y, np.tile(np.arange(4), (len(p), 1)), 40, "uniform")
    np.testing.assert_allclose(together.recalibration(), np.concatenate(expected), atol=1e-12)


def test_a_small_possible_error_is_in_part_in_few_bins_and_in_part_in_all_that_a_recalibration_would_mend(
    strong,
):
    ((p, y), *_), *_ = strong
    held = held_of(p, y, bins=30)
    noise, observed, _ = intervals.candidates(held)
    gaps = intervals.populations(held, noise, np.array([0.2 * observed]))[0]
    sizes, mended = np.abs(gaps), np.abs(held.recalibration())
    spread = 0.2 * observed * mended / mended.sum() / 3
    alone = np.isclose(sizes, spread)  # shrunk to nothing
    assert (sizes >= spread - 1e-12).all() and 0.3 < alone.mean() < 1
    assert (gaps * held.recalibration() >= 0)[alone].all() and (gaps * held.gap < 0).any()
    clearest = (held.gap**2 / noise).argmax()
    assert not alone[clearest] and sizes[clearest] > 2 * spread[clearest]


def test_what_a_recalibration_pools_away_stays_a_clear_gap_of_the_other_sign():
    s = np.repeat([0.15, 0.25, 0.35], [600, 100, 300])
    y = np.concatenate(
        [np.arange(m) < hits for m, hits in ((600, 360), (100, 2), (300, 210))]
    ).astype(int)
    held = held_of(np.column_stack([1 - s, s]), y, k=1)
    assert held.gap[1] < 0 < held.recalibration()[1]
    noise, observed, _ = intervals.candidates(held, 1)
    assert intervals.populations(held, noise, np.array([0.5 * observed]), 1)[0, 1] < 0


def test_an_overconfident_model_is_shown_as_such_and_as_nothing_else(strong):
    samples, p, eta = strong
    truth = cal.true_calibration_error(p, eta, of="top_label", part="over")
    for sample in samples:
        over, under = (
            cal.ece_interval(*sample, of="top_label", part=part, resamples=200)
            for part in ("over", "under")
        )
        assert 0 < over.low <= over.estimate <= over.high and under.low == 0
        assert abs(over.estimate - truth) < 0.25 * truth and over.high - over.low < truth


def test_swapping_what_is_said_and_what_is_not_swaps_the_parts():
    """Of two classes the one is as often too probable as the other too improbable."""
    p, y = random_case(400, 2, 3)
    over, under = (
        cal.ece_interval(p, y, 10, part=part, resamples=2000) for part in ("over", "under")
    )
    for end in ("low", "estimate", "high"):
        np.testing.assert_allclose(getattr(over, end)[0], getattr(under, end)[1], atol=0.004)


def test_the_interval_of_a_part_excludes_zero_where_its_noise_floor_is_exceeded():
    rng, judged = np.random.default_rng(1), 0
    p, _ = random_case(1500, 4, 0)
    for softened in (1, 0.8, 0.6):
        y = labels_of(softmax(softened * np.log(p), axis=1), rng)
        for part in ("over", "under"):
            beyond = cal.noise_floor(p, y, metric=f"{part}confidence").table("abcd")["p_above"]
            for p_above, low in zip(beyond, cal.ece_interval(p, y, part=part).low, strict=False):
                if (
                    p_above > 0.3 or p_above < 0.005
                ):  # gaps of the other sign part the two in between
                    assert (low > 0) == (p_above < 0.05)
                    judged += 1
    assert judged > 10


# ---------------------------------------------------------------- without bins

SIMULATED = {
    "smooth_ece": cal.smooth_ece_interval,
    "brier_reliability": cal.brier_reliability_interval,
    "brier_resolution": cal.brier_resolution_interval,
}
ERRORS = ("smooth_ece", "brier_reliability")


@pytest.mark.parametrize("metric", ERRORS)
def test_simulated_samples_show_what_samples_of_that_population_show(metric):
    p, eta = cov.synthetic(100_000)["none"]  # new images, which repeat no score
    measure, rng = WITHOUT_BINS[metric], np.random.default_rng(0)
    drawn, shown = [], []
    for seed in range(300):
        q, y = cov.draw(p, eta, 150, rng)
        shown.append(measure(q[:, [1]], (y == 1)[:, None] * 1.0)[0])
        drawn.extend(simulation._drawn(measure, np.sort(q[:, 1]), np.zeros((1, 150)), 4, seed)[0])
    assert np.mean(drawn) == pytest.approx(np.mean(shown), abs=4 * np.std(shown) / np.sqrt(300))
    assert np.std(drawn) == pytest.approx(np.std(shown), rel=0.2)


def seen_of(scores, steps, resamples):
    """Scores and targets of simulated samples, ``(resamples · n,)`` and ``(populations, resamples · n)``."""
    seen = []

    def measure(drawn, targets):
        seen.append((drawn.ravel(), targets.reshape(len(targets), -1)))
        return np.zeros((len(targets), drawn.shape[1]))

    assert simulation._drawn(measure, scores, steps, resamples, 1).shape == (len(steps), resamples)
    return [np.concatenate(part, axis=-1) for part in zip(*seen, strict=True)]


def test_simulation_moves_scores_between_their_neighbours_and_leaves_ties():
    scores = np.array([0.1, 0.2, 0.2, 0.6, 1.0])
    drawn, targets = seen_of(scores, np.array([[0, 0, 0, -0.3, 0], [0, 0.5, 0.5, 0, 0]]), 4000)
    assert drawn.min() >= 0.1 and drawn.max() <= 1.0
    assert not ((drawn > 0.15) & (drawn < 0.2)).any() and not ((drawn > 0.2) & (drawn < 0.4)).any()
    assert (drawn == 0.2).mean() == pytest.approx(0.4, abs=0.02)
    middle = (drawn > 0.4) & (drawn < 0.8)
    assert drawn[middle].min() < 0.41 and drawn[middle].max() > 0.79
    assert targets[0][middle].mean() == pytest.approx(0.3, abs=0.03)  # 0.6 less 0.3
    assert targets[0][drawn == 0.2].mean() == pytest.approx(0.2, abs=0.02)
    assert targets[1][middle].mean() == pytest.approx(0.6, abs=0.03)  # of the same images
    assert targets[1][drawn == 0.2].mean() == pytest.approx(0.7, abs=0.02)


def test_simulation_draws_images_as_often_as_a_population_has_them():
    scores, often = (
        np.array([0.1, 0.4, 0.4, 0.9]),
        np.array([[0.05, 0.3, 0.4, 0.25], [0.25, 0.4, 0.3, 0.05]]),
    )
    for those, share in ((lambda s: s == 0.4, (0.7, 0.7)), (lambda s: s > 0.5, (0.25, 0.05))):
        drawn = simulation._drawn(
            lambda s, targets, those=those: those(s).mean(axis=0)[None],
            scores,
            np.zeros((2, 4)),
            4000,
            1,
            often,
        )
        np.testing.assert_allclose(drawn.mean(axis=1), share, atol=0.015)


def test_simulation_in_pieces_is_bounded_in_memory(monkeypatch):
    sizes = []

    def measure(scores, targets):
        sizes.append(targets.size)
        return (targets - scores).mean(axis=-2)

    monkeypatch.setattr(simulation, "_AT_ONCE", 200)
    s = np.full(30, 0.5)
    assert simulation._drawn(measure, s, np.zeros((2, 30)), 10, 0).shape == (2, 10)
    assert sizes == [180, 180, 180, 60]


@pytest.mark.parametrize("mesh", [simulation.MESH, miscalibration.MESH])
def test_the_smooth_ece_of_errors_of_one_sign_is_their_mean(mesh):
    """Then no width cancels anything."""
    rng = np.random.default_rng(0)
    s = rng.beta(2, 2, (1500, 60))
    size = rng.uniform(0.02, 0.3, 60)
    size[:2] = 1e-4  # less than a cell of either mesh
    target = np.clip(s + rng.choice([-1, 1], 60) * size, 0, 1)
    found = WITHOUT_BINS["smooth_ece"](s, target, mesh)
    np.testing.assert_allclose(found, np.abs((target - s).mean(axis=0)), rtol=1e-4)


@pytest.mark.parametrize("metric", WITHOUT_BINS)
def test_measures_without_bins_take_several_sets_of_targets_at_once(metric):
    rng = np.random.default_rng(0)
    scores = rng.random((40, 3))
    scores[:, :2] = scores[:, :2].round(1)  # with ties and without
    targets = (rng.random((2, 5, 40, 3)) < scores).astype(float)
    found = WITHOUT_BINS[metric](scores, targets)
    assert found.shape == (2, 5, 3)
    for at in np.ndindex(2, 5, 3):
        column = scores[:, [at[-1]]], targets[at[:2]][:, [at[-1]]]
        assert found[at] == pytest.approx(WITHOUT_BINS[metric](*column)[0], abs=1e-6)


@pytest.mark.parametrize("metric", ERRORS)
def test_intervals_without_bins_see_errors_within_a_bin_of_equal_width(metric):
    rng = np.random.default_rng(0)
    s = rng.choice([0.405, 0.46], 1500)  # in one bin of fifteen
    eta = np.where(s < 0.43, 0.2, 0.66)
    p = np.column_stack([1 - s, s])
    found = SIMULATED[metric](p, (rng.random(1500) < eta).astype(int), resamples=60)
    truth = WITHOUT_BINS[metric](p, np.column_stack([1 - eta, eta]))
    assert (
        (0.5 * truth < found.low)
        & (found.low < truth)
        & (truth < found.high)
        & (found.high < 2 * truth)
    ).all()


def test_an_error_beyond_all_possible_populations_is_not_bounded(monkeypatch):
    monkeypatch.setattr(simulation, "BINS", 1)
    s = np.random.default_rng(0).uniform(size=400)
    found = cal.smooth_ece_interval(
        np.column_stack([1 - s, s]), (s > 0.5).astype(int), resamples=60
    )
    assert (found.low == 0).all() and (found.high == 1).all()


@pytest.mark.parametrize("metric", ERRORS)
def test_of_tied_probabilities_too_the_interval_reaches_zero(metric):
    rng = np.random.default_rng(0)
    s = np.round(rng.beta(0.5, 0.5, 400), 1)
    found = SIMULATED[metric](np.column_stack([1 - s, s]), (rng.random(400) < s).astype(int))
    assert (found.low == 0).all() and (found.high > 0).all()


@pytest.mark.parametrize(
    "family, metric",
    [
        ("_in_bins", "smooth_ece"),
        ("_recalibrated", "brier_reliability"),
        ("_told_apart", "brier_resolution"),
    ],
)
def test_the_first_possible_population_has_a_measure_of_zero_itself(family, metric):
    rng = np.random.default_rng(0)
    for digits in (1, 8):
        s = np.sort(rng.beta(0.5, 0.5, 400).round(digits))
        values, *_ = getattr(simulation, family)(
            WITHOUT_BINS[metric], s, (rng.random(400) < s) * 1.0
        )
        assert (
            values[0] == 0
            and (values[1:] > 0).all()
            and (np.diff(values) >= 0).all()
            and len(values) > 8
        )


@pytest.mark.parametrize("metric", SIMULATED)
def test_estimates_without_bins_are_freed_of_most_of_the_bias(metric):
    p, eta = cov.synthetic(20_000)["slight"]
    rng, ours, plain = np.random.default_rng(0), [], []
    for _ in range(
        60 if metric == "brier_resolution" else 8
    ):  # whose luck is large beside its bias
        q, y = cov.draw(p, eta, 300, rng)
        ours.append(SIMULATED[metric](q, y, resamples=40).estimate)
        plain.append(WITHOUT_BINS[metric](q, np.eye(4)[y]))
    bias, plain_bias = (
        np.mean(found, axis=0).mean() - WITHOUT_BINS[metric](p, eta).mean()
        for found in (ours, plain)
    )
    assert abs(bias) < 0.5 * plain_bias


@pytest.mark.parametrize("metric", SIMULATED)
def test_intervals_without_bins_hold_a_large_value_and_reach_zero_where_there_is_none(
    strong, metric
):
    (sample, *_), p, eta = strong
    found, truth = SIMULATED[metric](*sample, resamples=60), WITHOUT_BINS[metric](p, eta)
    assert ((0 < found.low) & (found.low <= found.estimate) & (found.estimate <= found.high)).all()
    assert ((found.low < truth) & (truth < found.high)).sum() >= 3
    q, y = sample
    rng = np.random.default_rng(3)
    y = (
        rng.permutation(y) if metric == "brier_resolution" else labels_of(q, rng)
    )  # classes not told apart, or calibrated
    right = SIMULATED[metric](q, y, resamples=60)
    assert (right.low == 0).sum() >= 3 and ((0 < right.high) & (right.high < truth.max())).all()


def test_the_resolution_of_a_sample_with_few_of_a_class_may_be_that_of_a_more_frequent_one():
    """Scores that tell the class apart wholly: a resolution of f (1 - f), whatever the frequency f."""
    s = np.linspace(0, 1, 300)
    y = (s > 0.96).astype(int)
    found = cal.brier_resolution_interval(np.column_stack([1 - s, s]), y)
    low, high = binomtest(int(y.sum()), 300).proportion_ci(0.95)
    assert found.low[1] == pytest.approx(low * (1 - low), rel=0.3)
    assert found.high[1] == pytest.approx(high * (1 - high), rel=0.15)


@pytest.mark.parametrize("metric", SIMULATED)
def test_intervals_without_bins_take_what_has_no_noise_or_hardly_any_images(metric):
    function = SIMULATED[metric]
    with np.errstate(divide="raise", invalid="raise"):
        right = function(np.eye(3)[[0, 1, 2, 2]], [0, 1, 2, 2])
        wrong = function(np.eye(2)[[0] * 8 + [1] * 8], [1] * 8 + [0] * 8, resamples=100)
        one = function([[0.7, 0.2, 0.1]], [0], resamples=20)
        alike = function([[0.5, 0.5]] * 6, [0, 0, 0, 1, 1, 1], resamples=20)
    for found in (right, wrong, one, alike):
        assert (
            (found.low >= 0)
            & (found.low <= found.estimate)
            & (found.estimate <= found.high)
            & (found.high <= 1)
        ).all()
    if metric in ERRORS:
        assert (
            right.high.max() == 0
            and (wrong.low > 0.1).all()
            and (one.low == 0).all()
            and (alike.high > 0).all()
        )
    else:
        assert (right.high > 0.1).all() and alike.high.max() == 0  # one score tells nothing apart
    with pytest.raises(ValueError, match="row 0"):
        function([[0.7, 0.2, 0.2]], [0])
    with pytest.raises(ValueError, match="of is 'mean'; choose one of: classes, top_label"):
        function([[0.7, 0.2, 0.1]], [0], of="mean")
    with pytest.raises(ValueError, match="level"):
        function([[0.7, 0.2, 0.1]], [0], level=95)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "way", [*(f"{name}_interval" for name in SIMULATED), "overconfidence", "underconfidence"]
)
@pytest.mark.parametrize("population", ["none", "strong"])
def test_the_interval_holds_the_true_value_as_often_as_it_says(way, population):
    p, eta = cov.synthetic(50_000)[population]
    slow = way.endswith("_interval")
    repetitions = 60 if slow else 150
    found = cov.coverage(
        p, eta, 400, 10, repetitions=repetitions, resamples=60 if slow else 300, way=way
    )
    least = 0.9 if slow else 0.93  # without bins, a rare class among a few hundred images
    assert (
        found.coverage > least - 4 * np.sqrt(least * (1 - least) / repetitions)
    ).all() and found.coverage.mean() > 0.9


def test_an_interval_without_ends_holds_nothing():
    ends = np.array([[[0.0], [0.2]], [[np.nan], [np.nan]], [[0.1], [0.3]], [[0.2], [0.3]]])
    row = cov._held(ends, np.array([0.15])).iloc[0]
    assert row[["coverage", "low", "high", "repetitions"]].tolist() == [0.5, 0.25, 0, 4]


# ---------------------------------------------------------------- one function for all


@pytest.mark.parametrize("metric", cal.METRICS)
def test_every_metric_has_an_interval(metric):
    p, y = random_case(150, 3, 0)
    found = cal.interval(p, y, metric, 10, resamples=30)
    assert np.shape(found.low) == np.shape(found.high) == np.shape(cal.METRICS[metric](p, y, 10))
    assert (np.asarray(found.low) <= found.estimate).all() and (
        np.asarray(found.estimate) <= found.high
    ).all()


def test_the_interval_of_a_metric_is_that_of_the_function_for_it():
    p, y = random_case(200, 3, 1)
    pairs = {
        "classwise_ece_quantile": cal.ece_interval(p, y, 10, "quantile", resamples=50),
        "overconfidence": cal.ece_interval(p, y, 10, part="over", of="top_label", resamples=50),
        "classwise_underconfidence": cal.ece_interval(p, y, 10, part="under", resamples=50),
        "classwise_mce": cal.mce_interval(p, y, 10),
        "brier_resolution": cal.brier_resolution_interval(p, y, resamples=50),
        "debiased_ece": cal.debiased_ece_interval(p, y, 10, of="top_label", resamples=50),
        "brier": cal.bootstrap(p, y, "brier", 50),
    }
    for metric, expected in pairs.items():
        found = cal.interval(p, y, metric, 10, resamples=50)
        for end in ("low", "estimate", "high"):
            np.testing.assert_array_equal(getattr(found, end), getattr(expected, end))
    for metric in ("classwise_ece", "classwise_mce"):
        narrow, wide = (cal.interval(p, y, metric, level=level).high for level in (0.5, 0.99))
        assert (narrow < wide).all()
    for metric in ("accuracy", "classwise_ece", "smooth_ece"):
        with pytest.raises(ValueError, match="level is 95; it must lie between 0 and 1"):
            cal.interval(p, y, metric, level=95)
    with pytest.raises(ValueError, match="no metric 'eec'"):
        cal.interval(p, y, "eec")
