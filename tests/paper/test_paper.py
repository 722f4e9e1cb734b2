"""The published numbers, the whole numbers behind them, and ours beside them."""

import dataclasses
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acrlls import paper
from acrlls.config import Config
from acrlls.paper import CLASSES, NUMBERS, by_class, table

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


# --- Table I ---


def test_one_validation_accuracy_of_table_one_is_not_a_whole_number_of_3172_images():
    n = int(NUMBERS["split.validation"].value)
    accuracy = {rank: NUMBERS[f"table_I.{rank}.val_accuracy"] for rank in table("I").index}
    behind = {rank: paper.counts_behind(number, n) for rank, number in accuracy.items()}
    assert behind == {1: [2761], 2: [2769], 3: [2762], 4: [2747], 5: []}
    assert f"{2742 / 3172:.2%} {2743 / 3172:.2%}" == "86.44% 86.48%"  # the neighbours of 86.46 %


# --- Table III ---


def test_precision_recall_and_support_determine_whole_confusion_margins():
    margins = paper.confusion_margins()
    assert list(margins["correct"]) == [529, 803, 1481, 197]
    assert list(margins["predicted"]) == [549, 839, 1588, 203]
    assert margins["predicted"].sum() == margins["support"].sum()
    assert margins.loc["COVID", "missed"] == NUMBERS["errors.covid"].value
    assert margins.loc["Lung Opacity", "missed"] == NUMBERS["errors.lung_opacity"].value


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


def test_digits_that_leave_several_whole_numbers_are_refused(monkeypatch):
    coarse = paper.Number("table_III.COVID.Recall", "0.97", "Table III", "recall")
    monkeypatch.setitem(NUMBERS, coarse.key, coarse)
    with pytest.raises(
        ValueError, match=r"leave \d whole numbers for the correct predictions of COVID"
    ):
        paper.confusion_margins()


def test_a_shown_table_signs_its_differences_and_dashes_its_gaps():
    frame = pd.DataFrame({"published": by_class("brier"), "difference": [-0.0005, 0, np.nan, 0]})
    html = paper.show(frame, decimals=3, caption="Brier").to_html()
    assert "−0.001" in html and "–" in html and "Brier" in html and "nan" not in html


# --- The prose ---


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
    rows = {("n", "published"): 1300.0, ("n", "difference"): -100.0}
    rows |= {("share", "published"): 0.25, ("share", "difference"): 0.00004}
    frame = pd.DataFrame([rows])
    html = paper.show(frame, {"n": 0, "share": 3}).to_html()
    assert ">1,300<" in html and ">−100<" in html
    assert ">0.250<" in html and ">0.000<" in html  # no sign before a zero left by rounding
