"""The paper's own arithmetic: what follows from its numbers, and where it does not."""

import dataclasses
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acrlls.config import Config
from acrlls.paper import paper
from acrlls.paper.paper import CLASSES, NUMBERS, by_class, table

BOOK = Path(__file__).resolve().parents[2] / "book"


def test_a_printed_percentage_is_a_fraction_and_knows_how_far_rounding_moved_it():
    accuracy = NUMBERS["accuracy.proposed"]
    assert accuracy.value == 0.9468
    assert accuracy.half_unit == pytest.approx(0.00005)
    assert accuracy.agrees(0.94684) and not accuracy.agrees(0.94686)
    assert NUMBERS["images.total"].value == 21165


def test_every_number_says_where_it_stands():
    for key, number in NUMBERS.items():
        assert number.key == key and number.what
        for place in number.where.split("; "):
            assert re.fullmatch(
                r"Abstract|Algorithm 1|Section [IV]+(-[A-E])?|Table [IV]+", place
            ), key
        assert math.isfinite(number.value)
    assert len(NUMBERS) > 150


# --- Section III-A ----------------------------------------------------------------------------


def test_the_images_of_the_four_classes_sum_to_the_dataset():
    assert by_class("images").sum() == NUMBERS["images.total"].value


def test_the_split_is_the_floor_of_seventy_and_fifteen_per_cent_of_each_class():
    counts = by_class("images").astype(int)
    train, validation = counts * 70 // 100, counts * 15 // 100
    test = counts - train - validation
    assert (train.sum(), validation.sum(), test.sum()) == (14814, 3172, 3179)
    assert list(test) == list(table("III").loc[list(CLASSES), "Support"])


def test_the_class_weights_are_inverse_frequencies_in_the_training_part():
    train = by_class("images").astype(int) * 70 // 100
    for c, weight in (train.sum() / (4 * train)).items():
        assert NUMBERS[f"class_weight.{c}"].agrees(weight)


def test_the_shares_follow_from_the_counts_except_that_of_normal():
    share = by_class("images") / NUMBERS["images.total"].value
    follows = {c: NUMBERS[f"share.{c}"].agrees(share[c]) for c in CLASSES}
    assert follows == {
        "COVID": True,
        "Lung Opacity": True,
        "Normal": False,
        "Viral Pneumonia": True,
    }
    assert f"{share['Normal']:.2%}" == "48.15%"  # 48.155 %, printed as 48.1
    support = table("III").loc[list(CLASSES), "Support"]
    assert all(NUMBERS[f"table_III.{c}.Share"].agrees(support[c] / support.sum()) for c in CLASSES)


# --- Table I ----------------------------------------------------------------------------------


def test_table_one_is_sorted_by_validation_loss_between_the_two_values_of_the_text():
    loss = table("I")["val_loss"]
    assert loss.is_monotonic_increasing
    assert loss.min() == NUMBERS["grid.val_loss_low"].value
    assert loss.max() == NUMBERS["grid.val_loss_high"].value
    assert table("I").loc[1, "alpha"] == NUMBERS["acr.alpha"].value
    assert table("I").loc[1, "tau"] == NUMBERS["acr.tau"].value
    assert (
        len(list(itertools.product(paper.GRID_ALPHA, paper.GRID_TAU)))
        == NUMBERS["grid.points"].value
    )


def test_one_validation_accuracy_of_table_one_is_not_a_whole_number_of_3172_images():
    n = int(NUMBERS["split.validation"].value)
    accuracy = {rank: NUMBERS[f"table_I.{rank}.val_accuracy"] for rank in table("I").index}
    behind = {rank: paper.counts_behind(number, n) for rank, number in accuracy.items()}
    assert behind == {1: [2761], 2: [2769], 3: [2762], 4: [2747], 5: []}
    assert f"{2742 / 3172:.2%} {2743 / 3172:.2%}" == "86.44% 86.48%"  # the neighbours of 86.46 %


def test_one_of_the_five_best_configurations_lies_outside_the_region_that_the_text_names():
    best = table("I")
    inside = best["alpha"].between(0.08, 0.15) & best["tau"].between(0.20, 0.30)
    assert list(best.index[~inside]) == [3]


# --- Table III --------------------------------------------------------------------------------


def test_the_supports_sum_to_the_test_set():
    assert table("III").loc[list(CLASSES), "Support"].sum() == NUMBERS["split.test"].value == 3179


def test_precision_recall_and_support_determine_whole_confusion_margins():
    margins = paper.confusion_margins()
    assert list(margins["correct"]) == [529, 803, 1481, 197]
    assert list(margins["predicted"]) == [549, 839, 1588, 203]
    assert margins["predicted"].sum() == margins["support"].sum()
    assert margins.loc["COVID", "missed"] == NUMBERS["errors.covid"].value
    assert margins.loc["Lung Opacity", "missed"] == NUMBERS["errors.lung_opacity"].value


