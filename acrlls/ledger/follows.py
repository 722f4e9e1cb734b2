"""Checks of the paper's method and set-up by its own numbers, Sections II to IV-A.  Internal to ``ledger``.

Rounding is interval arithmetic on the printed digits: a number follows where some numbers that round to the printed
ones give it.  Each function's first line is the question that it answers.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from acrlls.ledger.facts import CONTRARY, UNCHECKABLE, Claim, Facts, Outcome, check, listed, verdict
from acrlls.paper import paper
from acrlls.paper.paper import CLASSES

follows = check("follows")

PARTS = ("train", "validation", "test")


def _split(facts: Facts) -> dict[str, dict[str, int]]:
    """Images of each part by class: per class the floor of either share, the rest to test."""
    shares = [round(100 * facts.value(f"split.{part}_share")) for part in PARTS[:2]]
    found = {}
    for c, number in facts.by_class("images").items():
        first = [int(number.value) * share // 100 for share in shares]
        found[c] = dict(zip(PARTS, [*first, int(number.value) - sum(first)], strict=True))
    return found


# --- Section II: the method ---------------------------------------------------------------------------------


@follows
def favours_one(claim: Claim, facts: Facts) -> Outcome:
    """Does equation (1) act when one class is far ahead?"""
    tau = facts.value("acr.tau")
    small, large = (max(0.0, tau - margin) for margin in (0.1, 0.9))
    text = f"With tau {tau:g}, equation (1) is {small:.2f} at a margin of 0.1 and {large:.2f} at one of 0.9"
    return Outcome(verdict(large > 0), f"{text}: it acts where no class is far ahead.")


# --- Section III-A: images, split, weights ------------------------------------------------------------------


@follows
def sum_of_classes(claim: Claim, facts: Facts) -> Outcome:
    """Do the four classes sum to the dataset?"""
    counts = [int(n.value) for n in facts.by_class("images").values()]
    total = int(facts.value("images.total"))
    text = " + ".join(f"{k:,}" for k in counts)
    return Outcome(
        verdict(sum(counts) == total),
        f"{text} = {sum(counts):,}; the total is printed as {total:,}.",
    )


@follows
def share_of_total(claim: Claim, facts: Facts) -> Outcome:
    """Is the share of the class that of its images?"""
    part, whole = facts.value(f"images.{claim.row}"), facts.value("images.total")
    holds = facts.numbers[claim.key].agrees(part / whole)
    return Outcome(verdict(holds), f"{part:,.0f} of {whole:,.0f} is {part / whole:.3%}.")


@follows
def share_of_test(claim: Claim, facts: Facts) -> Outcome:
    """Is the share of the class that of its test images?"""
    part, whole = facts.value(f"table_III.{claim.row}.Support"), facts.value("split.test")
    holds = facts.numbers[claim.key].agrees(part / whole)
    return Outcome(verdict(holds), f"{part:,.0f} of {whole:,.0f} is {part / whole:.3%}.")


@follows
def parts_of_split(claim: Claim, facts: Facts) -> Outcome:
    """Is it the sum over the classes of the floor of 70 %, of 15 %, or of the rest?"""
    part = claim.row.removesuffix("_share")
    counts = [split[part] for split in _split(facts).values()]
    text = " + ".join(f"{k:,}" for k in counts)
    if claim.row.endswith("_share"):
        share = facts.value(f"split.{part}") / facts.value("images.total")
        holds = facts.numbers[claim.key].agrees(share)
        return Outcome(
            verdict(holds), f"{facts.value(f'split.{part}'):,.0f} images are {share:.2%} of all."
        )
    return Outcome(
        verdict(sum(counts) == facts.value(claim.key)), f"Class by class {text} = {sum(counts):,}."
    )


@follows
def support_of_split(claim: Claim, facts: Facts) -> Outcome:
    """Is the support what the split leaves of the class for testing?"""
    split = _split(facts)[claim.row]
    whole, left = sum(split.values()), split["test"]
    holds = left == facts.value(claim.key)
    return Outcome(
        verdict(holds), f"{whole:,} − {split['train']:,} − {split['validation']:,} = {left:,}."
    )


@follows
def inverse_frequency(claim: Claim, facts: Facts) -> Outcome:
    """Is the weight the inverse frequency of the class among the training images?"""
    train = {c: split["train"] for c, split in _split(facts).items()}
    total, own = sum(train.values()), train[claim.row]
    weight = total / (len(CLASSES) * own)
    holds = facts.numbers[claim.key].agrees(weight)
    return Outcome(verdict(holds), f"{total:,} / ({len(CLASSES)} × {own:,}) = {weight:.4f}.")


@follows
def smallest_class(claim: Claim, facts: Facts) -> Outcome:
    """Has Viral Pneumonia the fewest images?"""
    counts = {c: n.value for c, n in facts.by_class("images").items()}
    return Outcome(
        verdict(min(counts, key=counts.get) == "Viral Pneumonia"),
        f"Images: {listed(counts, ',.0f')}.",
    )


# --- Section III-B and Table I: tuning ----------------------------------------------------------------------


def _grid(facts: Facts, name: str) -> list[float]:
    return [facts.value(f"grid.{name}.{i}") for i in range(1, 5)]


def _best(facts: Facts, column: str) -> list[float]:
    return [facts.value(f"table_I.{rank}.{column}") for rank in range(1, 6)]


@follows
def grid_size(claim: Claim, facts: Facts) -> Outcome:
    """Is it the size of the grid, or the rows of the table?"""
    if claim.key == "grid.top":
        rows = len(_best(facts, "val_loss"))
        return Outcome(verdict(rows == facts.value(claim.key)), f"Table I has {rows} rows.")
    sizes = [len(set(_grid(facts, name))) for name in ("alpha", "tau")]
    return Outcome(
        verdict(sizes[0] * sizes[1] == facts.value(claim.key)),
        f"{sizes[0]} × {sizes[1]} = {sizes[0] * sizes[1]}.",
    )


@follows
def on_the_grid(claim: Claim, facts: Facts) -> Outcome:
    """Is it one of the values that were tried, and the chosen one that of the first row?"""
    name = "alpha" if "alpha" in claim.key else "tau"
    value, tried = facts.value(claim.key), _grid(facts, name)
    holds, text = value in tried, f"Tried: {', '.join(f'{v:g}' for v in tried)}."
    if claim.key.startswith("acr."):
        first = facts.value(f"table_I.1.{name}")
        holds, text = holds and value == first, f"{text} The first row of Table I has {first:g}."
    return Outcome(verdict(holds), text)


@follows
def whole_validation_images(claim: Claim, facts: Facts) -> Outcome:
    """Is the accuracy a whole number of validation images?"""
    number, n = facts.numbers[claim.key], int(facts.value("split.validation"))
    behind = paper.counts_behind(number, n)
    if behind:
        return Outcome(verdict(True), f"{behind[0]:,} of {n:,} is {behind[0] / n:.3%}.")
    below = int(number.value * n)
    return Outcome(
        CONTRARY,
        f"No whole number of {n:,} images gives {number.printed}: {below:,} are {below / n:.2%}, "
        f"{below + 1:,} are {(below + 1) / n:.2%}.",
    )


@follows
def sorted_losses(claim: Claim, facts: Facts) -> Outcome:
    """Does the loss stand in its order?"""
    losses, rank = _best(facts, "val_loss"), int(claim.row)
    near = losses[max(rank - 2, 0) : rank + 1]
    return Outcome(
        verdict(near == sorted(near)),
        f"With its neighbours: {', '.join(f'{v:.4f}' for v in near)}.",
    )


@follows
def ends_of_losses(claim: Claim, facts: Facts) -> Outcome:
    """Is it the least or the greatest loss of Table I?"""
    losses = _best(facts, "val_loss")
    end = min(losses) if claim.key.endswith("low") else max(losses)
    return Outcome(
        verdict(end == facts.value(claim.key)), f"Table I goes from {min(losses)} to {max(losses)}."
    )


@follows
def lowest_loss(claim: Claim, facts: Facts) -> Outcome:
    """Has the chosen pair the lowest loss of Table I?"""
    losses = _best(facts, "val_loss")
    pair = [(a, t) for a, t in zip(_best(facts, "alpha"), _best(facts, "tau"), strict=True)][
        losses.index(min(losses))
    ]
    chosen = (facts.value("acr.alpha"), facts.value("acr.tau"))
    return Outcome(
        verdict(pair == chosen), f"Lowest, {min(losses)}: alpha {pair[0]:g}, tau {pair[1]:g}."
    )


@follows
def best_region(claim: Claim, facts: Facts) -> Outcome:
    """Do the best five lie in the region that the text names?"""
    limits = [
        [facts.value(f"region.{name}_{end}") for end in ("low", "high")]
        for name in ("alpha", "tau")
    ]
    pairs = list(zip(_best(facts, "alpha"), _best(facts, "tau"), strict=True))
    outside = [
        (rank, *pair)
        for rank, pair in enumerate(pairs, 1)
        if not all(low <= v <= high for v, (low, high) in zip(pair, limits, strict=True))
    ]
    text = "; ".join(
        f"rank {rank} has alpha {a:g} and tau {t:g}, outside" for rank, a, t in outside
    )
    return Outcome(verdict(not outside), f"Of the best five, {text or 'all lie inside'}.")


@follows
def none_beyond(claim: Claim, facts: Facts) -> Outcome:
    """Is the larger alpha absent from the best five?"""
    alphas, beyond = _best(facts, "alpha"), facts.value("region.alpha_beyond")
    if beyond in alphas:
        return Outcome(
            CONTRARY,
            f"Alpha {beyond:g} is among the best five, at rank {alphas.index(beyond) + 1}.",
        )
    least = max(_best(facts, "val_loss"))
    text = f"No alpha {beyond:g} among the best five, so its losses are {least} at least; how much more is not printed."
    return Outcome(UNCHECKABLE, text)


@follows
def best_balance(claim: Claim, facts: Facts) -> Outcome:
    """Is the chosen pair also best in accuracy and in a measure of calibration?"""
    accuracy = _best(facts, "val_accuracy")
    rank = accuracy.index(max(accuracy)) + 1
    text = f"Of the best five, rank {rank} has the highest accuracy, {max(accuracy):.2%}; no calibration is printed."
    return Outcome(UNCHECKABLE, text)


# --- Section IV-A and Table II: LLS -------------------------------------------------------------------------


def _scales(facts: Facts, phase: int) -> dict[str, float]:
    return {c: n.value for c, n in facts.by_class("table_II", f"Phase {phase}").items()}


@follows
def lowest_scale(claim: Claim, facts: Facts) -> Outcome:
    """Is the lowest scale that of Lung Opacity?"""
    scales = _scales(facts, 2)
    least = min(scales, key=scales.get)
    holds = least == "Lung Opacity"
    if claim.key in facts.numbers:
        holds = holds and facts.value(claim.key) == scales[least]
    return Outcome(verdict(holds), f"After Phase 2: {listed(scales, '.4f')}.")


@follows
def neutral_scale(claim: Claim, facts: Facts) -> Outcome:
    """Does this scale leave every probability as it is?"""
    z = np.array([2.0, 0.5, -1.0, -2.0])
    moved = float(np.abs(softmax(z * facts.value(claim.key)) - softmax(z)).max())
    return Outcome(
        verdict(moved == 0), f"Probabilities of the logits {z.tolist()} move by {moved:.4f}."
    )


@follows
def scale_turns_confidence(claim: Claim, facts: Facts) -> Outcome:
    """Does a scale below one always lower the probability of its class?"""
    scale = facts.value("lls.lowest")
    z = np.array([1.0, -1.0, 0.0, 0.0])
    before, after = softmax(z)[1], softmax(z * np.array([1, scale, 1, 1]))[1]
    return Outcome(
        verdict(after <= before),
        f"For a class with a positive logit, yes. With a negative one the reverse: of the logits {z.tolist()}, the "
        f"scale {scale} on the second raises its probability from {before:.4f} to {after:.4f}.",
    )


@follows
def scales_below_one(claim: Claim, facts: Facts) -> Outcome:
    """Are the scales of COVID and Viral Pneumonia below one in both phases, and lower in the second?"""
    one = facts.value("lls.neutral")
    first, second = _scales(facts, 1), _scales(facts, 2)
    named = ("COVID", "Viral Pneumonia")
    holds = all(first[c] < one and second[c] < first[c] for c in named)
    text = "; ".join(
        f"{c} {first[c]:.4f} after Phase 1, {second[c]:.4f} after Phase 2" for c in named
    )
    return Outcome(verdict(holds), f"{text}.")


@follows
def scales_above_one(claim: Claim, facts: Facts) -> Outcome:
    """Is the scale of Normal above one in both phases?"""
    pair = [_scales(facts, phase)["Normal"] for phase in (1, 2)]
    return Outcome(
        verdict(min(pair) > facts.value("lls.neutral")), f"{pair[0]:.4f}, then {pair[1]:.4f}."
    )


@follows
def scales_in_words(claim: Claim, facts: Facts) -> Outcome:
    """Do the words of Table II follow the order of the scales?"""
    s, one = _scales(facts, 2), facts.value("lls.neutral")
    holds = s["Lung Opacity"] < s["COVID"] < s["Viral Pneumonia"] < one < s["Normal"]
    return Outcome(
        verdict(holds),
        f"Low, moderate, reduced, amplified: {listed(dict(sorted(s.items(), key=lambda x: x[1])), '.4f')}.",
    )
