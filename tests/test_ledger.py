"""The ledger: every claim has a check or a reason, every check a claim, and a wrong digit changes a verdict."""

import dataclasses
import re
from fnmatch import fnmatchcase
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest

from acrlls import _facts, _noise, _reproduced, calibration, cli, ledger, paper, plots
from acrlls.config import PROJECT, UserError
from acrlls.ledger import CHECKS, CLAIMS, Facts, Ledger
from acrlls.paper import NUMBERS, PUBLISHED, STATEMENTS, Number

matplotlib.use("Agg")

TEXT = Path(__file__).parents[2] / "shared" / "paper" / "win-yao-acr-lls-mnetcal.txt"
FOLLOWS = [(key, name) for key, c in CLAIMS.items() for name in c.checks if CHECKS[name].way == "follows"]


def judged(key, name, **printed):
    """Outcome of a check of a claim, some numbers printed otherwise."""
    numbers = {**NUMBERS, **{k: dataclasses.replace(NUMBERS[k], printed=v) for k, v in printed.items()}}
    return Ledger(Facts(numbers=numbers))._judge(CLAIMS[key], CHECKS[name])


@pytest.fixture(scope="module")
def entries():
    """The ledger with few resamples."""
    return Ledger(Facts(resamples=100))


# --- Completeness -------------------------------------------------------------------------------------------


def test_every_claim_has_a_check_or_a_reason_and_every_check_a_claim():
    assert ledger.audit() == []
    assert len(CLAIMS) == len(NUMBERS) + len(STATEMENTS) > 200


def test_a_claim_without_a_check_and_a_check_without_a_claim_are_found():
    bare = dataclasses.replace(CLAIMS["share.Normal"], key="bare", checks=())
    odd = dataclasses.replace(CLAIMS["share.Normal"], key="odd", checks=("share_of_total", "by_magic"))
    idle = dataclasses.replace(CHECKS["reduction"], name="idle")
    found = ledger.audit({"bare": bare, "odd": odd}, {"share_of_total": CHECKS["share_of_total"], "idle": idle})
    assert found == [
        "claim bare has no check and no reason for having none",
        "check idle has no claim",
        "claim odd asks for by_magic, which is no check",
    ]


def test_every_pattern_of_the_data_matches_a_claim():
    patterns = [p for keys in PUBLISHED["checks"].values() for p in keys] + list(PUBLISHED["unchecked"])
    assert [p for p in patterns if not any(fnmatchcase(key, p) for key in CLAIMS)] == []


def numerals(text):
    """(place, numeral) of everything in the body of the paper that looks like a number and is not excepted."""
    body = text.split("\nREFERENCES")[0].split("Abstract—", 1)[1]
    place, roman, letter = "Abstract", "", ""
    for line in body.splitlines():
        table, part, sub = (
            re.match(p, line) for p in (r"TABLE ([IV]+):", r"([IV]+)\. [A-Z]{3}", r"([A-E])\. [A-Z]")
        )
        if part:
            roman, letter = part[1], ""
        if sub:
            letter = sub[1]
        if line.startswith("Algorithm 1:"):
            place = "Algorithm 1"
        elif table:
            place = f"Table {table[1]}"
        elif line and "\t" not in line and not (place == "Algorithm 1" and not line.startswith("Phase 1 (")):
            place = f"Section {roman}{letter and '-' + letter}" if roman else "Abstract"
        for pattern in PUBLISHED["not_claims"]:
            line = re.sub(pattern, " ", line)
        yield from ((place, n) for n in re.findall(r"\d[\d,]*(?:\.\d+)?%?", line.replace("\\%", "%").replace(", ", " , ")))


@pytest.mark.real
def test_every_numeral_of_the_paper_is_a_claim_or_is_excepted_with_a_reason():
    if not TEXT.is_file():
        pytest.skip(f"the text of the paper is not at {TEXT}")
    found = list(numerals(TEXT.read_text("utf-8")))
    claimed = {(place, n.printed) for n in NUMBERS.values() for place in n.where.split("; ")}
    as_fraction = {(place, p.removesuffix("%")) for place, p in claimed}
    missing = [pair for pair in found if pair not in claimed and pair not in as_fraction]
    assert missing == []
    # and the other way: a number that the data have, stands where they say
    words = {"4", "0"}  # printed as words
    printed = {(place, n.removesuffix("%")) for place, n in found}
    invented = {(place, p) for place, p in as_fraction if (place, p) not in printed and p not in words}
    assert invented == set()
    assert len(found) > 150


