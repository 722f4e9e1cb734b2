"""Checks of a claim by the paper's own other numbers.

A check is a function of the facts, the claim and the arguments that ``paper.yml`` gives; keys with
a ``*`` stand for several numbers.  Rounding is interval arithmetic on the printed digits: a number
follows where some numbers that round to the printed ones give it.  The first line of a function is
the question that it answers.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from acrlls.ledger.facts import (
    CONTRARY,
    FOLLOWS,
    UNCHECKABLE,
    Claim,
    Facts,
    Outcome,
    image,
    listed,
    meets,
)
from acrlls.paper import CLASSES, MODELS, confusion_bounds, counts_behind


def _outcome(holds: bool, text: str) -> Outcome:
    return Outcome(FOLLOWS if holds else CONTRARY, text)


# --- Generic checks ----------------------------------------------------------------------------


def sum_of(facts: Facts, claim: Claim, terms: str, total: str) -> Outcome:
    """Do the parts sum to the total?"""
    parts = [int(v) for v in facts.values(terms).values()]
    whole = int(facts.value(total))
    text = f"{' + '.join(f'{k:,}' for k in parts)} = {sum(parts):,}"
    return _outcome(sum(parts) == whole, f"{text}; the total is printed as {whole:,}.")


def ratio(facts: Facts, claim: Claim, part: str, whole: str) -> Outcome:
    """Is it the part divided by the whole?"""
    a, b = facts.value(part), facts.value(whole)
    holds = facts.numbers[claim.key].agrees(a / b)
    return _outcome(holds, f"{a:,.0f} of {b:,.0f} is {a / b:.3%}.")


def same(facts: Facts, claim: Claim, as_: list[str]) -> Outcome:
    """Does the table have the same number?"""
    others, number = [facts.numbers[key] for key in as_], facts.numbers[claim.key]
    holds = all(meets(number, *image(lambda x: x, other)) for other in others)
    return _outcome(holds, "; ".join(f"{o.where} has {o.printed} ({o.what})" for o in others) + ".")


def extreme(facts: Facts, claim: Claim, of: str, pick: str, name: str | None = None) -> Outcome:
    """Is it the least or the greatest of its kind?"""
    values = facts.values(of)
    found = {"least": min, "greatest": max}[pick](values, key=values.get)
    holds = name in (None, found)
    if claim.key in facts.numbers:
        holds = holds and facts.value(claim.key) == values[found]
    form = ",.0f" if min(values.values()) > 1 else ".4f"
    label = "Rank and value: " if of.startswith("table_I.") else "The values are "
    return _outcome(holds, f"{label}{listed(values, form)}.")


def bounded(
    facts: Facts, claim: Claim, of: str, above: str | None = None, below: str | None = None
) -> Outcome:
    """Does every value keep to the bound?"""
    values, bound = facts.values(of), facts.value(above or below)
    holds = all(v > bound if above else v < bound for v in values.values())
    word = "above" if above else "below"
    return _outcome(holds, f"The values, to lie {word} {bound:g}, are {listed(values, '.4f')}.")


def in_order(facts: Facts, claim: Claim, keys: list[str]) -> Outcome:
    """Do the values stand in this order?"""
    values = [facts.value(key) for key in keys]
    holds = all(a < b for a, b in zip(values, values[1:], strict=False))
    return _outcome(holds, f"In the order stated: {', '.join(f'{v:.4f}' for v in values)}.")


def equal(facts: Facts, claim: Claim, keys: list[str]) -> Outcome:
    """Are the numbers equal?"""
    numbers = [facts.numbers[key] for key in keys]
    text = " and ".join(f"{n.what} is {n.printed}" for n in numbers)
    return _outcome(len({n.value for n in numbers}) == 1, f"{text}.")


def one_of(facts: Facts, claim: Claim, tried: str, first: str | None = None) -> Outcome:
    """Is it one of the values that were tried, and the chosen one that of the first row?"""
    value, values = facts.value(claim.key), [*facts.values(tried).values()]
    holds, text = value in values, f"The values tried are {', '.join(f'{v:g}' for v in values)}."
    if first:
        holds = holds and value == facts.value(first)
        text += f" The first row of Table I has {facts.value(first):g}."
    return _outcome(holds, text)


def product_of_counts(facts: Facts, claim: Claim, of: list[str]) -> Outcome:
    """Is it the size of the grid, or the number of rows of the table?"""
    sizes = [len(facts.all_of(pattern)) for pattern in of]
    product = int(np.prod(sizes))
    text = f"{' × '.join(map(str, sizes))} = {product}." if sizes[1:] else f"There are {product}."
    return _outcome(product == facts.value(claim.key), text)


def whole_number(facts: Facts, claim: Claim, of: str) -> Outcome:
    """Is the accuracy a whole number of images?"""
    number, n = facts.numbers[claim.key], int(facts.value(of))
    behind = counts_behind(number, n)
    if behind:
        return _outcome(True, f"{behind[0]:,} of {n:,} is {behind[0] / n:.3%}.")
    k = int(number.value * n)
    text = f"No whole number of {n:,} images gives {number.printed}: "
    return _outcome(False, f"{text}{k:,} are {k / n:.2%}, {k + 1:,} are {(k + 1) / n:.2%}.")


# --- The split and the grid, Section III -------------------------------------------------------


def _split(facts: Facts) -> dict[str, dict[str, int]]:
    """Images of each part by class: per class the floor of either share, the rest to test."""
    parts = ("train", "validation")
    shares = [round(100 * facts.value(f"split.{part}_share")) for part in parts]
    found = {}
    for c, images in facts.values("images.*").items():
        first = [int(images) * share // 100 for share in shares]
        found[c] = dict(zip((*parts, "test"), [*first, int(images) - sum(first)], strict=True))
    return found


def split_part(facts: Facts, claim: Claim) -> Outcome:
    """Is it the sum over the classes of the floor of 70 %, of 15 %, or of the rest?"""
    counts = [split[claim.row] for split in _split(facts).values()]
    text = f"Class by class {' + '.join(f'{k:,}' for k in counts)} = {sum(counts):,}."
    return _outcome(sum(counts) == facts.value(claim.key), text)


def split_support(facts: Facts, claim: Claim) -> Outcome:
    """Is the support what the split leaves of the class for testing?"""
    split = _split(facts)[claim.row]
    text = f"{sum(split.values()):,} − {split['train']:,} − {split['validation']:,}"
    return _outcome(split["test"] == facts.value(claim.key), f"{text} = {split['test']:,}.")


def inverse_frequency(facts: Facts, claim: Claim) -> Outcome:
    """Is the weight the inverse frequency of the class among the training images?"""
    train = {c: split["train"] for c, split in _split(facts).items()}
    total, own = sum(train.values()), train[claim.row]
    weight = total / (len(CLASSES) * own)
    text = f"{total:,} / ({len(CLASSES)} × {own:,}) = {weight:.4f}."
    return _outcome(facts.numbers[claim.key].agrees(weight), text)


def sorted_losses(facts: Facts, claim: Claim) -> Outcome:
    """Does the loss stand in its order?"""
    losses, rank = [*facts.values("table_I.*.val_loss").values()], int(claim.row)
    near = losses[max(rank - 2, 0) : rank + 1]
    text = f"With its neighbours: {', '.join(f'{v:.4f}' for v in near)}."
    return _outcome(near == sorted(near), text)


def _best(facts: Facts) -> list[tuple[float, float, float, float]]:
    """Loss, alpha, tau and accuracy of the five best pairs, by rank."""
    columns = ("val_loss", "alpha", "tau", "val_accuracy")
    return [*zip(*(facts.values(f"table_I.*.{c}").values() for c in columns), strict=True)]


def lowest_loss(facts: Facts, claim: Claim) -> Outcome:
    """Has the chosen pair the lowest loss of Table I?"""
    loss, alpha, tau, _ = min(_best(facts))
    holds = (alpha, tau) == (facts.value("acr.alpha"), facts.value("acr.tau"))
    return _outcome(holds, f"The lowest loss, {loss}, is that of alpha {alpha:g} and tau {tau:g}.")


def best_region(facts: Facts, claim: Claim) -> Outcome:
    """Do the best five lie in the region that the text names?"""
    ends = {n: [facts.value(f"region.{n}_{e}") for e in ("low", "high")] for n in ("alpha", "tau")}
    outside = [
        f"rank {rank} (alpha {alpha:g}, tau {tau:g})"
        for rank, (_, alpha, tau, _) in enumerate(_best(facts), 1)
        if not (
            ends["alpha"][0] <= alpha <= ends["alpha"][1]
            and ends["tau"][0] <= tau <= ends["tau"][1]
        )
    ]
    if not outside:
        return Outcome(FOLLOWS, "All of the best five lie inside the region.")
    text = f"Of the best five, {' and '.join(outside)} lies outside the region; the other losses"
    return Outcome(
        UNCHECKABLE, f"{text} that would tell whether the region is lower are not printed."
    )


def none_beyond(facts: Facts, claim: Claim) -> Outcome:
    """Is the larger alpha absent from the best five?"""
    alphas, beyond = [row[1] for row in _best(facts)], facts.value("region.alpha_beyond")
    if beyond in alphas:
        rank = alphas.index(beyond) + 1
        return Outcome(CONTRARY, f"Alpha {beyond:g} is among the best five, at rank {rank}.")
    text = f"Alpha {beyond:g} is not among the best five, so that its losses are at least"
    return Outcome(UNCHECKABLE, f"{text} {max(_best(facts))[0]}; how much more is not printed.")


def best_balance(facts: Facts, claim: Claim) -> Outcome:
    """Is the chosen pair also best in accuracy and in a measure of calibration?"""
    accuracy = [row[3] for row in _best(facts)]
    rank = accuracy.index(max(accuracy)) + 1
    text = f"Of the best five, rank {rank} has the highest accuracy, {max(accuracy):.2%}"
    return Outcome(UNCHECKABLE, f"{text}; no measure of calibration is printed.")


# --- ACR and LLS, Sections II and IV-A ---------------------------------------------------------


def favours_one(facts: Facts, claim: Claim) -> Outcome:
    """Does equation (1) act when one class is far ahead?"""
    tau = facts.value("acr.tau")
    small, large = (max(0.0, tau - margin) for margin in (0.1, 0.9))
    text = f"With tau {tau:g}, equation (1) is {small:.2f} at a margin of 0.1 and {large:.2f} at "
    return _outcome(large > 0, f"{text}one of 0.9: it acts where no class is far ahead.")


def neutral_scale(facts: Facts, claim: Claim) -> Outcome:
    """Does this scale leave every probability as it is?"""
    z = np.array([2.0, 0.5, -1.0, -2.0])
    moved = float(np.abs(softmax(z * facts.value(claim.key)) - softmax(z)).max())
    return _outcome(moved == 0, f"Probabilities of the logits {z.tolist()} move by {moved:.4f}.")


def scale_turns_confidence(facts: Facts, claim: Claim) -> Outcome:
    """Does a scale below one always lower the probability of its class?"""
    scale, z = facts.value("lls.lowest"), np.array([1.0, -1.0, 0.0, 0.0])
    before, after = softmax(z)[1], softmax(z * np.array([1, scale, 1, 1]))[1]
    return _outcome(
        after <= before,
        "It does for a class with a positive logit. With a negative logit it does the reverse: of "
        f"the logits {z.tolist()}, the scale {scale} on the second raises its probability from "
        f"{before:.4f} to {after:.4f}.",
    )


def scales_below_one(facts: Facts, claim: Claim, classes: list[str]) -> Outcome:
    """Are the scales of these classes below one in both phases, and lower in the second?"""
    one, first, second = (
        facts.value("lls.neutral"),
        *(facts.values(f"table_II.*.Phase {k}") for k in (1, 2)),
    )
    holds = all(first[c] < one and second[c] < first[c] for c in classes)
    each = (f"{c} has {first[c]:.4f} after Phase 1, {second[c]:.4f} after Phase 2" for c in classes)
    return _outcome(holds, f"{'; '.join(each)}.")


# --- Classification, Section IV-B and Table III ------------------------------------------------


def report_cell(facts: Facts, claim: Claim) -> Outcome:
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
    return _outcome(facts.numbers[claim.key].agrees(value), f"{text} = {value:.5f}.")


def missed(facts: Facts, claim: Claim, name: str) -> Outcome:
    """Is it the number of images of the class that recall and support leave?"""
    row = facts.margins.loc[name]
    text = f"{row.support:,} − {row.correct:,} = {row.missed:,}."
    return _outcome(row.missed == facts.value(claim.key), text)


def gain(facts: Facts, claim: Claim, before: str, after: str) -> Outcome:
    """Is the gain the difference of the two accuracies, and in which unit?"""
    first, last, n = facts.correct(before), facts.correct(after), int(facts.value("split.test"))
    return _outcome(
        facts.numbers[claim.key].agrees((last - first) / n),
        f"({last:,} − {first:,}) / {n:,} = {100 * (last - first) / n:.3f} percentage points, "
        f"{last - first} images; relative to {first / n:.2%} it is {(last - first) / first:.2%}.",
    )


def unpublished_cell(facts: Facts, claim: Claim) -> Outcome:
    """Does Table III allow, or even force, no Viral Pneumonia to be called COVID?"""
    low, high = confusion_bounds(numbers=facts.numbers).loc[("Viral Pneumonia", "COVID")]
    said = facts.value("errors.viral_as_covid")
    text = (
        f"The margins of Table III allow {low} to {high} such images; the matrix is not published."
    )
    within = UNCHECKABLE if low <= said <= high else CONTRARY
    return Outcome(FOLLOWS if low == high == said else within, text)


def mostly_normal(facts: Facts, claim: Claim) -> Outcome:
    """Must most missed Lung Opacities have been called Normal?"""
    low, high = confusion_bounds(numbers=facts.numbers).loc[("Lung Opacity", "Normal")]
    count = facts.margins.loc["Lung Opacity", "missed"]
    text = f"With the margins of Table III, {low} to {high} of the {count} missed images"
    return _outcome(low > count / 2, f"{text} were called Normal.")


# --- Calibration, Sections IV-C and IV-D, Table V ----------------------------------------------


def reduction(facts: Facts, claim: Claim) -> Outcome:
    """Does the reduction follow from Table V?"""
    number = facts.numbers[claim.key]
    own, base = (facts.numbers[f"table_V.{m}.{claim.row}"] for m in ("Proposed", "Baseline"))
    low, high = image(lambda a, b: 1 - a / b, own, base)
    text = f"1 − {own.printed} / {base.printed} = {1 - own.value / base.value:.2%}"
    return _outcome(meets(number, low, high), f"{text}; unrounded, {low:.1%} to {high:.1%}.")


def largest_reduction(facts: Facts, claim: Claim) -> Outcome:
    """Is it the largest of the reductions that the text gives?"""
    each = facts.all_of("ece_reduction.*")
    name, top = max(each.items(), key=lambda pair: pair[1].value)
    holds = meets(facts.numbers[claim.key], *image(lambda x: x, top))
    text = f"The largest of Section IV-D is {top.value:.1%} ({name}), which rounds to"
    cut = "" if holds else f" Cut off, not rounded, it is {int(100 * top.value)}%."
    return _outcome(holds, f"{text} {top.value:.0%}.{cut}")


def below_threshold(facts: Facts, claim: Claim, limit: str) -> Outcome:
    """Is every ECE of Proposed below the paper's own threshold, and whose is besides?"""
    bound, texts = facts.value(limit), []
    for model in MODELS:
        below = [c for c, v in facts.values(f"table_V.{model}.*").items() if v < bound]
        texts.append(f"{model} in {len(below)} ({', '.join(below)})" if below else f"{model} in 0")
    text = f"The ECE is below {bound:g} in these of {len(CLASSES)} classes: {'; '.join(texts)}."
    return _outcome(len(below) == len(CLASSES), text)