def test_f1_accuracy_and_averages_follow_from_the_margins():
    m = paper.confusion_margins()
    scores = pd.DataFrame(
        {"Precision": m["correct"] / m["predicted"], "Recall": m["correct"] / m["support"]}
    )
    scores["F1"] = 2 * m["correct"] / (m["support"] + m["predicted"])
    share = m["support"] / m["support"].sum()
    for name in scores:
        assert all(NUMBERS[f"table_III.{c}.{name}"].agrees(scores.loc[c, name]) for c in CLASSES)
        assert NUMBERS[f"table_III.Macro Avg.{name}"].agrees(scores[name].mean())
        assert NUMBERS[f"table_III.Weighted Avg.{name}"].agrees((scores[name] * share).sum())
    accuracy = m["correct"].sum() / m["support"].sum()
    assert NUMBERS["table_III.Accuracy.F1"].agrees(accuracy)
    assert NUMBERS["accuracy.proposed"].agrees(accuracy)
    assert NUMBERS["table_IV.Proposed.F1"].agrees(
        scores["F1"].mean()
    )  # so Table IV has the macro average


def test_most_missed_lung_opacities_must_have_been_called_normal():
    bounds = paper.confusion_bounds()
    assert tuple(bounds.loc[("Lung Opacity", "Normal")]) == (87, 100)
    # the text says 0 here; Table III alone allows more
    assert tuple(bounds.loc[("Viral Pneumonia", "COVID")]) == (0, 6)


def test_the_bounds_of_the_confusion_cells_are_those_of_plain_enumeration(monkeypatch):
    margins = pd.DataFrame(
        {"missed": [1, 2, 1, 1], "false_alarms": [2, 1, 1, 1]}, index=list(CLASSES)
    )
    monkeypatch.setattr(paper, "confusion_margins", lambda numbers: margins)
    cells = list(paper.confusion_bounds().index)
    matrices = [
        v
        for v in itertools.product(range(3), repeat=len(cells))
        if sum(v) == 5
        and all(
            sum(x for x, cell in zip(v, cells, strict=True) if cell[side] == c)
            == margins.loc[c, name]
            for side, name in enumerate(["missed", "false_alarms"])
            for c in CLASSES
        )
    ]
    assert paper.confusion_bounds()["low"].to_list() == np.min(matrices, axis=0).tolist()
    assert paper.confusion_bounds()["high"].to_list() == np.max(matrices, axis=0).tolist()


def test_known_cells_that_contradict_the_margins_are_refused():
    with pytest.raises(ValueError, match="no confusion matrix"):
        paper.confusion_bounds({("COVID", "Normal"): 1000})


def test_digits_that_leave_several_whole_numbers_are_refused(monkeypatch):
    coarse = paper.Number("table_III.COVID.Recall", "0.97", "Table III", "recall")
    monkeypatch.setitem(NUMBERS, coarse.key, coarse)
    with pytest.raises(
        ValueError, match=r"leave \d whole numbers for the correct predictions of COVID"
    ):
        paper.confusion_margins()


# --- Accuracies and gains ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "correct"),
    [("accuracy.phase1", 2784), ("accuracy.baseline", 2989), ("accuracy.proposed", 3010)],
)
def test_every_test_accuracy_is_a_whole_number_of_3179_images(key, correct):
    assert paper.counts_behind(NUMBERS[key], 3179) == [correct]


def test_the_gains_are_percentage_points():
    assert NUMBERS["accuracy.phase_gain"].agrees((3010 - 2784) / 3179)
    assert NUMBERS["accuracy.gain"].agrees((3010 - 2989) / 3179)


def test_every_auc_is_above_the_bound_of_the_text():
    assert (by_class("auc") > NUMBERS["auc.above"].value).all()


# --- Tables II and V --------------------------------------------------------------------------


def test_viral_pneumonia_does_not_keep_its_scale_below_one():
    scales = table("II")
    assert scales.loc["Viral Pneumonia", "Phase 1"] > 1 > scales.loc["Viral Pneumonia", "Phase 2"]
    assert scales["Phase 2"].idxmin() == "Lung Opacity"
    assert (scales["Phase 2"] - scales["Phase 1"]).abs().max() < 0.03


def test_the_reductions_of_ece_follow_from_table_five():
    for c, reduction in paper.ece_reductions().items():
        assert NUMBERS[f"ece_reduction.{c}"].agrees(reduction)


