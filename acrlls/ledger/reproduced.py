"""Do the recorded runs on the real images show what the paper says?

A number is compared with what ``repetitions`` would observe. For a statement, two models are
compared as they were trained, in the class mix of our images and in the paper's."""

from functools import cache

import numpy as np
import pandas as pd

from acrlls.calibration import calibration_difference, confusion, holm
from acrlls.ledger import verdicts as V
from acrlls.ledger.facts import NETWORK, Facts, NotRecorded, how_many, listed, one_a_seed, read
from acrlls.ledger.repetitions import of_another_seed, repetitions
from acrlls.paper import CLASSES
from acrlls.tables import beside, compare, recorded, shift, verdict
from acrlls.tables.recorded import AS_PUBLISHED
from acrlls.tables.seeds import spread
from acrlls.tables.words import number

TAILS = (0.025, 0.975)


# --- Numbers -----------------------------------------------------------------------------------


def measure(facts, claim, of: str, model: str = "Proposed", phase: int | None = None):
    """Would a repetition of the recorded runs observe this value?"""
    drawn = repetitions(facts, model, phase=phase)[of]
    return _within(facts.number(claim.key), drawn, facts.runs_of(model))


def measured_gain(facts, claim, of: str, before="Baseline", phase: int | None = None, number=""):
    """Would a repetition of the recorded runs observe this gain of Proposed?"""
    first = repetitions(facts, before, "Proposed", phase)[of]
    last = repetitions(facts, "Proposed", before)[of]
    drawn, unit = (1 - last / first, "%") if of.startswith("ECE") else (last - first, "points")
    found = facts.runs_of(before, "Proposed")
    return _within(facts.number(number or claim.key), drawn, found, 0, unit)


def _within(number, drawn, found, null: float | None = None, unit: str = ""):
    unit = unit or "%" * number.printed.endswith("%")
    inner = np.quantile(drawn, TAILS)
    outer = of_another_seed(drawn, [run.config.seed for run, *_ in found])
    if unit != "points":
        outer = np.clip(outer, None if null == 0 else 0, 1)  # no share is more than all
    mean, low, high, low_, high_ = (
        f"{100 * x:.2f} {unit}" if unit else f"{x:.4f}" for x in (drawn.mean(), *inner, *outer)
    )
    text = (
        f"In the paper's class mix repetitions of our runs would observe {mean} on average; with "
        f"our seeds, on images drawn again, {low} to {high} in 95 % of cases ({how_many(found)})"
    )
    if np.isfinite(outer).all():
        text += f", and with another seed {low_} to {high_}"
    return placed(number, inner, outer, null, f"{text}.")


def placed(number, inner, outer, null: float | None, text: str):
    """The verdict on a published number by where repetitions of our runs lie, ``inner``, and those
    with another seed, ``outer``; and by whether ``null``, which means no effect, is among these."""

    def among(ends, value, half_unit=0.0):
        return ends[0] - half_unit <= value <= ends[1] + half_unit

    idle = null is not None and among(outer, null)
    if not among(outer, number.value, number.half_unit):
        same = null is not None and not idle and (outer[0] > null) == (number.value > null)
        return V.DIFFERS, f"{text} The sign is the same." if same else text
    if idle:
        return V.COMPATIBLE, f"{text} No effect, {null:g}, is as possible."
    if not among(inner, number.value, number.half_unit):
        return V.TOO_FEW, text
    return V.REPRODUCED, text


def scale(facts, claim, name: str, phase: str):
    """Is the scale within the spread over our seeds?"""
    k = int(phase[-1])
    runs = facts.heads if k == 1 else one_a_seed(facts.runs_of("Proposed"))
    ours = [run.best_scales(k)[name] for (run,) in runs]
    others = [run.best_scales(1)[name] for (run,) in facts.heads]
    # of two seeds to that of a mean of several and a new one
    reach = spread(others) * np.sqrt((1 + 1 / len(ours)) / 2)
    low, high = np.mean(ours) - reach, np.mean(ours) + reach
    text = (
        f"Ours is {np.mean(ours):.4f} after {phase} ({how_many(runs)}); with the spread of "
        f"{how_many(facts.heads)} after Phase 1, another would fall into {low:.4f} to {high:.4f}."
    )
    return placed(facts.number(claim.key), (low, high), (low, high), 1, text)


# --- Statements about one model ----------------------------------------------------------------


