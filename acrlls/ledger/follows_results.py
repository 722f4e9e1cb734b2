"""Checks of the paper's results by its own numbers, Sections IV-B to IV-D.  Internal to ``ledger``.

Rounding is treated as in ``_follows``.
"""

from __future__ import annotations

import numpy as np

from acrlls.ledger.facts import (
    CONTRARY,
    UNCHECKABLE,
    Claim,
    Facts,
    Outcome,
    check,
    image,
    listed,
    meets,
    verdict,
)
from acrlls.paper import paper
from acrlls.paper.paper import CLASSES

follows = check("follows")


# --- Section IV-B and Table III: classification -------------------------------------------------------------


@follows
def whole_counts(claim: Claim, facts: Facts) -> Outcome:
    """Does the cell follow from the whole numbers behind precision, recall and support?"""
    m = facts.margins
    scores = {
        "Precision": m.correct / m.predicted,
        "Recall": m.correct / m.support,
        "F1": 2 * m.correct / (m.support + m.predicted),
    }
    values = scores[claim.column]
    parts = {
        "Precision": lambda r: f"{r.correct:,} / {r.predicted:,}",
        "Recall": lambda r: f"{r.correct:,} / {r.support:,}",
        "F1": lambda r: f"2 × {r.correct:,} / ({r.support:,} + {r.predicted:,})",
    }
    if claim.row == "Accuracy":
        value, text = (
            m.correct.sum() / m.support.sum(),
            f"{m.correct.sum():,} / {m.support.sum():,}",
        )
    elif claim.row == "Macro Avg":
        value, text = values.mean(), f"({' + '.join(f'{v:.5f}' for v in values)}) / {len(values)}"
    elif claim.row == "Weighted Avg":
        value = np.average(values, weights=m.support)
        terms = (f"{k:,} × {v:.5f}" for k, v in zip(m.support, values, strict=True))
        text = f"({' + '.join(terms)}) / {m.support.sum():,}"
    else:
        value, text = values[claim.row], parts[claim.column](m.loc[claim.row])
    return Outcome(verdict(facts.numbers[claim.key].agrees(value)), f"{text} = {value:.5f}.")


@follows
def whole_test_images(claim: Claim, facts: Facts) -> Outcome:
    """Is the accuracy a whole number of test images?"""
    n, k = int(facts.value("split.test")), facts.correct(claim.key)
    return Outcome(verdict(True), f"{k:,} of {n:,} is {k / n:.3%}.")


SAME = {
    "accuracy.baseline": ["table_IV.Baseline.Accuracy"],
    "accuracy.proposed": ["table_IV.Proposed.Accuracy", "table_III.Accuracy.F1"],
    "recall.covid": ["table_III.COVID.Recall"],
    "recall.lung_opacity": ["table_III.Lung Opacity.Recall"],
    "recall.normal": ["table_III.Normal.Recall"],
    "recall.viral": ["table_III.Viral Pneumonia.Recall", "table_III.Viral Pneumonia.Precision"],
    "precision.lung_opacity": ["table_III.Lung Opacity.Precision"],
    "table_IV.Proposed.Accuracy": ["table_III.Accuracy.F1"],
    "table_IV.Proposed.F1": ["table_III.Macro Avg.F1"],
    **{f"ece.{c}": [f"table_V.Proposed.{c}"] for c in CLASSES},
}


@follows
def same_as_table(claim: Claim, facts: Facts) -> Outcome:
    """Does the table have the same number?"""
    others = [facts.numbers[key] for key in SAME[claim.key]]
    holds = all(meets(facts.numbers[claim.key], *image(lambda x: x, other)) for other in others)
    return Outcome(
        verdict(holds), "; ".join(f"{o.where} has {o.printed} ({o.what})" for o in others) + "."
    )


@follows
def missed_images(claim: Claim, facts: Facts) -> Outcome:
    """Is it the number of images of the class that recall and support leave?"""
    row = facts.margins.loc[
        {"errors.covid": "COVID", "errors.lung_opacity": "Lung Opacity"}[claim.key]
    ]
    return Outcome(
        verdict(row.missed == facts.value(claim.key)),
        f"{row.support:,} − {row.correct:,} = {row.missed:,}.",
    )


