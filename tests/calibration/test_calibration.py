"""Statements about the calibration measures; scikit-learn and hand-worked cases are the judges."""

import numpy as np
import pytest
from conftest import labels_of, random_case
from scipy.special import softmax
from scipy.stats import ks_2samp
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from acrlls import calibration as cal
from acrlls.calibration.binning import drawn_labels

# Four images of two classes, all of class 0; the third is predicted wrongly.
P4 = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
Y4 = np.array([0, 0, 0, 0])


def scores(n=400, classes=4, seed=0):
    return random_case(n, classes, seed)


def test_ece_of_four_images_worked_by_hand():
    # (0, .5] is empty; (.5, 1] holds all: accuracy 3/4 against mean confidence (.9 + .8 + .7 + .6)
    # / 4 = 3/4
    assert cal.ece(P4, Y4, bins=2) == pytest.approx(0)
    # bins of width .1: |1 - .9|, |1 - .8|, |0 - .7|, |1 - .6|, a quarter each
    assert cal.ece(P4, Y4, bins=10) == pytest.approx((0.1 + 0.2 + 0.7 + 0.4) / 4)


def test_classwise_ece_of_four_images_worked_by_hand():
    # class 0: .3 alone below .5, frequency 1: .7/4; above: mean of .9 .8 .6 is 2.3/3, frequency 1:
    # .7/4 class 1: .1 .2 .4 below, frequency 0: .7/4; .7 above, frequency 0: .7/4
    np.testing.assert_allclose(cal.classwise_ece(P4, Y4, bins=2), [0.35, 0.35])


def test_equal_mass_bins_of_four_images_worked_by_hand():
    # top label, two bins at the median .75: {.6, .7} half right, mean .65; {.8, .9} all right, mean
    # .85
    assert cal.ece(P4, Y4, bins=2, strategy="quantile") == pytest.approx(0.5 * 0.15 + 0.5 * 0.15)


def test_a_confidence_of_one_is_in_the_last_bin_and_of_zero_in_the_first():
    p, y = np.array([[1.0, 0.0], [0.95, 0.05]]), np.array([1, 0])
    # the last of ten bins holds both: accuracy 1/2 against mean confidence .975;
    # a bin of its own for 1.0 would give (0 + .95) / 2
    assert cal.ece(p, y, bins=10) == pytest.approx(0.475)
    counts = cal.prepare_reliability(p, y, bins=10, resamples=10).count
    np.testing.assert_array_equal(counts[:, [0, -1]], [[0, 2], [2, 0]])
    assert counts.sum() == 4


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_bins_of_equal_width_are_those_of_scikit_learn(bins):
    p, y = scores()
    diagram = cal.prepare_reliability(p, y, bins, resamples=10)
    for k in range(4):
        frequency, confidence = calibration_curve(y == k, p[:, k], n_bins=bins)
        full = diagram.count[k] > 0
        np.testing.assert_allclose(diagram.frequency[k][full], frequency)
        np.testing.assert_allclose(diagram.confidence[k][full], confidence)
    np.testing.assert_allclose(diagram.ece, cal.classwise_ece(p, y, bins))


