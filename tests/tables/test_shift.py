"""What runs say of images from elsewhere, on records written by hand."""

import runpy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from acrlls.config import PROJECT
from acrlls.tables import recorded, shift


class Run:
    """A record with two classes: the test images are called rightly, the others always ``a`` with
    0.9.
    """

    class_names = ("a", "b")

    def __init__(self, folder):
        self.folder = folder
        self.config = SimpleNamespace(variant="baseline")
        logit = np.log(9)
        outside = {"source": ["middle covered"] * 2 + [shift.UNSEEN] * 4, "name": list("uvwxyz")}
        outside["label"] = ["a", "b"] + ["Tuberculosis"] * 4
        outside = pd.DataFrame(outside | {"logit_a": logit, "logit_b": 0.0})
        outside.to_csv(folder / "outside.csv.gz", index=False)
        heat = {"name": ["p", "q"], "label": ["a", "b"], "predicted": ["a", "b"]}
        heat |= {"middle": [0.5, 0.7], "border": [0.2, 0.1], "corners": [0.1, 0.0]}
        pd.DataFrame(heat).to_csv(folder / "heat.csv.gz", index=False)

    def predictions(self, part):
        logits = np.array([[8.0, 0], [0, 8.0]])
        return SimpleNamespace(names=np.array(["p", "q"]), labels=np.array([0, 1]), logits=logits)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_only_runs_with_a_record_of_other_images_count(run, tmp_path):
    bare = SimpleNamespace(folder=tmp_path / "none")
    assert shift.recorded([run, bare]) == [run]


def test_accuracy_and_confidence_by_source(run):
    table = shift.by_source(shift.said_outside([run, run]))
    assert table.loc[("test", "Baseline"), "accuracy"] == 1
    assert table.loc[("middle covered", "Baseline"), "accuracy"] == 0.5
    assert table.loc[("middle covered", "Baseline"), "mean confidence"] == pytest.approx(0.9)
    assert shift.UNSEEN not in table.index.get_level_values(0)  # no class stands for it


def test_what_a_confidence_is_worth_is_counted_by_run_and_source():
    rows = [  # run, source, confidence, right
        *((0, "test", 0.98, True) for _ in range(9)),
        *((0, "test", 0.98, False), (0, "test", 0.8, True), (0, shift.OTHERS, 0.98, False)),
        *((1, "test", 1.0, True), (1, shift.OTHERS, 0.9, True), (1, shift.OTHERS, 0.2, False)),
    ]
    said = pd.DataFrame(rows, columns=["run", "source", "confidence", "right"]).assign(known=True)
    unseen = said[:1].assign(source=shift.UNSEEN, known=False, right=False)
    table = shift.worth(pd.concat([said, unseen, unseen.assign(source=shift.OTHERS)]))
    assert list(table.index) == ["above 0.97", "0.7 to 0.9", "up to 0.7"]  # no empty row
    own, others = table["test images"], table["other hospitals"]
    assert list(own.loc["above 0.97"]) == ["98.0 to 100.0", "90.0 to 100.0", "1 to 10"]
    assert list(others.loc["above 0.97"]) == ["98.0", "0.0", "1"]
    assert others["right, %"]["0.7 to 0.9"] == "100.0"  # as a range of Section 6, open below


def test_answers_are_wrong_as_often_as_announced_or_more(run):
    wrong, announced = shift.wrong_and_announced(shift.said_outside([run, run]))
    assert wrong["test images"] == {"Baseline": [0, 0]}
    assert wrong["middle covered"] == {"Baseline": [0.5, 0.5]}
    assert announced["middle covered"]["Baseline"] == pytest.approx([0.1, 0.1])
    assert shift.UNSEEN not in wrong  # no class stands for it


def test_without_the_middle_the_reference_is_guessing(run, monkeypatch):
    said = shift.said_outside([run])  # always a: all of one class, none of the other
    text = shift.without_the_middle(said, 2)
    assert "of 50 % (1 run); guessing would reach 50 %: not every run is shown to tell" in text
    for low, verdict in (
        (0.55, "something outside the middle tells the classes"),
        (0.49, "not every"),
    ):
        found = pd.DataFrame({"value": [0.6, 0.71], "low": [low, 0.7]})
        monkeypatch.setattr(shift, "balanced_accuracies", lambda _, found=found: found)
        text = shift.without_the_middle(said, 2)
        assert "60 % to 71 % (2 runs)" in text and verdict in text


