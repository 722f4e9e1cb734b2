"""Bootstrap, Holm's correction and the interval for the calibration error."""

from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import labels_of, random_case
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression

from acrlls import calibration as cal
from acrlls.calibration import intervals, populations
from acrlls.calibration import scores as scoring
from acrlls.calibration.binning import bin_edges, places

RECORD = Path(__file__).parents[2] / "results" / "coverage"


@pytest.fixture(scope="module")
def study():
    """The script that measures the coverage."""
    spec = spec_from_file_location("coverage_study", RECORD / "coverage.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case(n=300, classes=4, seed=0):
    return random_case(n, classes, seed)


def test_image_counts_keep_the_class_counts_in_pieces_of_any_size():
    y = np.random.default_rng(0).integers(0, 3, 7000)
    pieces = list(cal.image_counts(y, 600, 1))
    assert len(pieces) > 1 and sum(map(len, pieces)) == 600
    for piece in pieces:
        sizes = np.stack([piece[:, y == k].sum(axis=1) for k in range(3)], axis=1)
        assert (sizes == np.bincount(y)).all()
    assert pieces[0].var() == pytest.approx(1, abs=0.01)  # of a count with mean one, nearly Poisson
    other = next(cal.image_counts(y, 9, sizes=[5, 0, 9000]))  # as many of each class as are wanted
    assert (np.stack([other[:, y == k].sum(axis=1) for k in range(3)]).T == [5, 0, 9000]).all()


@pytest.mark.parametrize(
    "name", ["classwise_ece", "classwise_ece_quantile", "classwise_mce", "brier_reliability"]
)
def test_resampling_moves_a_calibration_error_away_from_zero(name):
    p, _ = case(400)
    y = labels_of(p, np.random.default_rng(8))
    rows = [np.repeat(np.arange(len(y)), c.astype(int)) for c in next(cal.image_counts(y, 40, 0))]
    drawn = np.array([cal.METRICS[name](p[r], y[r]) for r in rows])
    shift = (drawn.mean(axis=0) - cal.METRICS[name](p, y)) / drawn.std(axis=0)
    assert shift.mean() > 0.5


def test_holm_of_four_tests_worked_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, and the last may not fall below the
    # one before
    np.testing.assert_allclose(cal.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(cal.holm([[0.5, 0.6], [0.9, 0.01]]), [[1, 1], [1, 0.04]])


def test_holm_takes_a_table_and_leaves_gaps_out():
    table = pd.DataFrame({"a": [0.01, np.nan], "b": [0.02, 0.5]}, index=["x", "y"])
    np.testing.assert_allclose(cal.holm(table), [[0.03, 0.04], [np.nan, 0.5]])
    np.testing.assert_allclose(cal.holm(table["b"]), [0.04, 0.5])
    with pytest.raises(ValueError, match="between 0 and 1"):
        cal.holm([0.5, 1.2])


def test_holm_rejects_a_true_hypothesis_in_no_more_families_than_it_says():
    rng = np.random.default_rng(0)
    families = rng.random((4000, 6))
    families[:, :2] **= 8  # two hypotheses that are false
    wrong = [(cal.holm(family)[2:] <= 0.05).any() for family in families]
    assert np.mean(wrong) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_mcnemar_is_the_exact_binomial_test():
    for won, differ in ((0, 1), (3, 10), (7, 10), (5, 10), (40, 61)):
        assert cal.mcnemar(won, differ) == pytest.approx(binomtest(won, differ).pvalue)
    assert cal.mcnemar(0, 0) == 1
    np.testing.assert_allclose(cal.mcnemar([3, 0], [10, 0]), [cal.mcnemar(3, 10), 1])
    with pytest.raises(ValueError, match="between 0 and differ"):
        cal.mcnemar(3, 2)


def test_the_interval_excludes_zero_where_the_noise_floor_is_exceeded():
    rng = np.random.default_rng(1)
    p, _ = case(1500)
    for softened in (1, 0.9, 0.8, 0.6):
        y = labels_of(softmax(softened * np.log(p), axis=1), rng)
        beyond = cal.noise_floor(p, y, resamples=1000).table(list("abcd"))["p_above"]
        interval, top = cal.ece_interval(p, y), cal.ece_interval(p, y, of="top_label")
        for p_above, low in zip(beyond, [*interval.low, top.low], strict=True):
            if not 0.03 < p_above < 0.08:  # between, the two simulations may disagree
                assert (low > 0) == (p_above < 0.05)


def test_the_estimate_lies_in_the_interval_below_the_ece_and_nearer_to_the_truth():
    p, eta = populations.synthetic(20_000)["slight"]
    truth = cal.true_calibration_error(p, eta)
    rng, errors = np.random.default_rng(0), []
    for _ in range(40):
        sample = populations.draw(p, eta, 600, rng)
        interval, ece = cal.ece_interval(*sample), cal.classwise_ece(*sample)
        assert ((interval.low >= 0) & (interval.low <= interval.estimate)).all()
        assert ((interval.estimate <= interval.high) & (interval.estimate <= ece)).all()
        errors.append([interval.estimate - truth, ece - truth])
    ours, plain = np.mean(errors, axis=0)
    assert (np.abs(ours) < 0.5 * plain).all()


@pytest.mark.parametrize("name", [name for name, metric in cal.METRICS.items() if metric.biased])
def test_the_bootstrap_refuses_what_resampling_biases_and_says_what_to_use(name):
    for metric in (name, cal.METRICS[name]):
        with pytest.raises(ValueError, match="is biased upwards; use ece_interval or noise_floor"):
            cal.bootstrap(*case(), metric)


def test_the_bootstrap_takes_a_metric_by_its_name_and_as_a_function_unless_it_is_biased():
    p, y = case()
    found = [cal.bootstrap(p, y, m, 40) for m in ("brier", cal.METRICS["brier"], cal.brier_score)]
    assert found[0] == found[1] == found[2]
    for metric in (cal.ece, cal.classwise_ece, partial(cal.debiased_ece, bins=10)):
        with pytest.raises(ValueError, match="is biased upwards"):
            cal.bootstrap(p, y, metric)


def test_a_bootstrapped_mean_is_that_of_its_values_by_image_counts_and_a_difference_is_paired():
    p, y = case(500)
    q = softmax(0.8 * np.log(p), axis=1)
    values = np.stack([scoring.losses(m, y) for m in (p, q)])
    first, second = values @ np.concatenate([*cal.image_counts(y, 50, seed=3)]).T / len(y)
    alone = cal.bootstrap(p, y, "nll", 50, seed=3)
    both = cal.bootstrap(p, y, "nll", 50, seed=3, p2=q)
    assert (alone.low, alone.high) == pytest.approx((*np.quantile(first, [0.025, 0.975]),))
    assert (both.low, both.high) == pytest.approx((*np.quantile(first - second, [0.025, 0.975]),))


def columns_of(p, y, about, bins=5):
    return intervals.Bins(p, y, about, bins, "uniform")


def test_the_noise_of_bins_is_correlated_as_that_of_drawn_labels_and_images():
    p, y = case(400, 3)
    every = np.tile(np.arange(3), (len(p), 1))
    held, rng = columns_of(p, y, every), np.random.default_rng(0)
    where = places(p, bin_edges(p, 5, "uniform")) + 5 * np.arange(3)
    inside = np.eye(15)[where][:, :, held.kept]  # (n, classes, bins)
    hits = np.array([inside[np.arange(len(p)), labels_of(p, rng)].sum(axis=0) for _ in range(4000)])
    np.testing.assert_allclose(np.corrcoef(hits.T), held.labels, atol=0.07)
    images = np.array(
        [inside.sum(axis=1)[rng.integers(len(p), size=len(p))].sum(axis=0) for _ in range(4000)]
    )
    root = np.sqrt(len(p) * held.share)
    np.testing.assert_allclose(np.cov(images.T) / np.outer(root, root), held.counts, atol=0.1)
    label, count = held.noise(20_000, 1)
    np.testing.assert_allclose(np.cov(label.T), held.labels, atol=0.05)
    np.testing.assert_allclose(np.cov(count.T), held.counts, atol=0.05)


def test_the_recalibration_of_bins_is_that_of_isotonic_regression_in_each_column():
    p, y = populations.draw(
        *populations.synthetic(20_000)["strong"], 1200, np.random.default_rng(0)
    )
    expected = []
    for k in range(4):
        held = columns_of(p, y, np.full((len(p), 1), k), 40)  # of unequal counts, which are weights
        frequency = held.mean + held.gap / held.share
        fitted = IsotonicRegression().fit(held.mean, frequency, held.share).predict(held.mean)
        assert (np.diff(fitted) == 0).any()  # some are pooled
        expected.append(held.share * (fitted - held.mean))
        np.testing.assert_allclose(held.recalibration(), expected[-1], atol=1e-12)
    together = intervals.Bins(p, y, np.tile(np.arange(4), (len(p), 1)), 40, "uniform")
    np.testing.assert_allclose(together.recalibration(), np.concatenate(expected), atol=1e-12)


@pytest.mark.parametrize("bins", [10, 30])
def test_possible_populations_have_the_error_that_is_asked_for(bins):
    p, y = populations.draw(
        *populations.synthetic(20_000)["strong"], 1200, np.random.default_rng(0)
    )
    held = columns_of(p, y, np.zeros((len(p), 1), int), bins)
    noise = held.variance(held.frequency) + held.gap**2 / (held.share * held.n)
    errors = np.append(0, np.linspace(0.1, 0.9, 5) * np.abs(held.gap).sum())
    gaps = intervals.populations(held, noise, errors)
    np.testing.assert_allclose(np.abs(gaps).sum(axis=1), errors, atol=1e-9)
    clearest = (held.gap**2 / noise).argmax()
    assert (gaps[1:, clearest] * held.gap[clearest] > 0).all()


def test_of_two_classes_the_mean_has_the_interval_of_either(monkeypatch):
    monkeypatch.setattr(intervals, "EVEN", 0)  # one column has none either
    p, y = case(800, 2)
    mean, each = (cal.ece_interval(p, y, of=of, resamples=4000) for of in ("mean", "classes"))
    width = (each.high - each.low).mean()
    for k in range(2):
        # the gaps of one are those of the other mirrored, so that nothing is averaged out
        assert mean.estimate == pytest.approx(each.estimate[k], abs=0.03 * width)
        assert (mean.low, mean.high) == pytest.approx((each.low[k], each.high[k]), abs=0.08 * width)


def test_the_interval_for_the_mean_is_narrower_and_agrees_with_the_noise_floor():
    rng = np.random.default_rng(1)
    p, _ = case(1500)
    for softened in (1, 0.95, 0.9, 0.8, 0.6):
        y = labels_of(softmax(softened * np.log(p), axis=1), rng)
        mean, each = (cal.ece_interval(p, y, of=of) for of in ("mean", "classes"))
        assert mean.high - mean.low < 0.8 * (each.high - each.low).mean()
        assert (
            mean.low <= mean.estimate <= mean.high
            and mean.estimate <= cal.classwise_ece(p, y).mean()
        )
        floor = cal.noise_floor(p).classwise.mean(axis=1)
        above = (floor >= cal.classwise_ece(p, y).mean()).mean()
        if not 0.03 < above < 0.08:  # between, the two simulations may disagree
            assert (mean.low > 0) == (above < 0.05)


def test_the_interval_narrows_with_more_images_and_widens_with_the_level():
    p, eta = populations.synthetic(20_000)["strong"]
    few, many = (
        cal.ece_interval(*populations.draw(p, eta, n, np.random.default_rng(2)))
        for n in (500, 8000)
    )
    assert ((few.high - few.low) > 2.5 * (many.high - many.low)).all()
    sample = populations.draw(p, eta, 500, np.random.default_rng(2))
    wide, narrow = (cal.ece_interval(*sample, level=level) for level in (0.99, 0.8))
    assert ((wide.low <= narrow.low) & (narrow.high <= wide.high)).all()
    assert ((wide.high - wide.low) > (narrow.high - narrow.low)).all()


@pytest.mark.parametrize("of", ["classes", "mean", "top_label"])
@pytest.mark.parametrize("least", [0, 1e-8])
def test_certain_scores_that_are_right_leave_errors_possible_and_fewer_of_more_images(of, least):
    """Of n binomial trials without a failure, the 95 % limit is near 3.7/n."""
    highs = []
    for n in (1, 20, 200, 2000):
        y = np.arange(n) % 4
        found = cal.ece_interval(np.eye(4)[y] * (1 - 4 * least) + least, y, of=of)
        assert np.max(found.low) == 0
        highs.append(np.max(found.high))
    assert np.all(np.diff(highs) < 0)
    if of == "top_label":
        np.testing.assert_allclose(highs[2:], [3.7 / 200, 3.7 / 2000], rtol=0.3)


@pytest.mark.parametrize("sure", [0.99, 0.9])
def test_the_interval_of_one_hot_scores_holds_the_truth_as_often_as_it_says(sure):
    rng, n, held = np.random.default_rng(0), 300, []
    for _ in range(100):
        predicted = rng.choice(4, n, p=[0.2, 0.3, 0.4, 0.1])
        stray = rng.integers(1, 4, n) * (rng.random(n) > sure)
        sample = np.eye(4)[predicted], (predicted + stray) % 4
        found = [cal.ece_interval(*sample, of=of, resamples=200) for of in ("mean", "top_label")]
        truth = (1 - sure) / 2, 1 - sure  # of a class: 1 of 3 errors elsewhere, and its own
        held.append([f.low <= t <= f.high for f, t in zip(found, truth, strict=True)])
    assert (np.mean(held, axis=0) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 100)).all()


def test_the_interval_takes_what_has_hardly_any_noise_or_images():
    wrong = cal.ece_interval(np.eye(2)[[0] * 8 + [1] * 8], [1] * 8 + [0] * 8, of="top_label")
    assert wrong.low <= wrong.estimate <= wrong.high and wrong.high == pytest.approx(1, abs=1e-6)
    one = cal.ece_interval([[0.7, 0.2, 0.1]], [0])
    assert np.isfinite([one.low, one.high]).all() and (one.high > 0).all()
    p, y = case(200, 3)
    p = np.floor(10 * p) / 10  # ties, and an absent class
    p[:, -1] = 1 - p[:, :-1].sum(axis=1)
    absent = cal.ece_interval(p, np.where(y == 2, 0, y), 10, "quantile")
    assert np.isfinite([absent.low, absent.high]).all()


def test_where_no_image_can_be_exchanged_for_another_there_is_no_interval():
    p, y = case(3, 3)
    y = np.arange(3)
    for use in (lambda: cal.bootstrap(p, y, "accuracy"), lambda: next(cal.image_counts(y))):
        with pytest.raises(ValueError, match="two"):
            use()


@pytest.mark.parametrize(
    "given, says",
    [
        ({"level": 1.0}, "level"),
        ({"level": 0.999, "resamples": 500}, "level 0.999 needs 999 or more"),
        ({"of": "class"}, "classes, top_label, mean"),
        ({"resamples": 0}, "resamples"),
    ],
)
def test_bad_settings_of_the_interval_are_errors_that_name_them(given, says):
    with pytest.raises(ValueError, match=says):
        cal.ece_interval(*case(50), **given)


def test_a_population_may_be_of_any_kind_and_its_seed_a_number():
    p, eta = populations.synthetic(50)["slight"]
    given = populations.draw(p.tolist(), pd.DataFrame(eta), 20, 1)
    for one, other in zip(
        given, populations.draw(p, eta, 20, np.random.default_rng(1)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_samples_of_a_population_have_its_true_probabilities():
    p, eta = populations.synthetic(1000)["strong"]
    drawn_p, y = populations.draw(p, eta, 60_000, np.random.default_rng(0))
    frequency = np.bincount(y, minlength=4) / len(y)
    np.testing.assert_allclose(frequency, eta.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(
        cal.classwise_ece(drawn_p, y), cal.true_calibration_error(p, eta), atol=0.01
    )


def test_recorded_coverage_is_near_95_per_cent_and_that_of_the_percentile_bootstrap_is_not():
    record = pd.read_csv(RECORD / "coverage.csv").set_index("interval")
    ours, plain = (record.loc[kind] for kind in ("ece_interval", "percentile"))
    for by in ("of", "population", "n", "strategy"):
        assert ours.groupby(by).coverage.mean().between(0.93, 0.97).all()
    assert ours.coverage.between(0.93, 0.97).mean() > 0.8
    assert ours.coverage.min() > 0.9  # where the error sits in few bins
    assert (plain[plain.truth == 0].coverage == 0).all()
    assert (plain[plain.population == "slight"].coverage < 0.6).all()


@pytest.mark.thorough
@pytest.mark.parametrize("population", ["none", "local"])
def test_the_interval_holds_the_true_error_as_often_as_it_says(study, population):
    known = study.known(50_000)[population]
    repetitions = 150
    found = study.coverage(*known, 800, 10, "uniform", repetitions=repetitions, resamples=300)
    off = 4 * np.sqrt(0.95 * 0.05 / repetitions)  # Monte-Carlo error, for several numbers at once
    assert (found.coverage > 0.93 - off).all() and 0.93 < found.coverage.mean() < 0.99


@pytest.mark.thorough
def test_one_cell_of_the_record_is_made_again_by_the_script(study):
    record = pd.read_csv(RECORD / "coverage.csv")
    record = record[(record.interval == "percentile") & (record.population == "slight")]
    again = study.coverage(
        *populations.synthetic()["slight"], 3179, 15, "uniform", way="percentile", repetitions=60
    )
    columns = ["truth", "floor", "coverage", "low", "high", "width"]
    np.testing.assert_allclose(again[columns], record[columns], atol=2e-4)
