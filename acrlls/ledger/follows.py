"""Checks by the paper's own other numbers that serve one claim or one table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import softmax

from acrlls.data import split_counts
from acrlls.ledger.facts import CONTRARY, FOLLOWS, UNCHECKABLE, Facts, image, listed, meets
from acrlls.paper import CLASSES, MODELS, confusion_bounds

# --- The split and the grid, Section III -------------------------------------------------------


def _split(facts: Facts) -> pd.DataFrame:
    """Images of each part, a row a part and a column a class, by the published shares."""
    images, parts = facts.values("images.*"), ["train", "validation", "test"]
    shares = [facts.value(f"split.{part}_share") for part in parts[:2]]
    return pd.DataFrame(split_counts([*images.values()], *shares), parts, [*images])


def split_part(facts, claim):
    """Is it the sum over the classes of the floor of 70 %, of 15 %, or of the rest?"""
    counts = _split(facts).loc[claim.row]
    text = f"Class by class {' + '.join(f'{k:,}' for k in counts)} = {counts.sum():,}."
    return counts.sum() == facts.value(claim.key), text


def split_support(facts, claim):
    """Is the support what the split leaves of the class for testing?"""
    split = _split(facts)[claim.row]
    text = f"{split.sum():,} − {split.train:,} − {split.validation:,} = {split.test:,}."
    return split.test == facts.value(claim.key), text


def inverse_frequency(facts, claim):
    """Is the weight the inverse frequency of the class among the training images?"""
    train = _split(facts).loc["train"]
    total, own = train.sum(), train[claim.row]
    weight = total / (len(CLASSES) * own)
    text = f"{total:,} / ({len(CLASSES)} × {own:,}) = {weight:.4f}."
    return facts.numbers[claim.key].agrees(weight), text


def lowest_loss(facts, claim):
    """Has the chosen pair the lowest loss of Table I?"""
    best = facts.table("I").sort_values("val_loss").iloc[0]
    holds = (best.alpha, best.tau) == (facts.value("acr.alpha"), facts.value("acr.tau"))
    text = f"The lowest loss, {best.val_loss}, is that of alpha {best.alpha:g} and tau {best.tau:g}"
    return holds, f"{text}."


def best_region(facts, claim):
    """Do the best five lie in the region that the text names?"""
    best, inside = facts.table("I"), True
    for name in ("alpha", "tau"):
        ends = (facts.value(f"region.{name}_{end}") for end in ("low", "high"))
        inside &= best[name].between(*ends)
    if inside.all():
        return FOLLOWS, "All of the best five lie inside the region."
    rows = best[~inside].itertuples()
    outside = " and ".join(f"rank {r.Index} (alpha {r.alpha:g}, tau {r.tau:g})" for r in rows)
    text = f"Of the best five, {outside} lies outside the region; the other losses that would tell"
    return UNCHECKABLE, f"{text} whether the region is lower are not printed."


def none_beyond(facts, claim):
    """Is the larger alpha absent from the best five?"""
    best, beyond = facts.table("I"), facts.value("region.alpha_beyond")
    if (best.alpha == beyond).any():
        rank = (best.alpha == beyond).idxmax()
        return CONTRARY, f"Alpha {beyond:g} is among the best five, at rank {rank}."
    text = f"Alpha {beyond:g} is not among the best five, so that its losses are at least"
    return UNCHECKABLE, f"{text} {best.val_loss.max()}; how much more is not printed."


def best_balance(facts, claim):
    """Is the chosen pair also best in accuracy and in a measure of calibration?"""
    accuracy = facts.table("I").val_accuracy
    text = f"Of the best five, rank {accuracy.idxmax()} has the highest accuracy, "
    text += f"{accuracy.max():.2%}; no measure of calibration is printed."
    return UNCHECKABLE, text


# --- ACR and LLS, Sections II and IV-A ---------------------------------------------------------


def favours_one(facts, claim):
    """Does equation (1) act when one class is far ahead?"""
    tau = facts.value("acr.tau")
    small, large = (max(0.0, tau - margin) for margin in (0.1, 0.9))
    text = f"With tau {tau:g}, equation (1) is {small:.2f} at a margin of 0.1 and {large:.2f} at "
    return large > 0, f"{text}one of 0.9: it acts where no class is far ahead."


def neutral_scale(facts, claim):
    """Does this scale leave every probability as it is?"""
    z = np.array([2.0, 0.5, -1.0, -2.0])
    moved = float(np.abs(softmax(z * facts.value(claim.key)) - softmax(z)).max())
    return moved == 0, f"Probabilities of the logits {z.tolist()} move by {moved:.4f}."


def scale_turns_confidence(facts, claim):
    """Does a scale below one always lower the probability of its class?"""
    scale, z = facts.value("lls.lowest"), np.array([1.0, -1.0, 0.0, 0.0])
    before, after = softmax(z)[1], softmax(z * np.array([1, scale, 1, 1]))[1]
    return after <= before, (
        "It does for a class with a positive logit. With a negative logit it does the reverse: of "
        f"the logits {z.tolist()}, the scale {scale} on the second raises its probability from "
        f"{before:.4f} to {after:.4f}."
    )


def scales_below_one(facts, claim, classes: list[str]):
    """Are the scales of these classes below one in both phases, and lower in the second?"""
    holds, texts = True, []
    for c, first, second in facts.table("II").loc[classes].itertuples():
        holds &= second < first < facts.value("lls.neutral")
        texts.append(f"{c} has {first:.4f} after Phase 1, {second:.4f} after Phase 2")
    return holds, f"{'; '.join(texts)}."


# --- Classification, Section IV-B and Table III ------------------------------------------------


def report_cell(facts, claim):
    """Does the cell follow from the whole numbers behind precision, recall and support?"""
    m = facts.margins
    above, below = {
        "Precision": (m.correct, m.predicted),
        "Recall": (m.correct, m.support),
        "F1": (2 * m.correct, m.support + m.predicted),
    }[claim.column]
    values, total = above / below, m.support.sum()
    if claim.row == "Accuracy":
        value, text = m.correct.sum() / total, f"{m.correct.sum():,} / {total:,}"
    elif claim.row == "Macro Avg":
        value, text = values.mean(), f"({' + '.join(f'{v:.5f}' for v in values)}) / {len(values)}"
    elif claim.row == "Weighted Avg":
        value = np.average(values, weights=m.support)
        terms = (f"{k:,} × {v:.5f}" for k, v in zip(m.support, values, strict=True))
        text = f"({' + '.join(terms)}) / {total:,}"
    else:
        value, text = values[claim.row], f"{above[claim.row]:,} / {below[claim.row]:,}"
    return facts.numbers[claim.key].agrees(value), f"{text} = {value:.5f}."


def missed(facts, claim, name: str):
    """Is it the number of images of the class that recall and support leave?"""
    row = facts.margins.loc[name]
    text = f"{row.support:,} − {row.correct:,} = {row.missed:,}."
    return row.missed == facts.value(claim.key), text


def gain(facts, claim, before: str, after: str):
    """Is the gain the difference of the two accuracies, and in which unit?"""
    first, last, n = facts.correct(before), facts.correct(after), int(facts.value("split.test"))
    return facts.numbers[claim.key].agrees((last - first) / n), (
        f"({last:,} − {first:,}) / {n:,} = {100 * (last - first) / n:.3f} percentage points, "
        f"{last - first} images; relative to {first / n:.2%} it is {(last - first) / first:.2%}."
    )


def unpublished_cell(facts, claim):
    """Does Table III allow, or even force, no Viral Pneumonia to be called COVID?"""
    low, high = confusion_bounds(facts.numbers).loc[("Viral Pneumonia", "COVID")]
    said = facts.value("errors.viral_as_covid")
    within = UNCHECKABLE if low <= said <= high else CONTRARY
    text = f"The margins of Table III allow {low} to {high} such images; the matrix is not"
    return FOLLOWS if low == high == said else within, f"{text} published."


def mostly_normal(facts, claim):
    """Must most missed Lung Opacities have been called Normal?"""
    low, high = confusion_bounds(facts.numbers).loc[("Lung Opacity", "Normal")]
    count = facts.margins.loc["Lung Opacity", "missed"]
    text = f"With the margins of Table III, {low} to {high} of the {count} missed images"
    return low > count / 2, f"{text} were called Normal."


def similar(facts, claim):
    """Do Single Dense and Baseline have the same accuracy?"""
    models = ("Single Dense", "Baseline")
    single, base = (facts.correct(f"table_IV.{m}.Accuracy") for m in models)
    f1 = " and ".join(facts.numbers[f"table_IV.{m}.F1"].printed for m in models)
    text = f"They are right on {single:,} and on {base:,} images; F1 is {f1}."
    return single == base, text


# --- Calibration, Sections IV-C and IV-D, Table V ----------------------------------------------


def reduction(facts, claim):
    """Does the reduction follow from Table V?"""
    own, base = (facts.numbers[f"table_V.{m}.{claim.row}"] for m in ("Proposed", "Baseline"))
    low, high = image(lambda a, b: 1 - a / b, own, base)
    text = f"1 − {own.printed} / {base.printed} = {1 - own.value / base.value:.2%}"
    text += f"; unrounded, {low:.1%} to {high:.1%}."
    return meets(facts.numbers[claim.key], low, high), text


def largest_reduction(facts, claim):
    """Is it the largest of the reductions that the text gives?"""
    each = facts.all_of("ece_reduction.*")
    name, top = max(each.items(), key=lambda pair: pair[1].value)
    holds = meets(facts.numbers[claim.key], *image(lambda x: x, top))
    text = f"The largest of Section IV-D is {top.value:.1%} ({name}), which rounds to"
    cut = "" if holds else f" Cut off, not rounded, it is {int(100 * top.value)}%."
    return holds, f"{text} {top.value:.0%}.{cut}"


def below_threshold(facts, claim, limit: str):
    """Is every ECE of Proposed below the paper's own threshold, and whose is besides?"""
    bound, texts = facts.value(limit), []
    below = facts.table("V") < bound
    for model in MODELS:
        names = ", ".join(below.columns[below.loc[model]])
        texts.append(f"{model} in {below.loc[model].sum()}" + f" ({names})" * bool(names))
    text = f"The ECE is below {bound:g} in these of {len(CLASSES)} classes: {'; '.join(texts)}."
    return below.loc["Proposed"].all(), text