@pytest.mark.real
def test_every_statement_is_in_the_papers_words():
    if not TEXT.is_file():
        pytest.skip(f"the text of the paper is not at {TEXT}")
    plain = {"α": "alpha", "τ": "tau", "$": "", "\\alpha": "alpha", "\\tau": "tau", "’": "'"}
    text = TEXT.read_text("utf-8")
    for old, new in plain.items():
        text = text.replace(old, new)
    text = " ".join(text.split())
    for s in STATEMENTS.values():
        if s.key != "lls.interpretation":  # a column of Table II
            for part in s.quote.split(" … "):
                assert part in text, part


# --- Does it follow? ----------------------------------------------------------------------------------------

CONTRADICTIONS = {
    "share.Normal", "table_I.5.val_accuracy", "ece.reduction_up_to", "tuning.region", "lls.below_one",
    "lls.reduced_confidence", "ablation.single_higher", "method.favours_one", "method.minority",
}  # fmt: skip


def test_what_does_not_follow_is_what_a_reader_with_a_pencil_finds():
    found = {key for key, name in FOLLOWS if judged(key, name).verdict == "does not follow"}
    assert found == CONTRADICTIONS


def mutations(printed):
    """The number with one of its digits changed, the last digit first."""
    for i in reversed(range(len(printed))):
        if printed[i].isdigit():
            for step in (5, 1, 9):
                yield printed[:i] + str((int(printed[i]) + step) % 10) + printed[i + 1 :]


@pytest.mark.parametrize(
    ("key", "name"), [pair for pair in FOLLOWS if pair[0] in NUMBERS], ids=["-".join(p) for p in FOLLOWS if p[0] in NUMBERS]
)
def test_a_wrong_digit_changes_the_verdict_of_a_number(key, name):
    before = judged(key, name).verdict
    changed = [m for m in mutations(NUMBERS[key].printed) if judged(key, name, **{key: m}).verdict != before]
    assert changed


@pytest.mark.parametrize(
    ("key", "name", "printed"),
    [
        ("method.favours_one", "favours_one", {"acr.tau": "0.95"}),
        ("method.minority", "minority_worse", {"table_V.Baseline.COVID": "0.0948", "table_V.Baseline.Viral Pneumonia": "0.0938"}),
        ("conclusion.smallest", "smallest_class", {"images.Viral Pneumonia": "13,345"}),
        ("tuning.lowest_loss", "lowest_loss", {"table_I.1.val_loss": "0.3747"}),
        ("tuning.region", "best_region", {"table_I.3.tau": "0.25"}),
        ("tuning.alpha_beyond", "none_beyond", {"table_I.5.alpha": "0.20"}),
        ("lls.opacity_lowest", "lowest_scale", {"table_II.Lung Opacity.Phase 2": "0.8993"}),
        ("lls.below_one", "scales_below_one", {"table_II.Viral Pneumonia.Phase 1": "0.9940"}),
        ("lls.normal_above", "scales_above_one", {"table_II.Normal.Phase 1": "0.9365"}),
        ("lls.interpretation", "scales_in_words", {"table_II.COVID.Phase 2": "0.9859"}),
        ("lls.reduced_confidence", "scale_turns_confidence", {"lls.lowest": "1.0000"}),
        ("report.covid_recall", "extreme_of_report", {"table_III.COVID.Recall": "0.9642"}),
        ("report.opacity_recall", "extreme_of_report", {"table_III.Lung Opacity.Recall": "0.9893"}),
        ("report.viral_f1", "extreme_of_report", {"table_III.COVID.F1": "0.9789"}),
        ("report.viral_balanced", "balanced", {"table_III.Viral Pneumonia.Precision": "0.9705"}),
        ("report.auc", "above_bound", {"auc.Normal": "0.9782"}),
        ("report.viral_covid", "unpublished_cell", {"errors.viral_as_covid": "7"}),
        ("calibration.excellent", "below_threshold", {"table_V.Proposed.Normal": "0.0183"}),
        ("conclusion.well_calibrated", "below_threshold", {"table_V.Proposed.Normal": "0.0583"}),
        ("calibration.strongest", "strongest", {"table_V.Proposed.COVID": "0.0094"}),
        ("ablation.similar", "similar", {"table_IV.Single Dense.Accuracy": "93.99%"}),
        ("ablation.lowest", "lowest_everywhere", {"table_V.Baseline.COVID": "0.0018"}),
        ("ablation.single_higher", "higher_everywhere", {"table_V.Single Dense.Viral Pneumonia": "0.0043"}),
    ],
)
def test_a_wrong_number_changes_the_verdict_of_a_statement(key, name, printed):
    assert judged(key, name, **printed).verdict != judged(key, name).verdict