def strongest(facts: Facts, claim: Claim, names: list[str]) -> Outcome:
    """Have these classes the lowest ECEs?"""
    values = facts.values("table_V.Proposed.*")
    first = sorted(values, key=values.get)[: len(names)]
    return _outcome(set(first) == set(names), f"Table V has {listed(values, '.4f')}.")


def minority_worse(facts: Facts, claim: Claim) -> Outcome:
    """Have the rarer classes the higher ECE in the paper's own Baseline?"""
    values, share = facts.values("table_V.Baseline.*"), facts.values("table_III.*.Share")
    rarest = sorted(share, key=share.get)
    few, many = ([values[c] for c in half] for half in (rarest[:2], rarest[2:]))
    divided = listed({c: values[c] / share[c] for c in rarest}, ".3f")
    return Outcome(
        FOLLOWS if min(few) > max(many) else UNCHECKABLE,
        "This is a statement about models in general. The ECE of the Baseline is, rarest class "
        f"first, {listed({c: values[c] for c in rarest}, '.4f')}. A class-wise ECE grows with the "
        f"share of its class; divided by the share it is {divided}.",
    )


def similar(facts: Facts, claim: Claim) -> Outcome:
    """Do Single Dense and Baseline have the same accuracy?"""
    models = ("Single Dense", "Baseline")
    single, base = (facts.correct(f"table_IV.{m}.Accuracy") for m in models)
    f1 = " and ".join(facts.numbers[f"table_IV.{m}.F1"].printed for m in models)
    text = f"They are right on {single:,} and on {base:,} images; F1 is {f1}."
    return _outcome(single == base, text)