def minority_worse(facts, claim):
    """Have the rarer classes the higher ECE in the paper's own Baseline?"""
    share = facts.table("III").Share.dropna().sort_values()
    ece = facts.table("V").loc["Baseline", share.index]
    return FOLLOWS if ece[:2].min() > ece[2:].max() else UNCHECKABLE, (
        "This is a statement about models in general. The ECE of the Baseline is, rarest class "
        f"first, {listed(ece, '.4f')}. A class-wise ECE grows with the share of its class; "
        f"divided by the share it is {listed(ece / share, '.3f')}."
    )


def lowest_everywhere(facts, claim):
    """Is the ECE of Proposed the lowest of each class in Table V?"""
    ece = facts.table("V")
    each = (f"{c} {own:.4f}, against {a:.4f} and {b:.4f}" for c, (a, b, own) in ece.items())
    holds = (ece.loc["Proposed"] < ece.drop("Proposed").min()).all()
    return holds, f"Proposed, against Baseline and Single Dense: {'; '.join(each)}."


def higher_everywhere(facts, claim):
    """Is the ECE of Single Dense higher than the Baseline's in every class?"""
    ece = facts.table("V")
    rest = ece.loc[:, ece.loc["Single Dense"] <= ece.loc["Baseline"]]
    each = ", ".join(f"{c} ({b:.4f} against {a:.4f})" for c, (a, b, _) in rest.items())
    text = "Single Dense is higher than the Baseline throughout"
    if each:
        text = f"Single Dense is not higher than the Baseline for {each}"
    above = (ece.loc["Single Dense"] > ece.loc["Proposed"]).sum()
    text += f"; it is higher than Proposed in {above} of {len(CLASSES)} classes."
    return not each, text
