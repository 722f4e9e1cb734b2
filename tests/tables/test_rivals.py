"""The page of rivals: AUGRC, paired differences over seeds, and each branch of its sentence."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import labels_of
from scipy.special import softmax

from acrlls.config import UserError
from acrlls.runs import Predictions
from acrlls.tables import rivals
from acrlls.tables.compare import ECE


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
    """A run whose logits are calibrated ones, but for a seed's noise, times a factor."""
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(600, 4))
    y, names = labels_of(softmax(z, axis=1), rng), np.arange(600).astype(str)
    z = z + 0.1 * np.random.default_rng(seed).normal(size=z.shape)

    def predictions(part):
        return Predictions(names, y, factor * z, tuple("ABCD"), part)

    run = type(
        "Run", (), {"class_names": tuple("ABCD"), "predictions": staticmethod(predictions)}
    )()
    run.config = SimpleNamespace(loss=loss, seed=seed, variant=variant, class_weights=False)
    return run


@pytest.fixture(scope="module")
def runs():
    made = [("cross_entropy", 1.0), ("focal", 0.4), ("mbls", 1.0001)]
    return [fake(loss, s, f) for loss, f in made for s in range(7)]


@pytest.fixture(scope="module")
def table(runs):
    return rivals.scores(runs)


def against(runs, step=""):
    return rivals.against(runs, False, step, resamples=50)


def test_a_loss_that_only_changes_the_temperature_is_cross_entropy_after_temperature(runs, table):
    raw, after = (against(runs, step)["Focal loss"] for step in ("", "temperature"))
    assert raw.table.difference[ECE] > 0.05 and abs(after.table.difference[ECE]) < 1e-3
    assert raw.shows(ECE) == 1 and after.shows(ECE) == 0 and raw.seeds == 7
    surplus = table[table.step == ""].groupby("method")[rivals.SURPLUS].mean()
    assert surplus["Focal loss"] < -0.05 < surplus[rivals.USUAL]


def test_pairs_are_of_equal_seed():
    runs = [fake("cross_entropy", s, 1.0) for s in (0, 1)] + [fake("focal", s, 0.4) for s in (1, 2)]
    runs += [fake("mixup", 9, 1.0)]  # has no partner of its seed
    found = against(runs)
    assert list(found) == ["Focal loss"] and found["Focal loss"].seeds == 1
    assert rivals.against(runs, True, "") == {}


def test_the_summary_holds_mean_and_spread_over_the_seeds(table):
    shown = rivals.summary(table, False)
    assert list(shown.loc["as trained"].index) == ["Cross-entropy", "Focal loss", "MbLS"]
    own = table[(table.step == "") & (table.method == "Focal loss")].NLL
    text = f"{own.mean():.3f} ± {own.std():.3f}"
    assert shown.loc[("as trained", "Focal loss"), "NLL"] == text
    assert rivals.summary(table, True).empty


def test_the_sentence_tells_whether_the_prediction_holds(runs, table):
    focal = {"Focal loss": against(runs)["Focal loss"]}
    text = rivals.answer(table, focal, False)
    assert "for 1 of 1 rival loss, as predicted; the difference is shown for 1.**" in text
    assert "over 7 seeds or more" in text
    rows = focal["Focal loss"].table
    lower = replace(focal["Focal loss"], table=rows.assign(difference=-rows.difference))
    text = rivals.answer(table, {"Focal loss": lower}, False)
    assert "for 0 of 1 rival loss, against the prediction; the difference is shown for none" in text
    overconfident = table.assign(**{rivals.SURPLUS: 0.01})
    said = "for 0 of 1 rival loss; the difference"
    assert said in rivals.answer(overconfident, {"Focal loss": lower}, False)


def test_intervals_after_vector_scaling_name_the_methods(runs):
    scaled = against(runs, "vector")
    assert abs(scaled["Focal loss"].table.difference["NLL"]) < 1e-3  # scaling undoes a factor
    focal = scaled["Focal loss"]
    ends = {"A": (-2, -1), "B": (-1, 1), "C": (1, 2)}
    found = {
        m: replace(focal, table=focal.table.assign(low=a, high=b)) for m, (a, b) in ends.items()
    }
    assert "for A, and a higher one for C." in rivals.after_scaling(found)
    assert "for no method, and a higher" in rivals.after_scaling({"B": found["B"]})


def test_without_records_the_page_says_how_to_make_them():
    nothing = rivals.scores(rivals.recorded("nothing"))
    assert rivals.answer(nothing, {}) == rivals.NONE and "results/rivals.sh" in rivals.NONE
    assert rivals.summary(nothing, True).empty


def test_a_caption_tells_the_seeds(table):
    assert rivals.seeds_of(table, False) == "7 seeds a method"
    more = table[(table.method != "MbLS") | (table.seed < 3)]
    assert rivals.seeds_of(more, False) == "3 to 7 seeds a method"


def test_records_that_are_no_study_of_rivals_are_told_apart():
    with pytest.raises(UserError, match="two runs of .*, seed 0; give"):
        rivals.recorded("laptop")


def test_runs_through_both_phases_are_those_of_the_methods_compared():
    runs = rivals.recorded("nothing", "laptop-seed", both=True)
    assert {(r.config.variant, r.config.seed) for r in runs} == {
        (variant, seed) for variant in ("baseline", "proposed") for seed in range(3)
    }
    assert all(r.config.phase2_epochs for r in runs) and not rivals.recorded("laptop-seed")