def test_the_lower_end_of_a_balanced_accuracy_is_below_the_truth_in_39_of_40_draws():
    rng, shares, sizes, runs = np.random.default_rng(0), np.array([0.9, 0.3]), [200, 60], 800
    labels, run = np.tile(np.repeat(["a", "b"], sizes), runs), np.repeat(np.arange(runs), 260)
    right = rng.random(len(run)) < np.tile(np.repeat(shares, sizes), runs)
    said = {"run": run, "source": "middle covered", "label": labels, "right": right}
    found = shift.balanced_accuracies(pd.DataFrame(said))
    assert found.value.mean() == pytest.approx(0.6, abs=0.005)
    assert (found.low < 0.6).mean() == pytest.approx(0.975, abs=0.017)


def test_other_hospitals_come_with_their_intervals():
    labels = np.array(["COVID", "Normal", "Normal", "Other", "COVID", "Normal"])
    source, known = [shift.OTHERS] * 4 + ["test"] * 2, labels != "Other"
    said = []
    for run, covid in enumerate((1, 3)):
        called = np.array(["COVID"] * covid + ["Normal"] * (4 - covid) + [*labels[4:]])
        rows = {"run": run, "source": source, "label": labels, "known": known}
        rows |= {"right": called == labels, "confidence": [0.8] * 4 + [0.95] * 2}
        said.append(pd.DataFrame(rows))
    text = shift.other_hospitals(pd.concat(said))
    assert text.startswith("**Of 3 radiographs from other hospitals the networks classify")
    assert (
        "33 % to 100 % correctly, with a mean confidence of 80 %; always answering Normal would"
        in text
    )
    assert "right for 67 %** (2 runs)" in text
    assert "On their own test images they are right on 100 %, with a mean confidence of 95" in text
    said = shift.how_sure(pd.concat(said))
    assert "33 % (6 to 79 %) and 100 % (44 to 100 %) of" in said  # by Wilson's formula


def test_how_the_unseen_disease_is_called(run):
    said = shift.said_outside([run])
    assert shift.called(said, shift.UNSEEN, "ab").loc["Tuberculosis"].tolist() == [4, 1, 0]
    text = shift.sure_of_the_unseen(said)  # every unseen image has the lower confidence
    assert "100 %" in text and "; a is the commonest class (100 %)" in text
    assert "AUC of 1.00 to 1.00; guessing would reach 0.50 (1 run)." in text


def test_the_unseen_disease_is_told_by_the_least_and_the_most_of_the_runs():
    said = shift.said_outside(shift.recorded(shift.published("laptop")))
    told = []
    for _, rows in said.groupby("run"):
        new, own = (rows.confidence[rows.source == s].to_numpy() for s in (shift.UNSEEN, "test"))
        pairs = own[:, None] - new
        told.append([(new >= 0.9).mean(), (pairs > 0).mean() + (pairs == 0).mean() / 2])
    sure, area = np.transpose(told)
    text = shift.sure_of_the_unseen(said)
    assert f"{100 * sure.min():.0f} % to {100 * sure.max():.0f} % are given a class" in text
    assert f"an AUC of {area.min():.2f} to {area.max():.2f}; guessing" in text


def test_shares_of_heat_stand_under_those_of_heat_spread_evenly(run):
    table = shift.heat_shares([run])
    assert list(table.index) == ["spread evenly", "a", "b"]
    assert table.loc["b", "middle"] == 0.7


def test_the_areas_are_those_of_the_script_that_measured_the_heat():
    regions = runpy.run_path(str(PROJECT / "results" / "outside.py"))["regions"](800)
    assert {name: mask.mean() for name, mask in regions.items()} == pytest.approx(
        shift.AREAS, abs=0.01
    )


def test_accuracy_without_near_copies_is_that_of_the_other_images():
    runs = recorded.setting().of("baseline")
    table = shift.twins(runs)
    copies, rest, every = (table.loc["Baseline", g] for g in ("near copies", "others", "all"))
    assert copies.images + rest.images == every.images == 2437
    right = copies.images * copies.accuracy + rest.images * rest.accuracy
    assert right / every.images == pytest.approx(every.accuracy)
    text = shift.twins_sentence(table)
    gap = f"{100 * (rest.accuracy - every.accuracy):+.2f}".replace("-", "−")
    assert f"**{copies.images:.0f} of 2,437" in text and f"Baseline {gap}" in text
    drawn = np.random.default_rng(0).binomial(int(copies.images), copies.accuracy, 20_000)
    assert text.endswith(
        f"(± {1.96 * drawn.std() / copies.images:.2f} by chance, with so few images)."
    )


