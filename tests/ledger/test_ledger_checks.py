"""The checks: right on the paper's numbers, and another verdict where a number is wrong."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import CONTRADICTIONS
from sklearn.metrics import classification_report

from acrlls import calibration, paper
from acrlls.config import UserError, configure
from acrlls.ledger import CLAIMS, Facts, Ledger
from acrlls.ledger import facts as _facts
from acrlls.ledger import follows as _formula
from acrlls.ledger import noise as _noise
from acrlls.ledger import repetitions as _repetitions
from acrlls.ledger import reproduced as _reproduced
from acrlls.ledger import verdicts as _verdicts
from acrlls.ledger.ledger import MAIN, judge, way_of
from acrlls.paper import NUMBERS
from acrlls.tables import compare, recorded

ENDS = ("lowest", "highest")  # of an input image
FOLLOWS = [
    (key, name) for key, c in CLAIMS.items() for name in c.checks if way_of(name) == "follows"
]


def judged(key, name, **printed):
    """Outcome of a check of a claim, some numbers printed otherwise."""
    changed = {k: dataclasses.replace(NUMBERS[k], printed=v) for k, v in printed.items()}
    return judge(Facts(numbers=NUMBERS | changed, resamples=100), CLAIMS[key], name)


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
    ("key", "name"), [pair for pair in FOLLOWS if pair[0] in NUMBERS], ids="-".join
)
def test_a_wrong_digit_changes_the_verdict_of_a_number(key, name):
    before, digits = verdict_of(key, name), mutations(NUMBERS[key].printed)
    assert any(verdict_of(key, name, **{key: m}) != before for m in digits)


# What changes the verdict of a statement.  Of the others, no digit decides.
DECIDING = {
    "conclusion.smallest": {"images.Viral Pneumonia": "13,345"},
    "tuning.lowest_loss": {"table_I.1.val_loss": "0.3747"},
    "tuning.stable": {"grid.points": "5"},
    "tuning.alpha_beyond": {"table_I.5.alpha": "0.20"},
    "intro.during_training": {f"table_II.{c}.Phase 2": "1.0" for c in paper.CLASSES},
    "method.favours_one": {"acr.tau": "0.95"},
    "method.more_strongly": {"acr.tau": "0.40"},
    "method.no_tuning": {"grid.points": "1"},
    "lls.opacity_lowest": {"table_II.Lung Opacity.Phase 2": "0.8993"},
    "lls.below_one": {"table_II.Viral Pneumonia.Phase 1": "0.9940"},
    "lls.normal_above": {"table_II.Normal.Phase 1": "0.9365"},
    "lls.interpretation": {"table_II.COVID.Phase 2": "0.9859"},
    "lls.reduced_confidence": {"lls.lowest": "1.0000"},
    "report.covid_recall": {"table_III.COVID.Recall": "0.9642"},
    "report.opacity_recall": {"table_III.Lung Opacity.Recall": "0.9893"},
    "report.viral_f1": {"table_III.COVID.F1": "0.9789"},
    "report.viral_balanced": {"table_III.Viral Pneumonia.Precision": "0.9705"},
    "report.auc": {"auc.Normal": "0.9782"},
    "report.viral_covid": {"errors.viral_as_covid": "7"},
    "report.imbalance": {"table_III.Viral Pneumonia.Recall": "0.8704"},
    "report.mostly_normal": {
        "table_III.Normal.Precision": "0.9804",
        "table_III.COVID.Precision": "0.8952",
    },
    "calibration.classes": {"head.classes": "5"},
    "calibration.excellent": {"table_V.Proposed.Normal": "0.0183"},
    "calibration.strongest": {"table_V.Proposed.COVID": "0.0094"},
    "conclusion.well_calibrated": {"table_V.Proposed.Normal": "0.0583"},
    "ablation.similar": {"table_IV.Single Dense.Accuracy": "93.99%"},
    "ablation.lowest": {"table_V.Baseline.COVID": "0.0018"},
    "ablation.single_higher": {"table_V.Single Dense.Viral Pneumonia": "0.0043"},
}
UNDECIDED = {"tuning.region", "tuning.balance", "method.minority"}
BY_READING = {"method.entropy", "intro.predicted_class"}  # two passages that say different things


@pytest.mark.parametrize("key", DECIDING)
def test_a_wrong_number_changes_the_verdict_of_a_statement(key):
    assert verdict_of(key, "holds", **DECIDING[key]) != verdict_of(key, "holds")


def test_statements_that_are_checked_by_the_paper_are_all_named_above():
    statements = {key for key, _ in FOLLOWS if key not in NUMBERS}
    assert statements == set(DECIDING) | UNDECIDED | BY_READING
    assert {verdict_of(key, "holds") for key in UNDECIDED} == {"not checkable"}


def test_numbers_that_contradict_each_other_are_a_verdict_and_no_crash():
    outcome = judged("table_III.COVID.F1", "equals", **{"table_III.COVID.Recall": "0.9743"})
    assert outcome.verdict == "does not follow" and "0 whole numbers" in outcome.evidence


def test_a_formula_is_computed_shown_and_taken_over_all_roundings():
    facts, one = Facts(), "1 - [table_V.Proposed.COVID] / [table_V.Baseline.COVID]"
    assert _formula.value(facts, one) == pytest.approx(0.5)
    assert _formula.shown(facts, one) == "1 − 0.0024 / 0.0048"
    ends = 1 - 0.00245 / 0.00475, 1 - 0.00235 / 0.00485
    assert _formula.reach(facts, one) == pytest.approx(ends)
    assert _formula.reach(facts, "sum([images.*])") == (21165, 21165)  # counts are exact
    told = _formula.sentence(facts, "Of {[images.*]} all are {sum([images.*]):.1e}")
    assert told.startswith("Of COVID 3,616, Lung") and told.endswith("all are 2.1e+04")


def test_a_formula_sees_nothing_but_numbers():
    with pytest.raises(NameError):
        _formula.value(Facts(), "open('x')")
    with pytest.raises(KeyError):
        _formula.value(Facts(), "[images.Tuberculosis]")


# --- Do the recorded runs agree? ---


def test_statistics_of_repetitions_are_those_of_the_calibration_module(entries):
    test = entries.facts.runs_of("Proposed")[0][0].predictions("test")
    p, y = np.round(test.probabilities, 3), test.labels  # some scores are equal, some on an edge
    p /= p.sum(axis=1, keepdims=True)
    (times,) = drawn = np.random.default_rng(0).integers(0, 3, (1, len(y)))
    found = _repetitions.statistics(p, y, drawn)
    ece, areas = (each(p, y, drawn) for each in (compare.classwise_ece, compare.weighted_auc))
    p, y = np.repeat(p, times, axis=0), np.repeat(y, times)
    names = {"target_names": paper.CLASSES, "output_dict": True}
    theirs = classification_report(y, p.argmax(axis=1), **names)
    averages = {"Macro Avg": "macro avg", "Weighted Avg": "weighted avg"}
    for column, key in (("Precision", "precision"), ("Recall", "recall"), ("F1", "f1-score")):
        for row in (*paper.CLASSES, *averages):
            expected = theirs[averages.get(row, row)][key]
            assert found[f"{column} {row}"][0] == pytest.approx(expected, rel=1e-6)
    brier = [found[f"Brier {c}"][0] for c in paper.CLASSES]
    assert brier == pytest.approx(list(calibration.classwise_brier(p, y)), rel=1e-5)
    assert ece[0] == pytest.approx(calibration.classwise_ece(p, y, 15))
    assert areas[0] == pytest.approx(calibration.classwise_auc(p, y))


def test_images_of_a_repetition_are_as_many_of_each_class_as_the_paper_tested(entries):
    y = entries.facts.runs_of("Proposed")[0][0].predictions("test").labels
    drawn = _repetitions.drawn_images(entries.facts, tuple(y))
    for k, c in enumerate(paper.CLASSES):
        size = entries.facts.value(f"table_III.{c}.Support")
        assert (drawn[:, :, y == k].sum(axis=-1) == size).all()
    once, twice = drawn.var(axis=(1, 2))
    assert twice > 1.3 * once  # drawn from a sample of ours, which is drawn itself


def test_repetitions_have_the_published_counts_and_are_paired_between_models(entries):
    facts = entries.facts
    drawn = _repetitions.repetitions(facts, "Proposed", "Baseline")
    share = [facts.value(f"table_III.{c}.Support") for c in paper.CLASSES]
    recalls = drawn[[f"Recall {c}" for c in paper.CLASSES]].to_numpy()
    assert drawn.accuracy.to_numpy() == pytest.approx(recalls @ share / sum(share))
    other = _repetitions.repetitions(facts, "Baseline", "Proposed")
    paired, apart = (drawn.accuracy - other.accuracy).std(), np.hypot(drawn.std(), other.std())
    assert paired < apart.accuracy


def test_the_spread_of_an_observed_ece_lies_above_the_true_error():
    """A repetition observes the sampling noise of an ECE as well: it is never negative."""
    drawn = _repetitions.repetitions(Facts(resamples=50), "Proposed")
    assert (drawn[[f"ECE {c}" for c in paper.CLASSES]] > 0).all(axis=None)


def test_a_number_near_ours_is_reproduced_and_one_far_away_differs(entries):
    drawn = _repetitions.repetitions(entries.facts, "Proposed")
    for value, verdict in ((drawn.accuracy.median(), "reproduced"), (0.5, "differs")):
        printed = {"table_IV.Proposed.Accuracy": f"{value:.2%}"}
        assert verdict_of("table_IV.Proposed.Accuracy", "measure", **printed) == verdict


@pytest.mark.parametrize(
    ("inner", "outer", "verdict", "same"),
    [
        ((-0.01, 0.01), (-0.02, 0.02), "compatible", False),
        ((0.002, 0.022), (-0.01, 0.03), "compatible", False),
        ((0.002, 0.022), (0.001, 0.03), "reproduced", False),
        ((0.015, 0.022), (0.001, 0.03), "too few seeds to tell", False),
        ((0.48, 0.49), (0.47, 0.51), "differs", True),
        ((-0.03, -0.02), (-0.04, -0.01), "differs", False),
    ],
)
def test_a_number_is_placed_among_repetitions_of_ours_and_of_another_seed(
    inner, outer, verdict, same
):
    number = NUMBERS["accuracy.gain"]
    assert 0.002 < number.value < 0.015
    found, text = _reproduced.placed(number, inner, outer, 0, "Ours.")
    assert (found, "same" in text) == (verdict, same)


@pytest.mark.parametrize("images", [0.1, 1.0])
def test_a_run_with_another_seed_lies_where_it_is_said_to_in_95_percent_of_cases(images):
    """Normal spread of seeds and images; the middle of what three runs give holds far fewer."""
    rng, hits, naive, studies = np.random.default_rng(0), 0, 0, 800
    for new in rng.normal(0, np.hypot(1, images), studies):
        runs = rng.normal(size=3)
        drawn = pd.Series(np.tile(runs, 100) + rng.normal(0, images, 300))
        low, high = _repetitions.of_another_seed(drawn, [0, 1, 2])
        hits += low <= new <= high
        naive += drawn.quantile(0.025) <= new <= drawn.quantile(0.975)
    assert 0.93 < hits / studies < 0.995
    assert naive < 0.9 * studies


def test_where_one_seed_is_recorded_another_may_lie_anywhere():
    drawn = pd.Series([1.0, 2.0, 1.1, 2.1])
    assert np.isinf(_repetitions.of_another_seed(drawn, [3, 3])).all()
    assert np.isfinite(_repetitions.of_another_seed(drawn, [3, 4])).all()


def test_a_scale_whose_interval_holds_one_is_compatible(entries):
    outcomes = [
        entries[f"table_II.{c}.Phase {k}"].outcomes["scale"] for c in paper.CLASSES for k in (1, 2)
    ]
    for o in outcomes:
        ends = re.search(r"would fall into ([\d.]+) to ([\d.]+?)\.?(?: |$)", o.evidence)
        low, high = map(float, ends.groups())
        assert o.verdict != "reproduced" or not low <= 1 <= high
        assert o.verdict != "compatible" or low <= 1 <= high


def test_the_profile_of_the_paper_makes_its_published_choices():
    c = configure("paper")
    ours = {f"image.{end}": float(c.input_range.split("..")[k]) for k, end in enumerate(ENDS)}
    for key in NUMBERS:
        part, _, name = key.partition(".")
        if part in ("phase1", "phase2", "augmentation", "acr", "image"):
            found = getattr(c, name, getattr(c, key.replace(".", "_"), None))
            ours |= {key: found} if found is not None else {}
    for part, each in (("alpha", c.grid_alpha), ("tau", c.grid_tau)):
        ours |= {f"grid.{part}.{k}": value for k, value in enumerate(each, start=1)}
    ours |= {"grid.epochs": c.grid_epochs, "grid.patience": c.grid_patience}
    ours |= {"split.train_share": c.train_fraction}
    assert len(ours) >= 24 and [k for k, v in ours.items() if not NUMBERS[k].agrees(v)] == []


def test_without_a_record_the_arithmetic_is_still_judged_and_the_rest_says_what_is_missing():
    facts = Facts(recorded="laptop-no-augmentation", resamples=20)
    with pytest.raises(UserError, match="no run of Proposed as published .*`acrlls reproduce"):
        facts.runs_of("Proposed")
    entry = Ledger(facts)["table_IV.Proposed.Accuracy"]
    assert [o.verdict for o in entry.outcomes.values()] == ["follows", "not checkable"]


def test_runs_are_chosen_by_their_settings_and_seeds_are_counted(entries):
    for pair in entries.facts.runs_of("Baseline", "Proposed"):
        assert len({run.folder.parent for run in pair}) == 1
        for run in pair:
            c = run.config
            assert c.class_weights and c.batchnorm == "update" and c.augment and c.phase2_epochs
    seeds = [run.config.seed for (run,) in entries.facts.heads]
    assert len(seeds) == len(set(seeds))
    ((run,), *_) = entries.facts.heads
    other = dataclasses.replace(run, config=run.config.replace(seed=run.config.seed + 1))
    assert _facts.how_many([(run,)]) == "one seed"
    assert _facts.how_many([(run,), (other,)]) == "2 seeds"
    assert _facts.how_many([(run, run), (run, run)]) == "2 runs of one seed"
    # a run that repeats a seed adds nothing to a spread over seeds
    assert _facts.one_a_seed([(run, run), (run, other), (other, run)]) == [
        (run, other),
        (other, run),
    ]


# --- Sentences and verdicts are of one table ---


def gaps(shown):
    gap = np.array([*shown, np.mean(shown)]) / 100
    columns = {"gap": gap, "least": gap, "greatest": gap, "p": 0.01, "shown": [*shown, 0]}
    return pd.DataFrame(columns, index=[*paper.CLASSES, "mean"])


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        ((1, 1, 1, 1), "reproduced"),
        ((1, 0, 1, 1), "cannot be told from noise"),
        ((1, -1, 1, 1), "differs"),
        ((-1, -1, -1, -1), "differs"),
    ],
)
def test_the_sentence_on_two_models_names_the_classes_of_its_table(shown, verdict):
    table = gaps(shown)
    told = _reproduced.tell_gaps(table, "A", "B", "one seed")
    up, down = told.split("higher in ")[1].split(" and lower in ")
    for text, sign in ((up, 1), (down, -1)):
        named = [] if text == "no class" else text.split(", ")
        assert named == [c for c, s in zip(paper.CLASSES, shown, strict=True) if s == sign]
    assert _reproduced.verdict_of(table.shown.drop("mean")) == verdict
    assert f"{table.gap['mean']:+.4f}".replace("-", "−") in told
    assert " is 0.0000 (p" in _reproduced.tell_gaps(table.assign(gap=-1e-9), "A", "B", "one seed")


@pytest.mark.parametrize(
    ("ends", "words", "verdict"),
    [
        ((-0.2, -0.1), "better than", "differs"),
        ((0.1, 0.2), "worse than", "reproduced"),
        ((-0.1, 0.2), "is not shown to", "cannot be told from noise"),
    ],
)
def test_the_sentence_on_a_step_after_training_has_the_sign_of_its_interval(
    monkeypatch, ends, words, verdict
):
    row = {"difference": np.mean(ends), "low": ends[0], "high": ends[1], "p": 0.5}
    found = compare.Difference(pd.DataFrame([row] * 4, index=list(compare.MEASURES)), 1, 1)
    monkeypatch.setattr(_reproduced.compare, "compare", lambda *_, **__: found)
    outcome = judged("abstract.hard_to_tune", "no_better")
    assert outcome.verdict == verdict and words in outcome.evidence


@pytest.mark.parametrize(
    "own, paper, verdict",
    [
        ([1, 1], [1, 1], _verdicts.REPRODUCED),
        ([1, -1], [0, -1], _verdicts.DIFFERS),
        ([1, 0], [0, 0], _verdicts.NOISE),
        ([1, 1], [1, 0], _verdicts.DEPENDS),
        ([-1, 0], [1, 1], _verdicts.DEPENDS),
    ],
)
def test_the_verdict_on_all_classes_depends_on_the_mix_where_the_mixes_differ(own, paper, verdict):
    assert _reproduced.verdict_of(own, paper) == verdict


@pytest.mark.parametrize("mix", ["own", "paper"])
def test_gaps_are_those_of_the_first_model_over_the_second(entries, mix):
    table = _reproduced.ece_gaps(entries.facts, "Single Dense", "Proposed", mix)
    pairs = entries.facts.runs_of("Single Dense", "Proposed")
    weights = recorded.mix_weights(pairs[0][0], mix)
    tests = [[run.predictions("test") for run in two] for two in pairs]
    ece = [
        [compare.classwise_ece(t.probabilities, t.labels, weights) for t in two] for two in tests
    ]
    gaps = [one - two for one, two in ece]
    np.testing.assert_allclose(table.gap.iloc[:-1], np.mean(gaps, axis=0), atol=1e-12)
    assert table.least["mean"] == pytest.approx(np.min(np.mean(gaps, axis=1)))


def test_a_model_differs_in_nothing_from_itself(entries):
    table = _reproduced.ece_gaps(entries.facts, "Proposed", "Proposed")
    assert (table.gap == 0).all() and (table.shown == 0).all()


# --- Is it more than noise? ---


def given_floors(monkeypatch):
    """A floor so high under every reading that a value can lie below it under all of them."""
    rng, size = np.random.default_rng(0), (2000, len(_noise.BINNINGS))
    draws = {(c, "Beta"): rng.normal(0.005, 0.0005, size) for c in paper.CLASSES}
    draws["sum", "Beta"] = sum(draws.values())
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
    printed = {"table_V.Proposed.Normal": ece}
    assert verdict_of("table_V.Proposed.Normal", "ece_noise", **printed) == verdict


def test_a_verdict_that_does_not_hold_under_every_reading_depends_on_it(monkeypatch):
    given_floors(monkeypatch)["Normal", "Beta"][:, 5] += 1
    outcome = judged(
        "table_V.Proposed.Normal", "ece_noise", **{"table_V.Proposed.Normal": "0.0990"}
    )
    assert outcome.verdict == "depends on the reading"
    assert "lower than sampling noise explains in 1 of 12 readings" in outcome.evidence
    assert outcome.evidence.split("higher in ")[1].startswith("11.")
    assert "a Beta distribution, p after Holm is " in outcome.evidence


def test_four_values_that_are_each_within_noise_may_jointly_lie_below_it(monkeypatch):
    given_floors(monkeypatch)
    low = {f"table_V.Proposed.{c}": "0.0042" for c in paper.CLASSES}
    each = {verdict_of(key, "ece_noise", **low) for key in low}
    joint = judged("calibration.excellent", "ece_noise", **low)
    assert each == {"cannot be told from noise"}
    assert joint.verdict == "lower than perfect calibration would show"
    assert "sum to 0.0168" in joint.evidence


def test_the_sum_of_the_floors_has_the_floors_of_the_classes_in_another_order(entries):
    floors = _noise.floors(entries.facts)
    for shape in ("Beta", "two groups"):
        mean = sum(floors[c, shape].mean(axis=0) for c in paper.CLASSES)
        assert floors["sum", shape].mean(axis=0) == pytest.approx(mean)


def test_a_gap_stands_out_where_calibrated_models_never_differ_as_much(monkeypatch):
    rng, size = np.random.default_rng(0), (_noise.chance.ALIKE, 2000, len(_noise.BINNINGS))
    errors = {(c, "Beta"): rng.normal(0, 0.002 / np.sqrt(2), size) for c in paper.CLASSES}
    monkeypatch.setattr(_noise, "simulated", lambda facts: errors)
    assert verdict_of("ece_reduction.Normal", "gap_noise") == "stands out from noise"
    near = {"table_V.Baseline.Normal": "0.0093"}
    assert verdict_of("ece_reduction.Normal", "gap_noise", **near) == "cannot be told from noise"
    assert verdict_of("ablation.cause", "gap_noise") == "stands out from noise"
    # not in all classes
    assert verdict_of("ablation.lowest", "gap_noise") == "cannot be told from noise"


@pytest.mark.parametrize(
    "p, resamples, shown", [(0.045, 1000, False), (0.02, 1000, True), (0.045, 100_000, True)]
)
def test_a_gap_stands_out_only_beyond_the_error_of_the_simulation(p, resamples, shown, monkeypatch):
    monkeypatch.setattr(_noise, "gap_tests", lambda facts: pd.Series([p]))
    assert _noise.stand_out(Facts(resamples=resamples)).tolist() == [shown]


def test_a_larger_gain_in_accuracy_stands_out():
    larger = {"accuracy.baseline": "92.01%"}
    assert verdict_of("accuracy.gain", "accuracy_noise", **larger) == "stands out from noise"


def test_the_lead_of_the_best_pair_and_the_changes_of_the_scales_are_judged_by_the_seeds():
    for key, far in (
        ("tuning.lowest_loss", {"table_I.1.val_loss": "0.0647"}),
        ("lls.meaningful", {f"table_II.{c}.Phase 2": "9.0000" for c in paper.CLASSES}),
    ):
        assert verdict_of(key, "exceeds_seeds") == "cannot be told from noise"
        assert verdict_of(key, "exceeds_seeds", **far) == "stands out from noise"
    one = {"table_II.COVID.Phase 2": "9.0000", "table_II.Normal.Phase 2": "9.0000"}
    one |= {f"table_II.{c}.Phase 1": "1.0000" for c in paper.CLASSES}
    one |= {f"table_II.{c}.Phase 2": "1.0000" for c in ("Lung Opacity", "Viral Pneumonia")}
    assert (
        "; 2 of 4 changes are larger." in judged("lls.meaningful", "exceeds_seeds", **one).evidence
    )


@pytest.mark.thorough
def test_verdicts_do_not_depend_on_the_seed_of_the_simulations():
    one, other = (Ledger(Facts(seed=seed)) for seed in (0, 1))
    verdicts = [
        {(k, n): o.verdict for k, e in each.items() for n, o in e.outcomes.items()}
        for each in (one, other)
    ]
    assert {key for key, _ in verdicts[0]} >= set(MAIN)
    apart = {check for check, verdict in verdicts[0].items() if verdict != verdicts[1][check]}
    assert not apart


@pytest.mark.parametrize(
    ("others", "verdict"),
    [(0.5, "reproduced"), (0.89, "cannot be told from noise"), (1.3, "differs")],
)
def test_a_setting_is_better_where_the_interval_of_the_difference_says_so(
    monkeypatch, others, verdict
):
    found = iter([(0.9, 0.88, 0.92), (others, others - 0.02, others + 0.02)])
    monkeypatch.setattr(_reproduced.beside, "estimate", lambda *_: [[0, x] for x in next(found)])
    outcome = judged("report.imbalance", "better_than")
    low, high = 0.9 - others - 0.02 * np.sqrt(2), 0.9 - others + 0.02 * np.sqrt(2)
    assert outcome.verdict == verdict
    assert f"{low:+.4f} to {high:+.4f}".replace("-", "−") in outcome.evidence


@pytest.mark.parametrize(
    ("claim", "levels", "verdict"),
    [
        ("report.auc", [0.99, 0.991, 0.992], "reproduced"),  # 0.98 and more
        ("report.auc", [0.96, 0.97, 0.99], "too few seeds to tell"),
        ("report.auc", [0.90, 0.901, 0.902], "differs"),
        ("calibration.excellent", [0.002, 0.003, 0.0031], "reproduced"),  # below 0.01
        ("calibration.excellent", [0.009, 0.012, 0.03], "too few seeds to tell"),
        ("calibration.excellent", [0.05, 0.051, 0.052], "differs"),
        ("conclusion.well_calibrated", [0.04, 0.041, 0.042], "reproduced"),  # below 0.05
    ],
)
def test_every_class_lies_beyond_a_bound_only_where_repetitions_do(
    monkeypatch, claim, levels, verdict
):
    runs = [(SimpleNamespace(config=SimpleNamespace(seed=k)),) for k in range(3)]
    monkeypatch.setattr(Facts, "runs_of", lambda *_, **__: runs)
    of = "AUC" if claim == "report.auc" else "ECE"
    drawn = pd.DataFrame({f"{of} {c}": np.tile(levels, 50) for c in paper.CLASSES})
    best = levels[-1] if of == "AUC" else levels[0]
    drawn[f"{of} COVID"] = np.tile([best - 1e-4, best, best + 1e-4], 50)  # one class is no excuse
    monkeypatch.setattr(_reproduced, "repetitions", lambda *_: drawn)
    outcome = judged(claim, "every_class")
    assert outcome.verdict == verdict
    low, high = np.quantile(np.tile(levels, 50), [0.025, 0.975])
    near = f"above COVID {best - 1e-4:.4f}, Lung Opacity {low:.4f}"
    if of == "ECE":
        near = f"below COVID {best + 1e-4:.4f}, Lung Opacity {high:.4f}"
    assert near in outcome.evidence


def test_areas_of_a_repetition_are_of_the_run_that_its_number_says(entries):
    facts = entries.facts
    drawn, runs = _repetitions.repetitions(facts, "Proposed"), facts.runs_of("Proposed")
    assert list(drawn.index) == list(range(len(drawn)))
    drawn = drawn[[f"AUC {c}" for c in paper.CLASSES]]
    for k, (run,) in enumerate(runs):
        test, weights = run.predictions("test"), recorded.mix_weights(run, "paper")
        ours = compare.weighted_auc(test.probabilities, test.labels, weights)
        each = drawn[drawn.index % len(runs) == k]
        off = 4 * each.std() / np.sqrt(len(each))
        assert (np.abs(each.mean() - ours) < off).all()


@pytest.mark.parametrize(
    ("unsure", "verdict"), [(True, _verdicts.TOO_FEW), (False, _verdicts.NOISE)]
)
def test_a_difference_that_seeds_alone_stand_against_needs_more_of_them(
    monkeypatch, unsure, verdict
):
    rows = {"gap": 0.01, "least": 0.0, "greatest": 0.02, "p": 0.01, "shown": 0, "unsure": unsure}
    table = pd.DataFrame(rows, index=[*paper.CLASSES, "mean"])
    monkeypatch.setattr(_reproduced, "ece_gaps", lambda *_: table)
    assert _reproduced.higher_ece(Facts(), None, [["Baseline", "Proposed"]])[0] == verdict


def test_repetitions_of_an_ece_spread_as_ours_drawn_again_and_lie_where_ours_do():
    facts, rng, c = Facts(resamples=200), np.random.default_rng(0), 1
    drawn = _repetitions.repetitions(facts, "Proposed")[f"ECE {paper.CLASSES[c]}"]
    runs = [run for (run,) in facts.runs_of("Proposed")]
    test, sizes = runs[0].predictions("test"), paper.table("III").Support
    members = [np.flatnonzero(test.labels == k) for k in range(4)]

    def ece(again):
        rows = [
            rng.choice(rng.choice(own, len(own)) if again else own, int(sizes[name]))
            for name, own in zip(paper.CLASSES, members, strict=True)
        ]
        rows = np.concatenate(rows)
        return calibration.classwise_ece(test.probabilities[rows], test.labels[rows])[c]

    first = drawn[drawn.index % len(runs) == 0]
    once, twice = (np.array([ece(again) for _ in range(200)]) for again in (False, True))
    assert first.mean() == pytest.approx(once.mean(), abs=3e-3)
    assert first.std() == pytest.approx(twice.std(), rel=0.2)
    assert first.std() > 1.2 * once.std()