def test_the_largest_reduction_of_ece_is_not_the_61_per_cent_of_the_abstract():
    assert not NUMBERS["ece.reduction_up_to"].agrees(paper.ece_reductions().max())
    assert f"{paper.ece_reductions().max():.1%}" == "61.8%"


def test_the_proposed_model_has_the_lowest_ece_of_every_class_and_the_text_repeats_it():
    ece = table("V")
    assert (ece.idxmin() == "Proposed").all()
    assert list(by_class("ece")) == list(ece.loc["Proposed"])
    assert ece.loc["Proposed"].min() == NUMBERS["ece.lowest"].value
    assert ece.loc["Proposed"].max() == NUMBERS["ece.highest"].value


def test_single_dense_is_not_worse_than_the_baseline_in_every_class():
    ece = table("V")
    assert list(ece.columns[ece.loc["Single Dense"] < ece.loc["Baseline"]]) == ["Viral Pneumonia"]


def test_by_the_papers_own_yardstick_the_baseline_is_well_calibrated_already():
    baseline = table("V").loc["Baseline"]
    assert (baseline < NUMBERS["ece.well_calibrated"].value).all()
    assert list(baseline.index[baseline < NUMBERS["ece.excellent"].value]) == [
        "COVID",
        "Viral Pneumonia",
    ]


# --- Ours beside the published ----------------------------------------------------------------


def test_our_table_stands_beside_the_published_one_with_the_difference():
    ours = table("V") + 0.001
    ours.loc["ACR alone"] = 0.02
    frame = paper.beside(ours, "V")
    assert list(frame.index) == ["Baseline", "Single Dense", "Proposed", "ACR alone"]
    assert list(frame["COVID"].columns) == ["published", "ours", "difference"]
    assert frame.loc["Proposed", ("COVID", "published")] == 0.0024
    assert frame.loc[list(paper.MODELS), ("Normal", "difference")].to_list() == pytest.approx(
        [0.001] * 3
    )
    assert math.isnan(frame.loc["ACR alone", ("COVID", "difference")])


def test_what_only_one_side_has_is_kept_and_has_no_difference():
    frame = paper.beside({"COVID": 0.01, "Tuberculosis": 0.5}, by_class("brier"))
    assert list(frame.index) == [*CLASSES, "Tuberculosis"]
    assert frame.loc["COVID", "difference"] == pytest.approx(0.0015)
    assert frame["difference"].notna().sum() == 1


def test_a_table_beside_a_single_column_is_refused():
    with pytest.raises(TypeError, match="DataFrame beside a Series"):
        paper.beside(table("V"), by_class("ece"))


def test_an_unknown_table_or_column_is_named_with_what_exists():
    with pytest.raises(KeyError, match="I, II, III, IV, V, not 'VI'"):
        table("VI")
    with pytest.raises(KeyError, match="not 'kappa'"):
        by_class("kappa")


def test_a_shown_table_signs_its_differences_and_dashes_its_gaps():
    frame = paper.beside({"COVID": 0.0080}, by_class("brier"))
    html = paper.show(frame, decimals=3, caption="Brier").to_html()
    assert "−0.001" in html and "–" in html and "Brier" in html and "nan" not in html
    for shown in (html, paper.show(paper.beside(paper.table("IV"), "IV")).to_html()):
        assert "diff." in shown and "difference" not in shown


# --- The prose --------------------------------------------------------------------------------


def test_every_parameter_that_the_chapter_on_the_gaps_names_exists():
    text = (BOOK / "gaps.md").read_text("utf-8")
    last_cells = re.findall(r"^  - ((?:`\w+` ?)+)$", text, flags=re.MULTILINE)
    named = {name for cell in last_cells for name in re.findall(r"`(\w+)`", cell)}
    fields = {f.name for f in dataclasses.fields(Config)}
    assert len(named) > 20 and named <= fields


def test_every_gap_has_a_choice_and_says_what_turns_it():
    text = (BOOK / "gaps.md").read_text("utf-8")
    row = r"^\* - (?!What is not said).*\n(?:    .*\n)*  - .*\n(?:    .*\n)*  - (.*)$"
    gaps = re.findall(row, text, flags=re.MULTILINE)
    assert len(gaps) == text.count("\n* - ") - text.count("* - What is not said")
    assert all(last == "*fixed*" or last.startswith("`") for last in gaps)


def test_a_shown_table_can_have_decimals_of_its_own_in_each_column():
    frame = paper.beside(
        pd.DataFrame({"n": [1200.0], "share": [0.25]}),
        pd.DataFrame({"n": [1300.0], "share": [0.25004]}),
    )
    html = paper.show(frame, {"n": 0, "share": 3}).to_html()
    assert ">1,300<" in html and ">−100<" in html
    assert (
        ">0.250<" in html and ">+0.000<" in html
    )  # no sign before a zero that is left by rounding