@pytest.mark.parametrize("bins", [1, 7, 15, 500])
def test_bins_of_equal_mass_hold_the_sorted_images_cut_into_equal_parts(bins):
    p, y = scores()
    diagram = cal.prepare_reliability(p, y, bins, strategy="quantile", resamples=10)
    assert diagram.count.max() - diagram.count.min() <= 1
    for k in range(4):
        ends = [-(-b * 400 // bins) for b in range(bins + 1)]
        parts = [p[:, k].argsort()[a:b] for a, b in zip(ends, ends[1:], strict=False) if b > a]
        full = diagram.count[k] > 0
        np.testing.assert_allclose(
            diagram.frequency[k][full], [(y[part] == k).mean() for part in parts]
        )
    np.testing.assert_allclose(diagram.ece, cal.classwise_ece(p, y, bins, "quantile"))


def test_ties_and_rounded_scores_do_not_depend_on_the_order_of_images():
    p, y = scores()
    p = np.floor(10 * p) / 10
    p[:, -1] = 1 - p[:, :-1].sum(axis=1)
    order = np.random.default_rng(1).permutation(len(y))
    for strategy in ("uniform", "quantile"):
        here, there = (cal.classwise_ece(p[o], y[o], 10, strategy) for o in (slice(None), order))
        np.testing.assert_allclose(here, there)


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_nll_accuracy_f1_and_auc_are_those_of_scikit_learn(classes):
    p, y = scores(classes=classes)
    label = p.argmax(axis=1)
    every = list(range(classes))
    assert cal.nll(p, y) == pytest.approx(sk.log_loss(y, p, labels=every))
    assert cal.accuracy(p, y) == pytest.approx(sk.accuracy_score(y, label))
    assert cal.f1(p, y) == pytest.approx(sk.f1_score(y, label, average="macro"))
    assert cal.brier_score(p, y) == pytest.approx(
        ((p - np.eye(classes)[y]) ** 2).sum(axis=1).mean()
    )
    np.testing.assert_array_equal(cal.confusion(p, y), sk.confusion_matrix(y, label, labels=every))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, label, labels=every, zero_division=0
    )
    np.testing.assert_allclose(cal.classwise_precision(p, y), precision)
    np.testing.assert_allclose(cal.classwise_recall(p, y), recall)
    np.testing.assert_allclose(cal.classwise_f1(p, y), f1)
    for k in every:
        assert cal.classwise_brier(p, y)[k] == pytest.approx(sk.brier_score_loss(y == k, p[:, k]))
        assert cal.classwise_auc(p, y)[k] == pytest.approx(sk.roc_auc_score(y == k, p[:, k]))


def test_auc_counts_a_tie_as_one_half():
    p = np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]])
    y = np.array([0, 1, 1])
    np.testing.assert_allclose(cal.classwise_auc(p, y), [0.75, 0.75])


def test_a_class_that_is_absent_has_no_auc_and_does_not_break_the_table():
    p, y = scores(classes=3)
    y = np.where(y == 2, 0, y)
    assert np.isnan(cal.classwise_auc(p, y)[2])
    table = cal.evaluate(p, y, ["a", "b", "c"])
    assert table.loc["All", "AUC"] == pytest.approx(np.nanmean(cal.classwise_auc(p, y)))
    assert cal.classwise_recall(p, y)[2] == 0


def test_the_table_holds_every_metric_of_the_registry():
    p, y = scores()
    table = cal.evaluate(p, y, ["a", "b", "c", "d"], bins=10)
    assert list(table.columns) == [m.title for m in cal.METRICS.values()]
    np.testing.assert_allclose(table["ECE"][:-1], cal.classwise_ece(p, y, 10))
    assert table.loc["All", "ECE"] == pytest.approx(cal.classwise_ece(p, y, 10).mean())
    assert table.loc["All", "Top-label ECE"] == cal.ece(p, y, 10)
    assert table["Top-label ECE"][:-1].isna().all()
    assert list(cal.evaluate(p, y, list("abcd"), metrics=["nll"]).columns) == ["NLL"]


def test_one_image_is_enough():
    p, y = np.array([[0.7, 0.2, 0.1]]), np.array([0])
    assert cal.ece(p, y) == pytest.approx(0.3)
    np.testing.assert_allclose(cal.classwise_ece(p, y), [0.3, 0.2, 0.1])
    assert cal.noise_floor(p, y, resamples=10).classwise.shape == (10, 3)


def test_perfect_calibration_lies_within_the_noise_floor_and_overconfidence_above():
    rng = np.random.default_rng(5)
    p, _ = scores(3000, seed=5)
    table = cal.noise_floor(p, labels_of(p, rng), resamples=300).table(list("abcd"))
    assert (table["p_above"] > 0.01).all() and (table["p_below"] > 0.01).all()
    assert (table["observed"] > 0).all()
    flat = softmax(0.5 * np.log(p), axis=1)
    table = cal.noise_floor(p, labels_of(flat, rng), resamples=300).table(list("abcd"))
    assert (table["p_above"] == 1 / 301).all() and (table["observed"] > table["q95"]).all()


def test_the_noise_floor_is_what_a_plain_loop_over_drawn_labels_gives():
    p, _ = scores(300)
    floor = cal.noise_floor(p, resamples=400, seed=3)
    rng = np.random.default_rng(11)
    loop = np.array([cal.classwise_ece(p, labels_of(p, rng)) for _ in range(400)])
    top = [cal.ece(p, labels_of(p, rng)) for _ in range(400)]
    spread = loop.std(axis=0) * np.sqrt(2 / 400)
    assert (np.abs(floor.mean - loop.mean(axis=0)) < 4 * spread).all()
    assert abs(floor.top_label.mean() - np.mean(top)) < 4 * np.std(top) * np.sqrt(2 / 400)