def test_statements_that_are_checked_by_the_paper_are_all_among_those_mutated_above():
    mark = test_a_wrong_number_changes_the_verdict_of_a_statement.pytestmark[0]
    mutated = {(key, name) for key, name, _ in mark.args[1]}
    # which matrix was meant, or which measure of balance, no other digit decides
    assert {pair for pair in FOLLOWS if pair[0] in STATEMENTS} - mutated == {
        ("tuning.balance", "best_balance"), ("report.mostly_normal", "mostly_normal")
    }  # fmt: skip


def test_most_missed_opacities_went_to_normal_only_because_normal_was_called_so_often():
    assert judged("report.mostly_normal", "mostly_normal").verdict == "follows"
    fewer = {"table_III.Normal.Precision": "0.9804", "table_III.COVID.Precision": "0.8952"}
    assert judged("report.mostly_normal", "mostly_normal", **fewer).verdict == "does not follow"


def test_numbers_that_contradict_each_other_are_a_verdict_and_no_crash():
    outcome = judged("table_III.COVID.F1", "whole_counts", **{"table_III.COVID.Recall": "0.9743"})
    assert outcome.verdict == "does not follow" and "0 whole numbers" in outcome.evidence


def test_rounding_is_interval_arithmetic():
    a, b = Number("a", "0.0024", "", ""), Number("b", "0.0048", "", "")
    low, high = _facts.image(lambda x, y: 1 - x / y, a, b)
    assert (low, high) == pytest.approx((1 - 0.00245 / 0.00475, 1 - 0.00235 / 0.00485))


# --- Do the recorded runs agree? ----------------------------------------------------------------------------


def test_what_is_measured_on_a_run_is_what_the_calibration_module_says(entries):
    run = entries.facts.run("proposed")
    test, found = run.predictions("test"), _reproduced.measured(entries.facts, run)
    p, y = test.probabilities, test.labels
    table = calibration.report(p, y, paper.CLASSES)
    for column in ("Precision", "Recall", "F1"):
        for row in (*paper.CLASSES, "Macro Avg", "Weighted Avg"):
            assert found.estimate[f"{column} {row}"] == pytest.approx(table.loc[row, column])
    metrics = {"AUC": calibration.classwise_auc, "Brier": calibration.classwise_brier, "ECE": calibration.classwise_ece}
    for name, metric in metrics.items():
        assert list(found.estimate[[f"{name} {c}" for c in paper.CLASSES]]) == pytest.approx(list(metric(p, y)))
    assert found.estimate["accuracy"] == pytest.approx(calibration.accuracy(p, y))
    inside = found[~found.index.str.startswith("ECE")]
    assert (inside.low <= inside.estimate).all() and (inside.estimate <= inside.high).all()


def test_a_repetition_on_as_many_images_strays_by_the_root_of_two():
    row = pd.Series({"estimate": 0.5, "low": 0.4, "high": 0.6})
    assert _reproduced._repetition(row, 100, 100) == pytest.approx((0.5 - 0.1 * 2**0.5, 0.5 + 0.1 * 2**0.5))
    assert _reproduced._repetition(row, 100, 1e12) == pytest.approx((0.4, 0.6))


def test_a_number_near_ours_is_reproduced_and_one_far_away_differs(entries):
    ours = _reproduced.measured(entries.facts, entries.facts.run("proposed")).loc["accuracy", "estimate"]
    for value, verdict in ((ours, "reproduced"), (ours - 0.1, "differs")):
        assert judged("accuracy.proposed", "run_accuracy", **{"accuracy.proposed": f"{value:.2%}"}).verdict == verdict


def test_a_setting_that_the_profile_of_the_paper_does_not_have_differs():
    assert judged("phase1.epochs", "setting").verdict == "not checkable"
    assert judged("phase1.epochs", "setting", **{"phase1.epochs": "40"}).verdict == "differs"


def test_a_variant_that_is_not_recorded_is_said_to_be_missing(entries):
    outcome = entries["table_IV.Single Dense.F1"].outcomes["run_macro_f1"]
    if entries.facts.run("single_dense") is None:
        assert outcome.verdict == "not checkable" and "single dense" in outcome.evidence


def test_a_folder_without_both_models_is_an_error_that_says_how_to_record_them():
    with pytest.raises(UserError, match="lacks baseline: `acrlls reproduce"):
        Facts(recorded="laptop-no-augmentation").runs  # noqa: B018