@follows
def difference_of_accuracies(claim: Claim, facts: Facts) -> Outcome:
    """Is the gain the difference of the two accuracies, and in which unit?"""
    before = facts.correct(
        {"accuracy.phase_gain": "accuracy.phase1", "accuracy.gain": "accuracy.baseline"}[claim.key]
    )
    after, n = facts.correct("accuracy.proposed"), int(facts.value("split.test"))
    gain = (after - before) / n
    return Outcome(
        verdict(facts.numbers[claim.key].agrees(gain)),
        f"({after:,} − {before:,}) / {n:,} = {gain * 100:.3f} percentage points, {after - before} images; "
        f"relative to {before / n:.2%} it is {(after - before) / before:.2%}.",
    )


@follows
def unpublished_cell(claim: Claim, facts: Facts) -> Outcome:
    """Does Table III allow, or even force, no Viral Pneumonia to be called COVID?"""
    low, high = paper.confusion_bounds(numbers=facts.numbers).loc[("Viral Pneumonia", "COVID")]
    said = facts.value("errors.viral_as_covid")
    text = (
        f"The margins of Table III allow {low} to {high} such images; the matrix is not published."
    )
    return Outcome(
        verdict(True) if low == high == said else UNCHECKABLE if low <= said <= high else CONTRARY,
        text,
    )


@follows
def mostly_normal(claim: Claim, facts: Facts) -> Outcome:
    """Must most missed Lung Opacities have been called Normal?"""
    low, high = paper.confusion_bounds(numbers=facts.numbers).loc[("Lung Opacity", "Normal")]
    missed = facts.margins.loc["Lung Opacity", "missed"]
    text = f"With the margins of Table III, {low} to {high} of the {missed} missed ones were called Normal."
    return Outcome(verdict(low > missed / 2), text)


@follows
def extreme_of_report(claim: Claim, facts: Facts) -> Outcome:
    """Is the class first or last in its column of Table III?"""
    column, pick, named = {
        "report.covid_recall": ("Recall", max, "COVID"),
        "report.opacity_recall": ("Recall", min, "Lung Opacity"),
        "report.viral_f1": ("F1", max, "Viral Pneumonia"),
    }[claim.key]
    values = {c: n.value for c, n in facts.by_class("table_III", column).items()}
    return Outcome(
        verdict(pick(values, key=values.get) == named), f"{column}: {listed(values, '.4f')}."
    )


@follows
def balanced(claim: Claim, facts: Facts) -> Outcome:
    """Are precision and recall of Viral Pneumonia equal?"""
    p, r = (
        facts.value(f"table_III.Viral Pneumonia.{column}") for column in ("Precision", "Recall")
    )
    return Outcome(verdict(p == r), f"{p:.4f} and {r:.4f}: as often called as present.")


@follows
def above_bound(claim: Claim, facts: Facts) -> Outcome:
    """Is every AUC above the bound?"""
    values = {c: n.value for c, n in facts.by_class("auc").items()}
    return Outcome(
        verdict(min(values.values()) > facts.value("auc.above")), f"{listed(values, '.4f')}."
    )


# --- Sections IV-C and IV-D, Tables IV and V: calibration ---------------------------------------------------


def _values(facts: Facts, model: str) -> dict[str, float]:
    return {c: n.value for c, n in facts.ece(model).items()}


@follows
def extreme_of_ece(claim: Claim, facts: Facts) -> Outcome:
    """Is it the least or the greatest ECE of Proposed in Table V?"""
    values = _values(facts, "Proposed")
    end = min(values.values()) if claim.key.endswith("lowest") else max(values.values())
    return Outcome(verdict(end == facts.value(claim.key)), f"Table V: {listed(values, '.4f')}.")


@follows
def reduction(claim: Claim, facts: Facts) -> Outcome:
    """Does the reduction follow from Table V; the largest from those of the text?"""
    number = facts.numbers[claim.key]
    if claim.key == "ece.reduction_up_to":
        each = {c: n.value for c, n in facts.by_class("ece_reduction").items()}
        top = max(each, key=each.get)
        low, high = image(lambda x: x, facts.numbers[f"ece_reduction.{top}"])
        holds = meets(number, low, high)
        cut = "" if holds else f" Cut off, not rounded, it is {int(100 * each[top])}%."
        return Outcome(
            verdict(holds),
            f"The largest of Section IV-D is {each[top]:.1%}, {top}: {each[top]:.0%}.{cut}",
        )
    pair = [facts.ece(model)[claim.row] for model in ("Proposed", "Baseline")]
    low, high = image(lambda a, b: 1 - a / b, *pair)
    text = f"1 − {pair[0].printed} / {pair[1].printed} = {1 - pair[0].value / pair[1].value:.2%}"
    return Outcome(
        verdict(meets(number, low, high)), f"{text}; unrounded, {low:.1%} to {high:.1%}."
    )


