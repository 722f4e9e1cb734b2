"""The checks: right on the paper's numbers, and another verdict where a number is wrong."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from conftest import CONTRADICTIONS

from acrlls import calibration, paper
from acrlls.config import UserError
from acrlls.ledger import CLAIMS, Facts
from acrlls.ledger import facts as _facts
from acrlls.ledger import noise as _noise
from acrlls.ledger import reproduced as _reproduced
from acrlls.ledger.ledger import judge, way_of
from acrlls.paper import NUMBERS, Number

FOLLOWS = [
    (key, name) for key, c in CLAIMS.items() for name in c.checks if way_of(name) == "follows"
]


def judged(key, name, **printed):
    """Outcome of a check of a claim, some numbers printed otherwise."""
    numbers = {
        **NUMBERS,
        **{k: dataclasses.replace(NUMBERS[k], printed=v) for k, v in printed.items()},
    }
    return judge(Facts(numbers=numbers, resamples=100), CLAIMS[key], name)


def verdict_of(key, name, **printed):
    return judged(key, name, **printed).verdict


# --- Does it follow? ---


def test_what_does_not_follow_is_what_a_reader_with_a_pencil_finds():
    found = {key for key, name in FOLLOWS if verdict_of(key, name) == "does not follow"}
    assert found == set(CONTRADICTIONS)


def mutations(printed):
    """The number with one of its digits changed, the last digit first."""
    for i in reversed(range(len(printed))):
        if printed[i].isdigit():
            for step in (5, 1, 9):
                yield printed[:i] + str((int(printed[i]) + step) % 10) + printed[i + 1 :]


@pytest.mark.parametrize(
    ("key", "name"),
    [pair for pair in FOLLOWS if pair[0] in NUMBERS],
    ids=["-".join(p) for p in FOLLOWS if p[0] in NUMBERS],
)
def test_a_wrong_digit_changes_the_verdict_of_a_number(key, name):
    before = verdict_of(key, name)
    changed = [
        m for m in mutations(NUMBERS[key].printed) if verdict_of(key, name, **{key: m}) != before
    ]
    assert changed


@pytest.mark.parametrize(
    ("key", "name", "printed"),
    [
        ("method.favours_one", "favours_one", {"acr.tau": "0.95"}),
        (
            "method.minority",
            "minority_worse",
            {"table_V.Baseline.COVID": "0.0948", "table_V.Baseline.Viral Pneumonia": "0.0938"},
        ),
        ("conclusion.smallest", "extreme", {"images.Viral Pneumonia": "13,345"}),
        ("tuning.lowest_loss", "lowest_loss", {"table_I.1.val_loss": "0.3747"}),
        ("tuning.region", "best_region", {"table_I.3.tau": "0.25"}),
        ("tuning.alpha_beyond", "none_beyond", {"table_I.5.alpha": "0.20"}),
        ("lls.opacity_lowest", "extreme", {"table_II.Lung Opacity.Phase 2": "0.8993"}),
        ("lls.below_one", "scales_below_one", {"table_II.Viral Pneumonia.Phase 1": "0.9940"}),
        ("lls.normal_above", "bounded", {"table_II.Normal.Phase 1": "0.9365"}),
        ("lls.interpretation", "in_order", {"table_II.COVID.Phase 2": "0.9859"}),
        ("lls.reduced_confidence", "scale_turns_confidence", {"lls.lowest": "1.0000"}),
        ("report.covid_recall", "extreme", {"table_III.COVID.Recall": "0.9642"}),
        ("report.opacity_recall", "extreme", {"table_III.Lung Opacity.Recall": "0.9893"}),
        ("report.viral_f1", "extreme", {"table_III.COVID.F1": "0.9789"}),
        ("report.viral_balanced", "equal", {"table_III.Viral Pneumonia.Precision": "0.9705"}),
        ("report.auc", "bounded", {"auc.Normal": "0.9782"}),
        ("report.viral_covid", "unpublished_cell", {"errors.viral_as_covid": "7"}),
        ("calibration.excellent", "below_threshold", {"table_V.Proposed.Normal": "0.0183"}),
        ("conclusion.well_calibrated", "below_threshold", {"table_V.Proposed.Normal": "0.0583"}),
        ("calibration.strongest", "extreme", {"table_V.Proposed.COVID": "0.0094"}),
        ("ablation.similar", "similar", {"table_IV.Single Dense.Accuracy": "93.99%"}),
        ("ablation.lowest", "lowest_everywhere", {"table_V.Baseline.COVID": "0.0018"}),
        (
            "ablation.single_higher",
            "higher_everywhere",
            {"table_V.Single Dense.Viral Pneumonia": "0.0043"},
        ),
    ],
)
def test_a_wrong_number_changes_the_verdict_of_a_statement(key, name, printed):
    assert verdict_of(key, name, **printed) != verdict_of(key, name)


def test_statements_that_are_checked_by_the_paper_are_all_among_those_mutated_above():
    mark = test_a_wrong_number_changes_the_verdict_of_a_statement.pytestmark[0]
    mutated = {(key, name) for key, name, _ in mark.args[1]}
    # which matrix was meant, or which measure of balance, no other digit decides
    assert {pair for pair in FOLLOWS if pair[0] not in NUMBERS} - mutated == {
        ("tuning.balance", "best_balance"),
        ("report.mostly_normal", "mostly_normal"),
    }


def test_most_missed_opacities_went_to_normal_only_because_normal_was_called_so_often():
    assert verdict_of("report.mostly_normal", "mostly_normal") == "follows"
    fewer = {"table_III.Normal.Precision": "0.9804", "table_III.COVID.Precision": "0.8952"}
    assert verdict_of("report.mostly_normal", "mostly_normal", **fewer) == "does not follow"


def test_numbers_that_contradict_each_other_are_a_verdict_and_no_crash():
    outcome = judged("table_III.COVID.F1", "report_cell", **{"table_III.COVID.Recall": "0.9743"})
    assert outcome.verdict == "does not follow" and "0 whole numbers" in outcome.evidence


def test_rounding_is_interval_arithmetic():
    a, b = Number("a", "0.0024", "", ""), Number("b", "0.0048", "", "")
    low, high = _facts.image(lambda x, y: 1 - x / y, a, b)
    assert (low, high) == pytest.approx((1 - 0.00245 / 0.00475, 1 - 0.00235 / 0.00485))


# --- Do the recorded runs agree? ---


def test_what_is_measured_on_a_run_is_what_the_calibration_module_says(entries):
    run = entries.facts.run("proposed")
    test, found = run.predictions("test"), _reproduced.measured(entries.facts, run)
    p, y = test.probabilities, test.labels
    table = calibration.report(p, y, paper.CLASSES)
    for column in ("Precision", "Recall", "F1"):
        for row in (*paper.CLASSES, "Macro Avg", "Weighted Avg"):
            assert found.estimate[f"{column} {row}"] == pytest.approx(table.loc[row, column])
    metrics = {
        "AUC": calibration.classwise_auc,
        "Brier": calibration.classwise_brier,
        "ECE": calibration.classwise_ece,
    }
    for name, metric in metrics.items():
        assert list(found.estimate[[f"{name} {c}" for c in paper.CLASSES]]) == pytest.approx(
            list(metric(p, y))
        )
    assert found.estimate["accuracy"] == pytest.approx(calibration.accuracy(p, y))
    inside = found[~found.index.str.startswith("ECE")]
    assert (inside.low <= inside.estimate).all() and (inside.estimate <= inside.high).all()


def test_a_repetition_on_as_many_images_strays_by_the_root_of_two():
    row = pd.Series({"estimate": 0.5, "low": 0.4, "high": 0.6})
    assert _reproduced.repetition(row, 100, 100) == pytest.approx(
        (0.5 - 0.1 * 2**0.5, 0.5 + 0.1 * 2**0.5)
    )
    assert _reproduced.repetition(row, 100, 1e12) == pytest.approx((0.4, 0.6))


def test_a_number_near_ours_is_reproduced_and_one_far_away_differs(entries):
    ours = _reproduced.measured(entries.facts, entries.facts.run("proposed")).loc[
        "accuracy", "estimate"
    ]
    for value, verdict in ((ours, "reproduced"), (ours - 0.1, "differs")):
        assert (
            verdict_of("accuracy.proposed", "measure", **{"accuracy.proposed": f"{value:.2%}"})
            == verdict
        )


def test_a_setting_that_the_profile_of_the_paper_does_not_have_differs():
    assert verdict_of("phase1.epochs", "setting") == "not checkable"
    assert verdict_of("phase1.epochs", "setting", **{"phase1.epochs": "40"}) == "differs"


def test_a_folder_without_both_models_is_an_error_that_says_how_to_record_them():
    with pytest.raises(UserError, match="lacks baseline: `acrlls reproduce"):
        Facts(recorded="laptop-no-augmentation").runs  # noqa: B018


# --- Is it more than noise? ---


def given_floors(monkeypatch):
    """A floor so high under every reading that a value can lie below it under all of them."""
    rng, size = np.random.default_rng(0), (2000, len(_noise.chance.BINNINGS))
    draws = {(c, "Beta"): rng.normal(0.005, 0.0005, size) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "floors", lambda facts: draws)
    return draws


@pytest.mark.parametrize(
    ("ece", "verdict"),
    [
        ("0.0990", "stands out from noise"),
        ("0.0050", "cannot be told from noise"),
        ("0.0000", "lower than perfect calibration would show"),
    ],
)
def test_an_ece_is_above_within_or_below_the_floor(monkeypatch, ece, verdict):
    given_floors(monkeypatch)
    assert (
        verdict_of("table_V.Proposed.Normal", "ece_noise", **{"table_V.Proposed.Normal": ece})
        == verdict
    )


def test_a_verdict_must_hold_under_every_common_reading(monkeypatch):
    draws, binnings = given_floors(monkeypatch), _noise.chance.BINNINGS
    draws["Normal", "Beta"][:, binnings.index(("quantile", 20))] += 1
    high = {"table_V.Proposed.Normal": "0.0990"}
    assert verdict_of("table_V.Proposed.Normal", "ece_noise", **high) == "cannot be told from noise"
    draws["Normal", "Beta"][:, binnings.index(("quantile", 20))] -= 1
    draws["Normal", "Beta"][:, binnings.index(("quantile", 50))] += 1  # not in common use
    assert verdict_of("table_V.Proposed.Normal", "ece_noise", **high) == "stands out from noise"


def test_a_gap_stands_out_where_calibrated_models_never_differ_as_much(monkeypatch):
    rng = np.random.default_rng(0)
    draws = {(c, "Beta"): rng.normal(0, 0.002, (2000, len(_noise.COMMON))) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "gap_floors", lambda facts: draws)
    assert verdict_of("ece_reduction.Normal", "gap_noise") == "stands out from noise"
    near = {"table_V.Baseline.Normal": "0.0093"}
    assert verdict_of("ece_reduction.Normal", "gap_noise", **near) == "cannot be told from noise"
    assert verdict_of("ablation.cause", "all_gap_noise") == "stands out from noise"
    assert (
        verdict_of("ablation.lowest", "all_gap_noise") == "cannot be told from noise"
    )  # not in all classes


def test_a_larger_gain_in_accuracy_stands_out():
    assert (
        verdict_of("accuracy.gain", "accuracy_noise", **{"accuracy.baseline": "92.01%"})
        == "stands out from noise"
    )


def test_the_lead_of_the_best_pair_and_the_changes_of_the_scales_are_judged_by_the_seeds():
    assert verdict_of("tuning.lowest_loss", "loss_noise") == "cannot be told from noise"
    assert (
        verdict_of("tuning.lowest_loss", "loss_noise", **{"table_I.1.val_loss": "0.1647"})
        == "stands out from noise"
    )
    assert verdict_of("lls.meaningful", "scale_noise") == "cannot be told from noise"
    far = {f"table_II.{c}.Phase 2": "9.0000" for c in paper.CLASSES}
    assert verdict_of("lls.meaningful", "scale_noise", **far) == "stands out from noise"
