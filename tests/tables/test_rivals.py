"""The page of rivals: AUGRC, paired differences over seeds, and each branch of its sentence."""

import numpy as np
import pandas as pd
import pytest
from conftest import fake_run, labels_of
from scipy.special import softmax
from sklearn.metrics import log_loss

from acrlls.config import UserError
from acrlls.tables import rivals, words
from acrlls.tables.compare import ECE
from acrlls.tables.recorded import STEP, mix_weights, probabilities


def confident(confidence):
    """Probabilities of two classes that call class 0, with these confidences."""
    c = np.array(confidence)
    return np.column_stack([c, 1 - c])


def test_augrc_is_that_worked_by_hand():
    wrong = np.array([0, 1, 0, 1])
    assert rivals.augrc(confident([0.9, 0.8, 0.7, 0.6]), wrong) == pytest.approx(0.1875)
    assert rivals.augrc(confident([0.7] * 4), wrong) == pytest.approx(0.25)  # all tied: e / 2
    assert rivals.augrc(confident([0.9, 0.8]), np.zeros(2, int)) == 0
    assert rivals.augrc(confident([0.9, 0.8]), np.ones(2, int)) == 0.5


def test_augrc_is_the_mean_over_coverages_of_the_share_accepted_and_wrong():
    rng = np.random.default_rng(0)
    confidence, wrong = rng.permutation(np.linspace(0.5, 1, 20_000)), rng.random(20_000) < 0.3
    accepted = np.cumsum(wrong[np.argsort(-confidence)]) / len(wrong)
    assert rivals.augrc(confident(confidence), wrong) == pytest.approx(accepted.mean(), abs=1e-4)


def fake(loss, seed, factor, variant="baseline"):
    """A run whose logits are those of calibrated ones times a factor."""
    rng = np.random.default_rng(seed)
    z = 3 * rng.normal(size=(600, 4))
    about = {"loss": loss, "seed": seed, "variant": variant, "class_weights": False}
    return fake_run(factor * z, labels_of(softmax(z, axis=1), rng), "ABCD", **about)


@pytest.fixture(scope="module")
def table():
    made = [("cross_entropy", 1.0), ("focal", 0.4), ("mbls", 1.0001)]
    return rivals.scores([fake(loss, s, f) for loss, f in made for s in range(7)])


def test_a_loss_that_only_changes_the_temperature_is_cross_entropy_after_temperature(table):
    raw = rivals.paired(table, False, "", ECE).loc["Focal loss"]
    after = rivals.paired(table, False, "temperature", ECE).loc["Focal loss"]
    assert raw.difference > 0.05 and abs(after.difference) < 1e-3
    assert raw.p == pytest.approx(2 / 2**7) and raw["p (Holm)"] == pytest.approx(4 / 2**7)
    shown = rivals.differences(table, pd.DataFrame(), False)
    assert shown.loc["Focal loss", ("ECE", "as trained")] == f"+{raw.difference:.3f} (0.03)"
    surplus = table[table.step == ""].groupby("method")[rivals.SURPLUS].mean()
    assert surplus["Focal loss"] < -0.05 < surplus[rivals.USUAL]


def test_pairs_are_of_equal_seed_and_one_pair_shows_nothing():
    runs = [fake("cross_entropy", s, 1.0) for s in (0, 1)] + [fake("focal", s, 0.4) for s in (1, 2)]
    row = rivals.paired(rivals.scores(runs), False, "", ECE).loc["Focal loss"]
    assert row.seeds == 1 and row.p == 1


def test_the_summary_holds_mean_and_spread_over_the_seeds(table):
    shown = rivals.summary(table, False)
    assert list(shown.loc["as trained"].index) == ["Cross-entropy", "Focal loss", "MbLS"]
    own = table[(table.step == "") & (table.method == "Focal loss")].NLL
    text = f"{own.mean():.3f} ± {own.std():.3f}"
    assert shown.loc[("as trained", "Focal loss"), "NLL"] == text
    assert rivals.summary(table, True).empty


def test_the_sentence_tells_whether_the_prediction_holds(table):
    focal = table[table.method != "MbLS"]
    text = rivals.answer(focal, False)
    assert "for 1 of 1 rival loss, as predicted; 1 of the differences is significant" in text
    swapped = focal.replace({"method": {"Focal loss": rivals.USUAL, rivals.USUAL: "Focal loss"}})
    text = rivals.answer(swapped, False)
    assert "for 0 of 1 rival loss, against the prediction; 1 of the differences" in text
    assert "accuracy is −" in text
    assert "for 0 of 1 rival loss; 1 of" in rivals.answer(swapped, False, predicted=False)
    overconfident = swapped.assign(**{rivals.SURPLUS: 0.01})
    assert "for 0 of 1 rival loss; 1 of the differences" in rivals.answer(overconfident, False)
    few = focal[focal.seed < 3]
    said = "as predicted; with 3 seeds no loss can reach a Holm-corrected p < 0.05.**"
    assert said in rivals.answer(few, False)
    # seven seeds can show one comparison (2 / 2^7 = 0.016), not four of them
    others = [focal.replace({"method": {"Focal loss": m}}) for m in rivals.METHODS[-4:-1]]
    rest = [one[one.method != rivals.USUAL] for one in others]
    assert "with 7 seeds no loss can reach" in rivals.answer(pd.concat([focal, *rest]), False)
    gaps = pd.DataFrame({"difference": [0.2], "low": [0.1], "high": [0.3]}, index=["Focal loss"])
    shown = rivals.differences(few, gaps, False).loc["Focal loss"]
    assert "(" not in shown["ECE", "as trained"]  # no p that could not have been small
    assert shown["NLL", "scaled"] == "+0.200 (+0.100 to +0.300)"