@follows
def below_threshold(claim: Claim, facts: Facts) -> Outcome:
    """Is every ECE of Proposed below the paper's own threshold, and whose is besides?"""
    limit = facts.value(
        {
            "calibration.excellent": "ece.excellent",
            "conclusion.well_calibrated": "ece.well_calibrated",
        }[claim.key]
    )
    below = {m: [c for c, v in _values(facts, m).items() if v < limit] for m in paper.MODELS}
    text = "; ".join(f"{m}: {', '.join(names) or 'none'}" for m, names in below.items())
    return Outcome(verdict(len(below["Proposed"]) == len(CLASSES)), f"Below {limit:g} are {text}.")


@follows
def strongest(claim: Claim, facts: Facts) -> Outcome:
    """Have COVID and Viral Pneumonia the two lowest ECEs?"""
    values = _values(facts, "Proposed")
    first = sorted(values, key=values.get)[:2]
    return Outcome(
        verdict(set(first) == {"COVID", "Viral Pneumonia"}), f"Table V: {listed(values, '.4f')}."
    )


@follows
def minority_worse(claim: Claim, facts: Facts) -> Outcome:
    """Have the rarer classes the higher ECE in the paper's own Baseline?"""
    values = _values(facts, "Baseline")
    share = {c: n.value for c, n in facts.by_class("table_III", "Share").items()}
    rarest = sorted(share, key=share.get)
    few, many = rarest[:2], rarest[2:]
    holds = min(values[c] for c in few) > max(values[c] for c in many)
    ratio = {c: values[c] / share[c] for c in rarest}
    return Outcome(
        verdict(holds),
        f"ECE of the Baseline, rarest class first: {listed({c: values[c] for c in rarest}, '.4f')}. "
        f"Divided by the share "
        f"of the class: {listed(ratio, '.3f')}.",
    )


@follows
def similar(claim: Claim, facts: Facts) -> Outcome:
    """Do Single Dense and Baseline have the same accuracy?"""
    single, base = (facts.correct(f"table_IV.{m}.Accuracy") for m in ("Single Dense", "Baseline"))
    f1 = [facts.numbers[f"table_IV.{m}.F1"].printed for m in ("Single Dense", "Baseline")]
    return Outcome(
        verdict(single == base),
        f"Right on {single:,} and on {base:,} images; F1 {f1[0]} and {f1[1]}.",
    )


@follows
def lowest_everywhere(claim: Claim, facts: Facts) -> Outcome:
    """Is the ECE of Proposed the lowest of each class in Table V?"""
    own, others = (
        _values(facts, "Proposed"),
        [_values(facts, m) for m in ("Baseline", "Single Dense")],
    )
    text = "; ".join(
        f"{c} {own[c]:.4f} of {', '.join(f'{o[c]:.4f}' for o in others)}" for c in CLASSES
    )
    return Outcome(verdict(all(own[c] < o[c] for c in CLASSES for o in others)), f"{text}.")


@follows
def higher_everywhere(claim: Claim, facts: Facts) -> Outcome:
    """Is the ECE of Single Dense higher in every class than the Baseline's, which head capacity is compared with?"""
    single, base, own = (_values(facts, m) for m in ("Single Dense", "Baseline", "Proposed"))
    not_higher = [
        f"{c} ({single[c]:.4f} against {base[c]:.4f})" for c in CLASSES if single[c] <= base[c]
    ]
    above = sum(single[c] > own[c] for c in CLASSES)
    text = (
        f"not higher than the Baseline for {', '.join(not_higher)}"
        if not_higher
        else "higher than the Baseline throughout"
    )
    return Outcome(
        verdict(not not_higher),
        f"Single Dense is {text}; higher than Proposed in {above} of {len(CLASSES)} classes.",
    )