def lowest_everywhere(facts: Facts, claim: Claim) -> Outcome:
    """Is the ECE of Proposed the lowest of each class in Table V?"""
    base, single, own = (facts.values(f"table_V.{m}.*") for m in MODELS)
    each = (f"{c} {own[c]:.4f}, against {base[c]:.4f} and {single[c]:.4f}" for c in CLASSES)
    holds = all(own[c] < min(base[c], single[c]) for c in CLASSES)
    return _outcome(holds, f"Proposed, against Baseline and Single Dense: {'; '.join(each)}.")


def higher_everywhere(facts: Facts, claim: Claim) -> Outcome:
    """Is the ECE of Single Dense higher than the Baseline's in every class?"""
    base, single, own = (facts.values(f"table_V.{m}.*") for m in MODELS)
    not_higher = [
        f"{c} ({single[c]:.4f} against {base[c]:.4f})" for c in CLASSES if single[c] <= base[c]
    ]
    text = "Single Dense is higher than the Baseline throughout"
    if not_higher:
        text = f"Single Dense is not higher than the Baseline for {', '.join(not_higher)}"
    above = sum(single[c] > own[c] for c in CLASSES)
    text += f"; it is higher than Proposed in {above} of {len(CLASSES)} classes."
    return _outcome(not not_higher, text)