# --- Is it more than noise? ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ece", "verdict"),
    [("0.0990", "stands out from noise"), ("0.0050", "cannot be told from noise"),
     ("0.0000", "lower than perfect calibration would show")],
)  # fmt: skip
def test_an_ece_is_above_within_or_below_the_floor(monkeypatch, ece, verdict):
    # A floor that is high under every reading, so that a value can lie below it under all of them.
    rng = np.random.default_rng(0)
    draws = {(c, "Beta"): rng.normal(0.005, 0.0005, (2000, len(_noise.chance.BINNINGS))) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "floors", lambda facts: draws)
    monkeypatch.setattr(_noise, "shapes", lambda facts: {c: {"Beta": None} for c in paper.CLASSES})
    assert judged("table_V.Proposed.Normal", "ece_noise", **{"table_V.Proposed.Normal": ece}).verdict == verdict


def test_a_verdict_must_hold_under_every_common_reading(monkeypatch):
    rng, binnings = np.random.default_rng(0), _noise.chance.BINNINGS
    draws = {(c, "Beta"): rng.normal(0.005, 0.0005, (2000, len(binnings))) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "floors", lambda facts: draws)
    monkeypatch.setattr(_noise, "shapes", lambda facts: {c: {"Beta": None} for c in paper.CLASSES})
    draws["Normal", "Beta"][:, binnings.index(("mass", 20))] += 1
    high = {"table_V.Proposed.Normal": "0.0990"}
    assert judged("table_V.Proposed.Normal", "ece_noise", **high).verdict == "cannot be told from noise"
    draws["Normal", "Beta"][:, binnings.index(("mass", 20))] -= 1
    draws["Normal", "Beta"][:, binnings.index(("mass", 50))] += 1  # not in common use
    assert judged("table_V.Proposed.Normal", "ece_noise", **high).verdict == "stands out from noise"


def test_a_gap_stands_out_where_calibrated_models_never_differ_as_much(monkeypatch):
    rng = np.random.default_rng(0)
    draws = {(c, "Beta"): rng.normal(0, 0.002, (2000, len(_noise.COMMON))) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "gap_floors", lambda facts: draws)
    assert judged("ece_reduction.Normal", "gap_noise").verdict == "stands out from noise"
    near = {"table_V.Baseline.Normal": "0.0093"}
    assert judged("ece_reduction.Normal", "gap_noise", **near).verdict == "cannot be told from noise"
    assert judged("ablation.cause", "all_gap_noise").verdict == "stands out from noise"
    assert judged("ablation.lowest", "all_gap_noise").verdict == "cannot be told from noise"  # not in all classes


def test_a_larger_gain_in_accuracy_stands_out():
    assert judged("accuracy.gain", "accuracy_noise", **{"accuracy.baseline": "92.01%"}).verdict == "stands out from noise"


def test_the_lead_of_the_best_pair_and_the_changes_of_the_scales_are_judged_by_the_seeds():
    assert judged("tuning.lowest_loss", "loss_noise").verdict == "cannot be told from noise"
    assert judged("tuning.lowest_loss", "loss_noise", **{"table_I.1.val_loss": "0.1647"}).verdict == "stands out from noise"
    assert judged("lls.meaningful", "scale_noise").verdict == "cannot be told from noise"
    far = {f"table_II.{c}.Phase 2": "9.0000" for c in paper.CLASSES}
    assert judged("lls.meaningful", "scale_noise", **far).verdict == "stands out from noise"


# --- The ledger as a whole ----------------------------------------------------------------------------------


def test_the_heading_verdict_is_the_first_in_the_order_of_the_verdicts(entries):
    for entry in entries.values():
        assert entry.verdict == min(entry.verdicts, key=ledger.VERDICTS.index)
    entry = entries["accuracy.gain"]
    assert entry.by_way("follows") == "follows" and entry.by_way("noise") == entry.verdict
    assert entries["gradcam.relevant"].verdict == "not checkable"


def test_the_counts_add_up_and_every_outcome_has_a_verdict_and_evidence(entries):
    assert entries.counts.sum() == len(CLAIMS) and list(entries.counts.index) == list(ledger.VERDICTS)
    for entry in entries.values():
        for outcome in entry.outcomes.values():
            assert outcome.verdict in ledger.VERDICTS
            assert outcome.evidence.endswith(".") and "nan" not in outcome.evidence
    assert isinstance(entries.frame(), pd.DataFrame) and len(entries.frame()) == len(CLAIMS)


def test_every_check_states_its_question():
    for check in CHECKS.values():
        assert check.title.endswith("?"), check.name


def test_the_table_has_a_row_a_claim_with_its_verdict_and_its_evidence(entries):
    page = ledger.html(entries.values())
    assert page.count("<tr id=") == len(CLAIMS) == len(set(re.findall(r'<tr id="([^"]+)"', page)))
    row = re.search(r'<tr id="claim-share-normal".*?</tr>', page)[0]
    assert "does not follow" in row and "10,192 of 21,165" in row and '<th scope="row"' in row and "<details>" in row
    assert "<script" not in page and "http" not in page


