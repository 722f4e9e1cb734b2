"""Computed sentences of sections 5 to 9, in each of their branches, and the tables behind them."""

import numpy as np
import pandas as pd
import pytest
from conftest import labels_of, random_case
from sklearn.metrics import log_loss, roc_auc_score

from acrlls import calibration, paper
from acrlls.tables import ablation, classification, heat, real, reliability

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
            "COVID called Lung Opacity: 3 of 9",
        ),
    ],
)
def test_the_commonest_mistake(counts, said):
    text = classification.commonest_mistake(counts, CLASSES)
    assert said in text and "at least 87 of the 100 missed" in text


def test_scores_by_class_are_scikit_learns_and_lie_in_their_bootstrap_intervals(case):
    p, y = case
    table = classification.by_class(p, y, CLASSES, 15, 50)
    for k, name in enumerate(CLASSES):
        row = table.loc[(name, "AUC")]
        assert row.ours == pytest.approx(roc_auc_score(y == k, p[:, k]))
        assert row.low <= row.ours <= row.high
        assert row.published == paper.by_class("auc")[name]


def test_the_finding_of_classification_names_the_class_of_the_lowest_recall(case):
    p, y = case
    for classes, theirs in ((CLASSES, "(published: "), (list("ABCD"), ". One seed")):
        report = calibration.report(p, y, classes)
        text = classification.finding(report, classes, "Proposed")
        hardest = report.loc[classes, "Recall"].idxmin()
        tail = text.split(f"recall is {hardest}")[1]
        assert theirs in tail and ("published" in tail) == (classes is CLASSES)


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
    text = reliability.finding(pd.DataFrame(rows).T, 2, 4, "Proposed")
    assert "0.0500" in text and "0.0300" in text and "2 of 4 classes" in text and "0.0400" in text


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
    assert real.mcnemar(62, 103) < 0.05 < real.mcnemar(63, 105)


def test_how_many_errors_say_something():
    ece = pd.DataFrame([[0.3, 0.1], [0.2, 0.2]], ["Baseline", "Proposed"], ["a", "b"])
    text = ablation.ece_sentence(ece, ece > 0.15)
    assert text.startswith("1 of the 4 ECEs") and text.endswith("in 1 of 2 classes.")


@pytest.mark.parametrize(
    ("low", "high", "verb"),
    [(-2, -1, "improves"), (1, 2, "worsens"), (-1, 1, "does not clearly change")],
)
def test_the_finding_of_the_ablation(low, high, verb):
    ways = ("with class weights", "prior corrected", "without class weights")
    keys = [(title, way) for title in ablation.PLAIN for way in ways]
    values = np.tile([0.05, 0.06, 0.04], len(ablation.PLAIN))
    table = pd.DataFrame({"ECE": values, "floor, mean": 0.03}, pd.MultiIndex.from_tuples(keys))
    effect = ablation.effects(table)
    text = ablation.finding(effect, pd.Series({"low": low, "high": high}))
    assert f"prior correction {verb} the Baseline" in text
    assert "by +0.0000 (published: −0.0074)" in text and "by +0.0100" in text
    assert "by −0.0100" in text and "-" not in text.replace("class-wise", "")


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
    from acrlls.runs import records

    return records("laptop")


def test_a_summary_of_a_record_has_every_row_that_the_paper_publishes(every):
    ours, theirs = real.summary(every["", "proposed"]), real.published()
    assert set(ours.index) == set(theirs.index) and not theirs.isna().any()
    assert theirs["test images", "COVID"] == 543 and ours["images"].sum() == 16217
    assert theirs["accuracy, Phase 2", ""] == paper.NUMBERS["accuracy.proposed"].value


def test_dividing_out_equal_weights_changes_nothing(every):
    run = every["unweighted", "baseline"]
    np.testing.assert_array_equal(real.training_weights(run), np.ones(4))
    as_trained = run.predictions("test").probabilities
    np.testing.assert_allclose(real.recalibrate(run, "prior"), as_trained)
    assert real.training_weights(every["", "baseline"]).argmax() == 1  # the rarest class here