@pytest.mark.parametrize("name", [name for name, metric in cal.METRICS.items() if metric.biased])
def test_the_noise_floor_of_every_metric_is_what_it_shows_of_labels_drawn_from_the_scores(name):
    p, y = scores(150, 3)
    metric, rng = cal.METRICS[name], np.random.default_rng(11)
    floor = cal.noise_floor(p, y, 10, resamples=50, seed=3, metric=name)
    loop = np.array([metric(p, labels_of(p, rng), 10) for _ in range(50)])
    by_class = floor.classwise, floor.observed[:-1]
    draws, seen = by_class if np.ndim(metric(p, y)) else (floor.top_label, floor.observed[-1])
    np.testing.assert_allclose(seen, metric(p, y, 10), atol=1e-12)
    assert (ks_2samp(draws, loop).pvalue > 0.001).all()


def test_all_noise_floors_of_a_seed_see_the_same_labels_and_their_p_values_have_two_tails():
    p, y = scores(1500)
    flat = softmax(0.5 * np.log(p), axis=1)
    names = ("overconfidence", "underconfidence", "ece")
    over, under, both = (cal.noise_floor(p, y, resamples=50, metric=name) for name in names)
    np.testing.assert_allclose(over.classwise + under.classwise, both.classwise, atol=1e-14)
    for metric in ("ece", "mce", "debiased_ece", "smooth_ece"):
        table = cal.noise_floor(flat, y, resamples=40, metric=metric).table(list("abcd"))
        assert (table["p_above"] + table["p_below"] >= 1).all(), metric
    drawn = labels_of(flat, np.random.default_rng(2))
    floor = cal.noise_floor(p, drawn, resamples=99, metric="overconfidence")
    assert (floor.table(list("abcd"))["p_above"] == 0.01).all()


@pytest.mark.parametrize("name", ["classwise_mce", "classwise_smooth_ece", "brier_resolution"])
def test_a_seed_stands_for_the_same_drawn_labels_with_bins_and_without(name):
    p, _ = scores(200)
    labels = np.concatenate(list(drawn_labels(p, 10, 4)))
    expected = [cal.METRICS[name](p, y, 10) for y in labels]
    np.testing.assert_allclose(
        cal.noise_floor(p, None, 10, 10, 4, metric=name).classwise, expected, atol=1e-12
    )


@pytest.mark.parametrize("metric", ["nll", "classwise_auc", "eec"])
def test_a_metric_without_a_noise_floor_is_refused(metric):
    with pytest.raises(ValueError, match=f"'{metric}' has no noise floor; choose from: ece, "):
        cal.noise_floor(*scores(20), metric=metric)


def test_certain_scores_have_no_noise():
    p = np.eye(3)[[0, 1, 2, 2]]
    floor = cal.noise_floor(p, [0, 1, 2, 2], resamples=20)
    assert floor.classwise.max() == floor.top_label.max() == floor.observed.max() == 0


def test_the_true_calibration_error_of_the_true_probabilities_is_zero():
    p, _ = scores(2000)
    np.testing.assert_allclose(cal.true_calibration_error(p, p), 0, atol=1e-15)
    assert cal.true_calibration_error(p, p, of="top_label") == pytest.approx(0)