def test_the_page_on_shift_has_the_published_setting_alone():
    runs = shift.published("laptop")
    assert {run.config.variant for run in runs} == {"baseline", "single_dense", "proposed"}
    for run in runs:
        settings = run.config.class_weights, run.config.batchnorm, run.config.input_range
        assert settings == (True, "update", "0..1") and run.config.phase2_epochs


def test_sure_answers_are_counted_by_run_in_both_sources():
    rows = {"run": [0, 0, 0, 1, 1], "source": shift.OTHERS, "known": True}
    sure = {"right": [True, False, True, True, True], "confidence": [0.99, 0.98, 0.5, 0.98, 0.99]}
    own = {"run": [0, 1], "source": "test", "known": True, "right": True}
    every = pd.concat([pd.DataFrame(rows | sure), pd.DataFrame(own).assign(confidence=0.975)])
    text = shift.when_sure(every)
    there = "above 0.97, 50 % to 100 % are right on radiographs from other hospitals (2 answers a"
    assert there in text and "and 100 % on their own test images." in text
    near = (
        "0.96 to 0.98, 50 % are right there (2 answers of all runs) and 100 % on the test images."
    )
    assert text.endswith(near)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([0, 3], "more answers are wrong than the confidence says in 1 of 2 runs.**"),
        ([3, 3], "more answers are wrong than the confidence says.**"),
        ([0, 1], "no run is shown to be wrong more often than its confidence says.**"),
    ],
)
def test_wrong_answers_are_counted_beside_those_announced(wrong, said):
    """Of ten answers with 0.98 three or more are wrong by chance in 0.1 % of cases, one in 18 %."""
    rows = pd.concat(
        pd.DataFrame({"run": k, "right": np.arange(10) >= wrong[k], "predicted": list("ab") * 5})
        for k in range(2)
    ).assign(known=True, confidence=0.98, source="test")
    others = rows.assign(source=shift.OTHERS, right=False)
    below = rows.assign(confidence=0.96, right=False)  # not counted
    text = shift.surest(pd.concat([rows, others, below, rows.assign(known=False, right=False)]))
    assert text.startswith(f"**Above 0.97, {said} On the test images the confidence announces 0.2 ")
    counted = " to ".join(dict.fromkeys(map(str, wrong)))
    assert f"announces 0.2 wrong answers a run; {counted} are wrong, more than" in text
    assert f"in {sum(k == 3 for k in wrong)} of 2 runs" in text and "0.2; 10 are wrong" in text
    right = 100 - 10 * sum(-(-k // 2) for k in wrong)  # a has the first, third and fifth answer
    assert (
        f"lowest for a: {right} % of 10 answers of all runs on the test images, with a mean" in text
    )


def test_the_others_are_weighted_to_the_classes_of_the_near_copies():
    run = shift.published("laptop")[0]
    test = run.predictions("test")
    nearest = pd.read_csv(shift.RESULTS / "twins.csv.gz", index_col="name").correlation
    copied, right = nearest[test.names].to_numpy() >= shift.TWIN, test.classes == test.labels
    shares = [
        (right[~copied & (test.labels == k)].mean(), (test.labels[copied] == k).mean())
        for k in range(4)
    ]
    expected = sum(accuracy * share for accuracy, share in shares)
    table = shift.twins([run]).droplevel(0)
    assert table.accuracy[shift.LIKE] == pytest.approx(expected)


def test_the_heat_of_the_middle_is_told_beside_its_area():
    classes = pd.DataFrame({"middle": [0.5, 0.2], "border": 0.3, "corners": 0.1}, index=["a", "b"])
    even = pd.DataFrame(shift.AREAS, index=["spread evenly"])
    text = shift.heat_sentence(pd.concat([even, classes]), 3)
    assert "middle of the image, 30 % of its area, holds 35 % of the heat" in text
    assert "holds 20 % to 50 %, more than its area in 1 of 2 classes (3 runs" in text
