"""Computed sentences of sections 5 to 9, in each of their branches, and the tables behind them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import labels_of, random_case
from scipy.stats import ttest_ind
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from acrlls import calibration, paper
from acrlls.runs import records
from acrlls.tables import (
    ablation,
    beside,
    classification,
    compare,
    heat,
    recorded,
    reliability,
    seeds,
    tuning,
)

CLASSES = list(paper.CLASSES)


@pytest.fixture(scope="module")
def case():
    return random_case()


# Section 5


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.diag([5, 6, 7, 8]), "Every test image is classified rightly."),
        (
            np.diag([5, 6, 7, 8]) + 3 * np.eye(4, k=1, dtype=int),
            "COVID called Lung Opacity: 3 of 9 mistakes",
        ),
    ],
)
def test_the_commonest_mistake(counts, said):
    text = classification.commonest_mistake(counts, CLASSES)
    assert said in text and ("at least 87 of the 100 missed" in text) == ("3 of 9" in text)
    assert "87" not in classification.commonest_mistake(counts, list("ABCD"))


def test_scores_by_class_are_scikit_learns(case):
    p, y = case
    ones = np.ones(len(y))
    each = beside.table_3(p, y, ones)
    theirs = precision_recall_fscore_support(y, p.argmax(axis=1), zero_division=0)
    np.testing.assert_allclose(each[:12].reshape(4, 3), np.transpose(theirs[:3]))
    assert each[12] == pytest.approx(accuracy_score(y, p.argmax(axis=1)))
    auc, brier, ece = beside.one_against_rest(p, y, ones).reshape(4, 3).T
    for k in range(4):
        assert auc[k] == pytest.approx(roc_auc_score(y == k, p[:, k]))
        assert brier[k] == pytest.approx(brier_score_loss(y == k, p[:, k]))
    np.testing.assert_allclose(ece, calibration.classwise_ece(p, y))


def test_weighted_scores_are_those_of_repeated_images(case):
    p, y = case
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    twice = np.repeat(np.arange(len(y)), weights)
    for statistic in (beside.table_3, beside.scores):
        expected = statistic(p[twice], y[twice], np.ones(len(twice)))
        np.testing.assert_allclose(statistic(p, y, weights), expected)


def test_the_columns_hold_the_real_runs_and_their_difference_from_the_published_number():
    runs = recorded.setting().of("proposed")
    test = runs[0].predictions("test")
    about = test.probabilities, test.labels, CLASSES, "phantom", 50
    table = classification.table_3(runs, *about)
    real = table[beside.real_title(runs)]
    assert list(table.columns) == ["published", beside.real_title(runs), "difference", "phantom"]
    gap = real["COVID", "Recall"] - table.published["COVID", "Recall"]
    assert table.difference["COVID", "Recall"].startswith(f"{gap:+.3f}".replace("-", "−"))
    text = classification.finding(table, runs, "Proposed")
    assert f"{100 * real['All', 'Accuracy']:.1f} %" in text and "94.7 %" in text


def test_other_classes_stand_alone(case):
    p, y = case
    runs = recorded.setting().of("proposed")
    table = classification.table_3(runs, p, y, list("ABCD"), "this run", 20)
    assert list(table.columns) == ["this run"]
    text = classification.finding(table, runs, "Proposed")
    assert "published" not in text and "one seed" in text


def test_an_interval_over_runs_and_images_holds_the_estimate_and_widens_with_the_spread_of_runs():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 400)

    def run(right):
        said = np.where(rng.random(400) < right, y, (y + 1) % 4)
        p = np.full((400, 4), 0.1)
        p[np.arange(400), said] = 0.7
        test = SimpleNamespace(probabilities=p, labels=y)
        classes = SimpleNamespace(predictions=lambda part, phase=None: test)
        classes.class_names = paper.CLASSES
        return classes

    widths = []
    for levels in ((0.8, 0.8), (0.6, 0.95)):
        real, low, high = beside.estimate(beside.scores, [run(x) for x in levels], (None,), 200)
        assert (low < real).all() and (real < high).all()
        widths.append((high - low)[0])
    assert widths[1] > 2 * widths[0]


# Section 6


def floors(**columns):
    return pd.DataFrame(
        {"mean": 0.01, "observed": 0.005, "p_above": 0.5, "p_below": 0.5} | columns, index=CLASSES
    )


def test_where_the_published_values_lie():
    text = reliability.published_sentence(floors(), 15)
    assert text == "With 15 bins, 4 of 4 published ECEs lie below this floor's mean."
    text = reliability.published_sentence(floors(p_below=[0.01, 0.5, 0.5, 0.02]), 15)
    assert text.endswith("Below its 2.5 % quantile: COVID, Viral Pneumonia.")
    text = reliability.published_sentence(floors(p_above=[0.01, 0.5, 0.5, 0.5]), 15)
    assert text.endswith("Above its 97.5 % quantile: COVID.")


def test_whether_the_verdict_depends_on_the_bins():
    p_values = pd.DataFrame({"a": [0.01, 0.02], "b": [0.5, 0.6], "c": [0.01, 0.6]})
    assert reliability.bins_sentence(p_values) == (
        "Above the floor (p < 0.05) with every number of bins: a. With no number of bins: b. "
        "Depending on the number of bins: c."
    )
    assert reliability.bins_sentence(p_values[["b"]]) == "With no number of bins: b."


def test_what_post_hoc_methods_change():
    nll = pd.DataFrame({"low": [-2, 1, -1], "high": [-1, 2, 1]}, index=["a", "b", "c"])
    half = np.full((2, 2), 0.5)
    text = reliability.post_hoc_sentence(nll, {"a": half}, np.array([0, 1]))
    assert text.endswith(
        "**improved** by *a*; **worsened** by *b*; **not clearly changed** by *c*."
    )
    text = reliability.post_hoc_sentence(nll[:1], {"a": np.eye(2)}, np.array([1, 1]))
    assert "worsened" not in text and text.endswith("ruins the NLL: *a* (1).")


def test_what_a_temperature_says():
    assert "too confident" in reliability.temperature_sentence(1.2, True)
    text = reliability.temperature_sentence(0.8, False)
    assert "not confident enough" in text and "without class weights" in text


def test_a_change_of_nll_is_scikit_learns(case):
    p, y = case
    q = p**0.6 / (p**0.6).sum(axis=1, keepdims=True)
    row = reliability.nll_changes({"as trained": p, "temperature": q}, y, 50).loc["temperature"]
    assert row.estimate == pytest.approx(log_loss(y, q) - log_loss(y, p))
    assert row.low <= row.estimate <= row.high < 0  # the labels were drawn from flatter scores


def test_the_finding_of_calibration_holds_its_numbers():
    rows = {w: {"ECE": 0.05, "floor, mean": 0.03} for w in ("as trained", "prior correction")}
    rows["temperature"] = {"ECE": 0.04, "floor, mean": 0.03}
    text = reliability.finding(pd.DataFrame(rows).T, 2, 4, "Proposed", 7)
    assert "0.0500" in text and "0.0300" in text and "2 of 4 classes" in text
    assert "0.0400, has the network after temperature" in text and "seed 7" in text


def test_what_a_confidence_is_worth():
    table = pd.DataFrame(
        {"images": [100, 300], "right": [0.9, 1.0], "low": 0.85, "high": [0.95, 1]}
    )
    text = reliability.near_sentence(table)
    assert "Of 400 images" in text and "97.5 %" in text and "in 1 of 2" in text


def test_images_near_a_confidence_are_counted():
    runs = recorded.setting().of("proposed")[:1]
    row = reliability.near(runs).iloc[0]
    top = runs[0].predictions("test").probabilities.max(axis=1)
    assert row.images == ((top > 0.96) & (top <= 0.98)).sum()


def test_every_measure_sees_strong_miscalibration_and_none_sees_perfect_calibration(case):
    p, y = case
    assert (reliability.measures(p, y, CLASSES, 10, 99).loc[["ECE", "Smooth ECE"]] < 0.1).all(
        axis=None
    )
    perfect = labels_of(p, np.random.default_rng(1))
    assert (reliability.measures(p, perfect, CLASSES, 10, 99) > 0.001).all(axis=None)


# Section 7


def test_the_published_difference_is_significant_up_to_a_number_of_discordant_images():
    text = ablation.mcnemar_sentence()
    assert "3,010 against 2,989 of 3,179" in text and "at most 103" in text
    assert calibration.mcnemar(62, 103) < 0.05 < calibration.mcnemar(63, 105)


def difference(nll, ece=0.0, p=0.5, pairs=1):
    rows = pd.DataFrame([nll] * 4, compare.MEASURES, ["difference", "low", "high"])
    rows = rows.assign(p=np.nan)
    rows.loc[compare.ECE, ["difference", "p"]] = ece, p
    return compare.Difference(rows, 1, pairs)


def test_whether_single_dense_gains_as_much():
    found = {("x", "Single Dense"): difference((-0.02, -0.03, 0.0), -0.01)}
    found["x", "Proposed"] = difference((-0.01, -0.03, 0.0), -0.02)
    text = ablation.single_dense(found, "x")
    assert text.startswith("**Without either layer, Single Dense gains as much")
    assert "−0.0100" in text and "−0.020 (−0.030 to +0.000)" in text
    turned = dict(zip(found, reversed(found.values()), strict=True))
    assert ablation.single_dense(turned, "x").startswith("**Proposed gains more")
    worse = dict.fromkeys(found, difference((0.1, 0.0, 0.2)))
    assert ablation.single_dense(worse, "x").startswith("**Neither network lowers")
    assert "not recorded" in ablation.single_dense({}, "x")


def test_what_prior_correction_does_to_which_network():
    lower, higher, same = (-0.3, -0.4, -0.2), (0.3, 0.2, 0.4), (0.0, -0.1, 0.1)
    changes = {"A": difference(lower), "B": difference(higher), "C": difference(same)}
    assert ablation.correction_sentence(changes, "phantom") == (
        "On the phantom, prior correction lowers the NLL of A; it raises that of B; it does not "
        "clearly change that of C."
    )
    text = ablation.correction_sentence({"B": difference(higher)}, "real images")
    assert text == "On the real images, prior correction raises the NLL of B."


def test_runs_are_counted_by_what_prior_correction_does_to_them():
    runs = list(records("laptop").values())
    weighted = [r for r in runs if r.config.class_weights]
    text = ablation.correction_count(runs)
    after = sum(
        log_loss(t.labels, recorded.probabilities(r, "prior")) < log_loss(t.labels, t.probabilities)
        for r in weighted
        for t in [r.predictions("test")]
    )
    assert f"Of {len(weighted)} recorded" in text and f"of {after} and" in text


def test_the_finding_of_the_ablation_takes_its_numbers_from_the_table():
    keys = [("phantom", n, w) for n in ("Baseline", "Proposed") for w in ablation.WAYS]
    values = {compare.ECE: [0.05, 0.06, 0.04, 0.03, 0.03, 0.03], "runs": 1}
    table = pd.DataFrame(values, pd.MultiIndex.from_tuples(keys))
    text = ablation.finding(table, "phantom")
    assert "On the phantom" in text and "0.0500" in text and "−0.0200 (published: −0.0074)" in text
    assert "out by +0.0100" in text and "without them by −0.0100" in text
    text = ablation.finding(table.drop(index="without class weights", level=2), "phantom")
    assert "without them" not in text


# Section 8


def test_the_finding_of_the_heat():
    columns = {"estimate": 0.4, "area": 0.25, "more than area": [True, False]}
    table = pd.DataFrame(columns | {"more than another": False}, index=["COVID", "right"])
    text = heat.finding(table, CLASSES)
    assert "in 1 of 1 classes" in text and "in 0 of 1" in text
    assert "60 % of the heat lies outside" in text and "75 %" in text
    assert heat.finding(table.iloc[:0], CLASSES).startswith("No lung masks are known")


def test_images_without_a_finding_are_counted():
    masks, labels = np.zeros((4, 2, 2), bool), np.array([0, 0, 1, 1])
    assert "is not known" in heat.left_out_sentence(masks, labels, CLASSES)
    masks[:3, 0, 0] = True
    assert heat.left_out_sentence(masks, labels, CLASSES).endswith(": 1 of Lung Opacity.")
    masks[3] = True
    assert heat.left_out_sentence(masks, labels, CLASSES) == "No image is left out."


def test_a_sample_has_at_most_so_many_images_of_each_class():
    labels = np.repeat([0, 1, 2], [50, 5, 20])
    chosen = heat.sample(labels, 10, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 10] and len(set(chosen)) == 25


# Section 9: the records themselves


@pytest.fixture(scope="module")
def every():
    return records("laptop")


def test_dividing_out_equal_weights_changes_nothing(every):
    run = every["unweighted", "baseline"]
    as_trained = run.predictions("test").probabilities
    np.testing.assert_allclose(recorded.probabilities(run, "prior"), as_trained)


def test_a_difference_turns_its_sign_with_the_sides():
    setting = recorded.setting()
    sides = ("baseline", ""), ("proposed", "")
    there, back = (compare.compare(setting, *two, resamples=20) for two in (sides, sides[::-1]))
    np.testing.assert_allclose(there.table.difference, -back.table.difference, atol=1e-12)
    assert there.table.p[compare.ECE] == back.table.p[compare.ECE]


def test_runs_on_other_test_images_cannot_be_compared(every):
    run = every["", "baseline"]
    test = run.predictions("test")
    other = SimpleNamespace(predictions=lambda part: other_test, config=run.config)
    other_test = SimpleNamespace(names=test.names[::-1])
    setting = recorded.Setting("x", {"baseline": {"a": run}, "proposed": {"a": other}})
    with pytest.raises(ValueError, match="different images"):
        compare.compare(setting, ("baseline", ""), ("proposed", ""))


def test_seeds_are_grouped_by_network_and_class_weights(every):
    table = seeds.over_seeds(seeds.heads(every.values()))
    assert set(table["seeds", ""]) == {3} and len(table) == 6
    text = seeds.seeds_sentence(table)
    assert "0.0419 for Baseline and 0.0382 for Proposed" in text and "over 3 seeds" in text


def test_as_many_runs_are_needed_as_a_simulation_says():
    heads = seeds.heads(records("laptop").values())
    table = seeds.needed(heads)
    row = table.loc["Lung Opacity"]
    rng, n = np.random.default_rng(0), int(row["runs needed"])
    shape = (4000, n)
    first = rng.normal(0, row["sd of a run"], shape)
    second = rng.normal(row["published difference"], row["sd of a run"], shape)
    power = (ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert 0.78 < power < 0.86
    assert f"{table['runs needed'].max():.0f} runs" in seeds.needed_sentence(table, 3)


def test_a_run_recorded_twice_is_told(every):
    table = seeds.every_run(recorded.settings(every.values()), 15)
    text = seeds.twice(table)
    assert "Baseline's mean class-wise ECE went from" in text
    assert seeds.twice(table.drop(index="laptop", level=2)).startswith("No run")


def test_the_rank_of_the_published_pair():
    grid = pd.DataFrame({"alpha": [0.15, 0.08], "tau": 0.25, "val_loss": [0.4, 0.5]})
    assert "has rank 2 of 2" in tuning.grid_sentence(grid)
    assert "is not in the grid" in tuning.grid_sentence(grid[:1])
    assert tuning.grid_sentence(None).startswith("No recorded grid")