def test_the_true_error_in_the_l2_norm_is_the_root_of_the_mean_squared_gap():
    # gaps of the first class: 0.1 in three, 0.4 in one
    p = np.array([[0.2, 0.8], [0.2, 0.8], [0.2, 0.8], [0.7, 0.3]])
    eta = np.array([[0.3, 0.7], [0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
    by_hand = np.sqrt((3 * 0.1**2 + 0.4**2) / 4)
    np.testing.assert_allclose(cal.true_calibration_error(p, eta, 10, norm="l2"), by_hand)
    assert cal.true_calibration_error(p, eta, 10, norm="l2", of="top_label") == pytest.approx(
        by_hand
    )
    np.testing.assert_allclose(cal.true_calibration_error(p, eta, 10), (3 * 0.1 + 0.4) / 4)
    with pytest.raises(ValueError, match="l1, l2, smooth"):
        cal.true_calibration_error(p, eta, norm="2")


def test_a_calibrated_model_that_sees_little_has_a_small_true_error_and_a_large_distance_from_eta():
    rng = np.random.default_rng(0)
    # the model's score; eta spreads around it by what the model does not see
    seen = rng.random(200_000)
    eta = (rng.random(seen.size) < seen).astype(float)
    p, eta = np.column_stack([seen, 1 - seen]), np.column_stack([eta, 1 - eta])
    assert (cal.true_calibration_error(p, eta) < 0.005).all()
    assert np.abs(p - eta).mean() > 0.3


def test_the_true_error_is_what_labels_estimate():
    rng = np.random.default_rng(2)
    eta, _ = scores(200_000, seed=2)
    p = softmax(1.7 * np.log(eta), axis=1)
    estimate = cal.classwise_ece(p, labels_of(eta, rng))
    np.testing.assert_allclose(estimate, cal.true_calibration_error(p, eta), atol=0.004)


def test_the_bootstrap_interval_of_accuracy_is_that_of_binomials_within_classes():
    p, y = scores(2000)
    interval = cal.bootstrap(p, y, "accuracy", resamples=2000)
    share, recall = np.bincount(y) / len(y), cal.classwise_recall(p, y)
    error = np.sqrt((share**2 * recall * (1 - recall) / np.bincount(y)).sum())
    assert interval.estimate == cal.accuracy(p, y)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_paired_difference_of_a_model_with_itself_is_nothing():
    p, y = scores()
    interval = cal.bootstrap(p, y, "brier", resamples=50, p2=p)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_pairing_narrows_the_interval_of_a_difference():
    p, y = scores(1000)
    near = softmax(1.05 * np.log(p), axis=1)
    paired = cal.bootstrap(p, y, "nll", resamples=200, p2=near)
    alone = cal.bootstrap(p, y, "nll", resamples=200)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
    assert cal.bootstrap(p, y, "classwise_auc", resamples=20).low.shape == (4,)
    assert cal.bootstrap(p, y, lambda p, y: p[:, 0].mean(), resamples=20).high > 0


def test_wilson_intervals_hold_their_textbook_values_and_stay_within_0_and_1():
    # Wilson 95 % interval of 8 in 10: 0.4902 to 0.9433
    p = np.column_stack([np.full(10, 0.55), np.full(10, 0.45)])
    diagram = cal.prepare_reliability(p, np.array([0] * 8 + [1] * 2), bins=1, resamples=10)
    assert (diagram.low[0, 0], diagram.high[0, 0]) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    p, y = scores()
    diagram = cal.prepare_reliability(p, y, resamples=20)
    inside = diagram.count > 0
    assert (diagram.low[inside] >= 0).all() and (diagram.high[inside] <= 1).all()
    assert np.isnan(diagram.frequency[~inside]).all()


def test_the_consistency_band_holds_a_calibrated_models_frequencies():
    p, _ = scores(3000, seed=8)
    inside, bins = 0, 0
    for seed in range(10):
        y = labels_of(p, np.random.default_rng(seed))
        d = cal.prepare_reliability(p, y, 10, list("abcd"), resamples=400, seed=seed + 100)
        inside += ((d.band_low <= d.frequency) & (d.frequency <= d.band_high)).sum()
        bins += (d.count > 0).sum()
    assert 0.93 < inside / bins < 0.99


def test_the_top_label_diagram_agrees_with_the_top_label_ece():
    p, y = scores()
    diagram = cal.prepare_reliability(p, y, 10, list("abcd"), of="top_label", resamples=10)
    assert diagram.titles == ("Top label",) and diagram.count.shape == (1, 10)
    assert diagram.ece[0] == pytest.approx(cal.ece(p, y, 10))


def test_float32_softmax_and_exact_zeros_and_ones_are_good_input():
    p, y = scores()
    for metric in cal.METRICS.values():
        np.testing.assert_allclose(metric(p.astype(np.float32), y), metric(p, y), atol=1e-6)
    certain = np.eye(4)[np.arange(8) % 4]
    assert cal.ece(certain, np.arange(8) % 4) == 0
    assert cal.nll(certain, (np.arange(8) + 1) % 4) == pytest.approx(-np.log(np.finfo(float).eps))