def every_class(facts, claim, of: str, bound: str, above: bool = True):
    """Is a measure of every class beyond the bound in repetitions of the recorded Proposed?"""
    drawn, runs = repetitions(facts, "Proposed"), facts.runs_of("Proposed")
    seeds, sign = [run.config.seed for (run,) in runs], 1 if above else -1
    near, far = {}, {}  # the ends of the classes, towards the bound and away from it
    for name in CLASSES:
        each = sign * drawn[f"{of} {name}"]
        near[name] = sign * each.quantile(TAILS[0])
        far[name] = float(np.clip(sign * of_another_seed(each, seeds)[1], 0, 1))
    limit = sign * facts.value(bound)
    shown = min(sign * x for x in near.values()) > limit
    missed = min(sign * x for x in far.values()) < limit
    first, then = ("above", "below") if above else ("below", "above")
    return V.REPRODUCED if shown else V.DIFFERS if missed else V.TOO_FEW, (
        f"In 97.5 % of repetitions in the paper's class mix, the {of}s of our runs are {first} "
        f"{listed(near, '.4f')} ({how_many(runs)}); all should be {first} {facts.value(bound):g}. "
        f"With another seed, they would be {then} {listed(far, '.4f')}."
    )


def mistaken(facts, claim, name: str, as_: str, at_least: float = 0, at_most: float = 1):
    """What share of the mistakes with one class takes it for this other, in ours?"""
    runs = facts.runs_of("Proposed")
    tests = [run.predictions("test") for (run,) in runs]
    calls = sum(confusion(test.probabilities, test.labels) for test in tests)
    calls = pd.DataFrame(calls, CLASSES, CLASSES).loc[name].drop(name)
    return at_least <= calls[as_] / calls.sum() <= at_most, (
        f"Ours takes {calls[as_]} of {calls.sum()} mistaken images of {name} for {as_} "
        f"({how_many(runs)})."
    )


def _outside(facts: Facts):
    """Recorded runs of Proposed with their heat, what they say of other images, how many."""
    runs = shift.recorded([run for (run,) in facts.runs_of("Proposed")])
    if not runs:
        raise NotRecorded("no heat of ours and no prediction on other collections is recorded")
    return runs, shift.said_outside(runs), how_many([(run,) for run in runs])


def heat(facts, claim):
    """Do the heat of the recorded Proposed and its answers depend on the middle of the image?"""
    runs, said, count = _outside(facts)
    area, *ours = shift.heat_shares(runs)["middle"]
    right, guessing = shift.balanced_accuracies(said), 1 / len(CLASSES)
    least, most = right.value.min(), right.value.max()
    return (V.UNCHECKABLE if right.low.min() > guessing else V.COMPATIBLE), (
        "With the middle of the image covered, the balanced accuracy of our Proposed is "
        f"{least:.1%} to {most:.1%}; guessing would reach {guessing:.0%} ({count}). In ours "
        f"{min(ours):.0%} to {max(ours):.0%} of the heat of a class lies in the middle, which is "
        f"{area:.0%} of it. "
        "The middle stands for the lungs, because no masks of these images are used."
    )


def elsewhere(facts, claim):
    """How often is the recorded Proposed right on images of other collections?"""
    _, said, count = _outside(facts)
    accuracy = shift.by_source(said).droplevel(1).accuracy.rename(shift.SOURCES)
    own = shift.SOURCES["test"]
    others = accuracy.drop([own, *shift.ALTERED])
    return others.min() >= accuracy[own], (
        "The paper's test images are of the same collection as those trained on. Our Proposed is "
        f"right on {accuracy[own]:.1%} of such images, and of others by source on "
        f"{listed(others, '.1%')} ({count})."
    )


# --- Statements about two models ---------------------------------------------------------------


def verdict_of(*shown) -> str:
    """The verdict on "all are greater" by signs, +1 shown to be so, -1 the reverse, 0 neither, in
    one class mix or in several."""
    found = {
        min(s): V.REPRODUCED if min(s) == 1 else V.DIFFERS if min(s) else V.NOISE for s in shown
    }
    return V.DEPENDS if len(found) > 1 else next(iter(found.values()))


@cache
def ece_gaps(facts: Facts, first: str, second: str, mix: str = "own") -> pd.DataFrame:
    """Class-wise ECE of ``first`` minus that of ``second`` in the recorded runs, in a class mix. A
    row a class and a last row ``"mean"``: ``gap``, the mean over pairs of runs; ``least`` and
    ``greatest`` of a pair; ``p``, two-sided and over the classes adjusted by Holm, of a permutation
    that exchanges the two models image by image; ``shown``, +1 or -1 where p is below 0.05 and the
    gap larger than seeds explain, else 0; ``unsure``, whether p alone would show it."""
    runs = facts.runs_of(first, second)
    p = np.array([[run.predictions("test").probabilities for run in two] for two in runs])
    how = {"bins": facts.bins, "resamples": facts.resamples, "seed": facts.seed}
    how["sample_weight"] = recorded.mix_weights(runs[0][0], mix)
    labels = runs[0][0].predictions("test").labels
    gaps, p, _ = calibration_difference(p[:, 0], labels, p[:, 1], **how)
    p[:-1] = holm(p[:-1])
    table = pd.DataFrame(gaps, columns=[*CLASSES, "mean"]).agg(["mean", "min", "max"]).T.assign(p=p)
    table = table.rename(columns={"mean": "gap", "min": "least", "max": "greatest"})
    reach = compare.reach_of_seeds(gaps, [run.config.seed for run, _ in runs])
    shown = (p < 0.05) & (table.gap.abs() > reach)
    table["shown"] = np.sign(table.gap).where(shown, 0).astype(int)
    return table.assign(unsure=(p < 0.05) & ~shown)