def test_a_search_looks_into_claims_and_evidence(entries):
    assert [e.claim.key for e in entries.search("10,192", verdict="does not follow")] == ["share.Normal"]
    assert entries.search("no such thing") == []


# --- The command --------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """The command with few resamples."""
    monkeypatch.setattr(ledger, "Ledger", lambda: Ledger(Facts(resamples=20)))


def test_the_command_prints_the_ledger_within_a_hundred_columns(quick, capsys):
    assert cli.main(["claims", "table", "iii", "--evidence"]) == 0
    out = capsys.readouterr().out
    assert "table_III.COVID.Recall" in out and "529 / 543" in out
    assert max(map(len, out.splitlines())) <= 100


def test_the_command_fails_if_a_claim_has_no_check_or_a_check_no_claim(quick, capsys, monkeypatch):
    monkeypatch.setitem(CLAIMS, "share.Normal", dataclasses.replace(CLAIMS["share.Normal"], checks=()))
    assert cli.main(["claims", "share.Normal"]) == 1
    assert "share.Normal has no check" in capsys.readouterr().err


def test_an_unknown_verdict_is_a_mistake_in_the_command(capsys):
    assert cli.main(["claims", "--verdict", "true"]) == 2
    assert "known: does not follow" in capsys.readouterr().err


# --- The book -----------------------------------------------------------------------------------------------


def test_the_chapter_on_the_claims_links_to_rows_that_exist_and_to_every_contradiction():
    text = (PROJECT / "book" / "claims.md").read_text("utf-8")
    linked = set(re.findall(r"sections/10_ledger\.html#([\w-]+)", text))
    anchors = {ledger.anchor(key) for key in CLAIMS}
    assert len(anchors) == len(CLAIMS) and linked <= anchors
    assert {ledger.anchor(key) for key in CONTRADICTIONS} <= linked


def test_the_chapter_on_the_claims_quotes_numbers_as_they_are_printed():
    text = (PROJECT / "book" / "claims.md").read_text("utf-8").split("What it would take")[0].split("one by one")[1]
    text = re.sub(r":widths:.*|\d\d_\w+|Section \d|Phase \d|Fig\. \d|^\* - \d+", "", text, flags=re.MULTILINE)
    quoted = re.findall(r"\d[\d,]*(?:\.\d+)?(?:\s+%)?", text)
    printed = {n.printed for n in NUMBERS.values()}
    assert len(quoted) > 20
    assert [q for q in quoted if re.sub(r"\s+", "", q).rstrip(",") not in printed] == []


# --- The figures --------------------------------------------------------------------------------------------


def test_the_figure_of_the_floors_has_every_published_ece_as_a_line(entries):
    table = ledger.ece_tests(entries.facts)
    axes = plots.plot_ece_floors(table)
    drawn = sorted({line.get_ydata()[0] for ax in axes[0] for line in ax.lines if len(set(line.get_ydata())) == 1})
    assert drawn == sorted(set(paper.table("V").to_numpy().ravel()))
    plt.close("all")


def test_the_figure_of_the_gaps_marks_the_published_ones(entries):
    draws = {c: ledger.gap_floors(entries.facts)[c, "Beta"][:, 0] for c in paper.CLASSES}
    gaps = pd.DataFrame({"gap": [0.001, 0.002, 0.003, 0.004]}, list(paper.CLASSES))
    axes = plots.plot_gap_floors(draws, gaps)
    assert [ax.lines[0].get_xdata()[0] for ax in axes] == gaps.gap.to_list()
    plt.close("all")


def test_the_figure_of_mcnemar_has_our_runs_on_its_curve(entries):
    curve, ours = ledger.accuracy_curve(entries.facts, "accuracy.baseline")
    ax = plots.plot_mcnemar(curve, ours)
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() in "os"]
    assert marks == [(k, curve[k]) for k in ours.values()]
    plt.close("all")


def test_the_front_page_gets_the_count_of_each_verdict(entries):
    told = entries.summary()
    assert told.startswith(f"Of {len(CLAIMS)} claims")
    assert [f"{n} {verdict}" in told for verdict, n in entries.counts.items()] == [True] * len(ledger.VERDICTS)
    cells = nbformat.read(PROJECT / "notebooks" / "10_ledger.ipynb", as_version=4).cells
    assert ["claims.summary()" in c.source for c in cells if "finding" in c.metadata.get("tags", [])] == [True]