def test_intervals_over_seeds_and_images_of_the_nll_after_vector_scaling():
    made = [("cross_entropy", 1.0), ("focal", 0.4), ("mbls", 1.0)]
    runs = [fake(loss, s, f) for loss, f in made for s in range(3)]
    runs += [fake("mixup", 9, 1.0)]  # has no partner of its seed
    gaps = rivals.gaps_in_nll(runs, False, 50)
    assert list(gaps.index) == ["Focal loss", "MbLS"] and rivals.gaps_in_nll(runs, True).empty
    assert gaps.abs().max(axis=None) < 1e-3  # scaling undoes a factor
    table = pd.DataFrame({"low": [-2, -1, 1], "high": [-1, 1, 2]}, index=["A", "B", "C"])
    text = rivals.after_scaling(table)
    assert (
        "A is shown to have a lower NLL than cross-entropy, and C is shown to have a higher one."
        in text
    )
    text = rivals.after_scaling(pd.DataFrame({"low": [-2, -2], "high": -1}, index=["A", "B"]))
    assert (
        "A and B are shown to have a lower NLL than cross-entropy, and no method is shown" in text
    )
    pair = pd.DataFrame({"low": [-2, -2], "high": 1}, index=["A", "B"])
    text = rivals.after_scaling(pair, "paper")
    assert "paper's class mix, no method (of 2) is shown to have another NLL than cross-" in text


def test_in_the_papers_mix_each_image_counts_by_its_weight():
    runs = rivals.recorded("rivals-mbls-seed-0", "rivals-cross_entropy-seed-0")
    runs = [r for r in runs if r.config.variant == "baseline"]
    test, weights = runs[0].predictions("test"), mix_weights(runs[0], "paper")
    nll = {
        r.config.loss: log_loss(test.labels, probabilities(r, STEP, "paper"), sample_weight=weights)
        for r in runs
    }
    gap = rivals.gaps_in_nll(runs, True, 20, "paper").difference["MbLS"]
    assert gap == pytest.approx(nll["mbls"] - nll["cross_entropy"])
    assert abs(gap - rivals.gaps_in_nll(runs, True, 20).difference["MbLS"]) > 1e-4


def test_without_records_the_page_says_how_to_make_them():
    nothing = rivals.scores(rivals.recorded("nothing"))
    gaps = rivals.gaps_in_nll([], True)
    assert rivals.answer(nothing) == rivals.NONE and "results/rivals.sh" in rivals.NONE
    assert rivals.summary(nothing, True).empty and rivals.differences(nothing, gaps, True).empty
    assert isinstance(rivals.paired(nothing, True, "", ECE), pd.DataFrame)


def test_a_caption_tells_the_seeds(table):
    assert rivals.seeds_of(table, False) == "7 seeds a method"
    more = table[(table.method != "MbLS") | (table.seed < 3)]
    assert rivals.seeds_of(more, False) == "3 to 7 seeds a method"


def test_the_sentence_tells_how_far_proposed_is_from_cross_entropy(table):
    both = table.replace({"method": {"MbLS": rivals.OURS}})
    row = rivals.paired(both, False, "", ECE).loc[rivals.OURS]
    said = f"Proposed differs from cross-entropy by {words.error(row.difference, True)} (Holm's p"
    assert said in rivals.answer(both, False) and "Proposed" not in rivals.answer(table, False)
    few = rivals.answer(both[both.seed < 3], False)  # whose p cannot be small
    assert "Proposed differs from cross-entropy by" in few and "Holm's p =" not in few


def test_records_that_are_no_study_of_rivals_are_told_apart():
    with pytest.raises(UserError, match="two runs of .*, seed 0: .*laptop.* and .*laptop"):
        rivals.recorded("laptop")


def test_runs_through_both_phases_are_those_of_the_methods_compared():
    runs = rivals.recorded("nothing", "laptop-seed", both=True)
    of = {
        v: {r.config.seed for r in runs if r.config.variant == v} for v in ("baseline", "proposed")
    }
    assert of["baseline"] == of["proposed"] >= {0, 1, 2}
    assert {r.config.variant for r in runs} == set(of)
    assert all(r.config.phase2_epochs for r in runs) and not rivals.recorded("laptop-seed")
    said = rivals.answer(rivals.scores(runs).replace("Proposed", "MbLS"), where="After both phases")
    assert said.startswith("**After both phases, the mean ECE lies above")


def test_the_errors_of_the_figure_are_those_of_the_table(table):
    found = rivals.errors_of_each(table)
    assert list(found) == ["without class weights"]  # no other is in the table
    (methods,) = found.values()
    assert list(methods) == ["Cross-entropy", "Focal loss", "MbLS"]
    raw = table[(table.step == "") & (table.method == "MbLS")]
    assert methods["MbLS"] == list(raw[ECE]) and len(methods["MbLS"]) == 7


def test_the_sentence_has_the_means_of_the_table(table):
    means = table[table.step == ""].groupby("method")[ECE].mean()
    text = rivals.answer(table, False)
    for method in ("Focal loss", "MbLS"):
        assert f"{words.error(means[method])} ({method})" in text