def tell_gaps(table: pd.DataFrame, first: str, second: str, count: str) -> str:
    """Half a sentence of :func:`ece_gaps`; ``count`` says of how many runs."""
    mean, each = table.loc["mean"], table.drop("mean")
    up, down = (", ".join(each.index[each.shown == sign]) or "no class" for sign in (1, -1))
    several = mean.least < mean.greatest
    gap, least, greatest = (number(mean[end], 4, True) for end in ("gap", "least", "greatest"))
    ends = f"; single runs {least} to {greatest}" if several else ""
    return (
        f"the mean class-wise ECE of {first} minus that of {second} is {gap} (p = "
        f"{mean.p:.3f} over images alone{ends}; {count}), shown to be higher in {up} and lower in "
        f"{down}"
    )


def higher_ece(facts, claim, pairs: list):
    """Is in each pair the first model's ECE higher than the second's, in every class?"""
    shown, texts, unsure = [], [], False
    for mix, title in compare.MIXES.items():
        tables = {tuple(pair): ece_gaps(facts, *pair, mix) for pair in pairs}
        told = [tell_gaps(t, *pair, how_many(facts.runs_of(*pair))) for pair, t in tables.items()]
        texts.append(f"{title.capitalize()}, {'; '.join(told)}.")
        shown.append(pd.concat([table.shown for table in tables.values()]))
        unsure |= any(table.unsure.any() for table in tables.values())
    up, down = (sum((each == sign).sum() for each in shown) or "none" for sign in (1, -1))
    names = (" or ".join(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    short = (
        f"Of {sum(map(len, shown))} comparisons of an ECE (each class and the mean, in two class "
        f"mixes), our runs show it higher for {' than for '.join(names)} in {up}, and lower in "
        f"{down}; chance alone would show about {0.05 * sum(map(len, shown)):.1f}."
    )
    found = verdict_of(*shown)
    found = V.TOO_FEW if found == V.NOISE and unsure else found  # seeds alone stand against it
    return found, f"{short} {' '.join(texts)}"


@cache
def after_step(facts: Facts, base: str, other: str, mix: str) -> tuple[int, str]:
    """``base`` after vector scaling, which contains LLS, against ``other`` as trained: whether its
    NLL is shown to be lower (-1) or higher (+1), and a sentence."""
    sides = (NETWORK[other], ""), (NETWORK[base], recorded.STEP)
    published = read(AS_PUBLISHED, facts.recorded)
    found = compare.compare(published, *sides, mix, facts.bins, facts.resamples)
    return found.shows("NLL"), verdict.tell(found, *sides).replace("**", "").rstrip(".")


def no_better(facts, claim, pairs: list):
    """Does a step after training leave every first model no better than the second as trained?"""
    shown, texts = [], []
    for mix, title in compare.MIXES.items():
        signs, told = zip(*(after_step(facts, *pair, mix) for pair in pairs), strict=True)
        shown.append(signs)
        texts.append(f"{title.capitalize()}, {'; '.join(told)}.")
    lower, higher = (sum(s.count(sign) for s in shown) or "none" for sign in (-1, 1))
    short = (
        f"Of {sum(map(len, shown))} comparisons, in two class mixes, our runs show a lower NLL "
        f"after vector scaling in {lower}, and a higher one in {higher}."
    )
    return verdict_of(*shown), f"{short} {' '.join(texts)}"


def better_than(facts, claim, setting: str):
    """Is the macro F1 of the recorded Proposed better as published than under another setting?"""
    found = [facts.runs_of("Proposed", setting=each) for each in (AS_PUBLISHED, setting)]
    each = [np.array(beside.estimate(beside.scores, [r for (r,) in runs]))[:, 1] for runs in found]
    (ours, *_), (others, *_) = each
    reach = np.hypot(*(high - low for _, low, high in each)) / 2
    low, high = ours - others - reach, ours - others + reach
    return verdict_of([int(low > 0) - int(high < 0)]), (
        f"In ours macro F1 is {ours:.4f}, and {others:.4f} {setting}; the 95 % interval of the "
        f"difference is {low:+.4f} to {high:+.4f} ({how_many(found[0])})."
    )


CHECKS = (measure, measured_gain, scale, every_class, mistaken, heat, elsewhere)
CHECKS += (higher_ece, no_better, better_than)