def test_a_paired_difference_turns_its_sign_with_the_runs(every):
    first, second = (every["", v] for v in ("baseline", "proposed"))
    there, back = (real.paired(*two, 50) for two in ((first, second), (second, first)))
    np.testing.assert_allclose(there.estimate, -back.estimate, atol=1e-12)
    assert there.loc["accuracy", "McNemar p"] == back.loc["accuracy", "McNemar p"]
    assert there.loc["accuracy", "estimate"] == pytest.approx(0.0090, abs=5e-5)


def test_runs_on_other_test_images_cannot_be_paired(every):
    from types import SimpleNamespace

    run = every["", "baseline"]
    test = run.predictions("test")
    other = SimpleNamespace(names=test.names[::-1], probabilities=test.probabilities)
    with pytest.raises(ValueError, match="different images"):
        real.paired(run, SimpleNamespace(predictions=lambda part: other))


def test_seeds_are_grouped_by_variant_and_class_weights(every):
    heads = [r for r in real.titled(every)[1].values() if r.config.augment]
    table = real.over_seeds(heads, resamples=20)
    assert set(table["seeds", ""]) == {3} and len(table) == 6
    with pytest.raises(ValueError, match="two runs have.*'seed'"):
        real.over_seeds(heads, by=("variant",))
    assert "0.0419 for Baseline and 0.0382 for Proposed" in real.seeds_sentence(table)


def test_which_settings_differ_beyond_sampling_noise(every):
    def pair(low, high):
        rows = ["accuracy", "miscalibration"]
        return pd.DataFrame({"low": low, "high": high}, index=rows)

    calibrated = real.calibration_table({"a": every["", "baseline"]}, resamples=20)
    pairs = {"x": pair(1, 2), "y": pair(-2, -1), "z": pair(-1, 1)}
    text = real.pairs_sentence(pairs, calibrated)
    assert (
        "By accuracy, Proposed is better in *x*; worse in *y*; not clearly different in *z*."
        in text
    )
    assert "By calibration, Proposed is better in *y*; worse in *x*" in text
    assert "*a* has the lowest NLL, 0.2164" in text
    assert "worse" not in real.pairs_sentence({"z": pair(-1, 1)}, calibrated)


def test_on_which_side_runs_err():
    table = pd.DataFrame(
        {("overconfidence", "p"): [0.01, 0.5], ("underconfidence", "p"): 0.5}, index=["a", "b"]
    )
    assert real.sides_sentence(table) == "Too confident (p < 0.05): a."
    assert real.sides_sentence(table[1:]).startswith("No run")
    table["underconfidence", "p"] = [0.5, 0.01]
    assert real.sides_sentence(table).endswith("Not confident enough (p < 0.05): b.")


@pytest.mark.parametrize(("first", "side"), [(0.03, "below"), (0.01, "above")])
def test_the_finding_of_the_real_images(first, side):
    keys = [(n, w) for n in ("Baseline", "Proposed") for w in ("as trained", "prior corrected")]
    table = pd.DataFrame(
        {"ECE": 0.02, "accuracy": 0.9, "floor, 95 %": 0.01}, index=pd.MultiIndex.from_tuples(keys)
    )
    table.loc[("Baseline", "as trained"), "ECE"] = first
    pair = pd.DataFrame(
        [[0.01, -0.002, 0.02, 0.08]], ["accuracy"], ["estimate", "low", "high", "McNemar p"]
    )
    text = real.finding(table, pair, 16217)
    assert f"0.0200, {side} Baseline's" in text and "+0.0100 (−0.0020 to +0.0200)" in text


def test_the_rank_of_the_published_pair():
    grid = pd.DataFrame({"alpha": [0.15, 0.08], "tau": 0.25, "val_loss": [0.4, 0.5]})
    assert "has rank 2 of 2" in real.grid_sentence(grid)
    assert "is not in the grid" in real.grid_sentence(grid[:1])
    assert real.grid_sentence(None).startswith("No grid is recorded")
