"""Do the recorded runs on the real images show what the paper says?

A number is compared with what ``repetitions`` would observe.  For a statement, two models are
compared as they were trained, in the class mix of our images and in the paper's.
"""

from functools import cache

import numpy as np
import pandas as pd

from acrlls.calibration import calibration_difference, holm
from acrlls.ledger import verdicts as V
from acrlls.ledger.facts import (
    NETWORK,
    Facts,
    NotRecorded,
    how_many,
    listed,
    one_a_seed,
    recorded_setting,
)
from acrlls.ledger.repetitions import areas, repetitions
from acrlls.paper import CLASSES
from acrlls.tables import compare, recorded, shift, verdict
from acrlls.tables.recorded import AS_PUBLISHED
from acrlls.tables.seeds import spread

TAILS = (0.025, 0.975)


# --- Numbers -----------------------------------------------------------------------------------


def measure(facts, claim, of: str, model: str = "Proposed", phase: int | None = None):
    """Would a repetition of the recorded runs observe this value?"""
    drawn = areas(facts) if of.startswith("AUC") else repetitions(facts, model, phase=phase)
    return _within(facts.number(claim.key), drawn[of], facts.runs_of(model))


def measured_gain(
    facts, claim, of: str, before: str = "Baseline", phase: int | None = None, number: str = ""
):
    """Would a repetition of the recorded runs observe this gain of Proposed?"""
    first = repetitions(facts, before, "Proposed", phase)[of]
    last = repetitions(facts, "Proposed", before)[of]
    drawn, unit = (1 - last / first, "%") if of.startswith("ECE") else (last - first, "points")
    found = facts.runs_of(before, "Proposed")
    return _within(facts.number(number or claim.key), drawn, found, 0, unit)


def _within(number, drawn, found, null: float | None = None, unit: str = ""):
    low, high = np.quantile(drawn, TAILS)
    unit = unit or "%" * number.printed.endswith("%")
    mean, low_, high_ = (
        f"{100 * x:.2f} {unit}" if unit else f"{x:.4f}" for x in (drawn.mean(), low, high)
    )
    return placed(
        number,
        (low, high),
        null,
        f"In the paper's class mix repetitions of our runs would observe {mean} on average and "
        f"{low_} to {high_} in 95 % of cases ({how_many(found)}).",
    )


def placed(number, ends: tuple[float, float], null: float | None, text: str):
    """The verdict on a published number by where repetitions fall, and by whether the value that
    means no effect, ``null``, lies there as well."""
    low, high = ends
    idle = null is not None and low <= null <= high
    if not low - number.half_unit <= number.value <= high + number.half_unit:
        same = null is not None and not idle and (low > null) == (number.value > null)
        return V.DIFFERS, f"{text} The sign is the same." if same else text
    if idle:
        return V.COMPATIBLE, f"{text} That interval holds {null:g}, which means no effect."
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
    return placed(facts.number(claim.key), (low, high), 1, text)


# --- Statements about one model ----------------------------------------------------------------


def areas_above(facts, claim, bound: str):
    """Is every AUC above the bound in the recorded Proposed?"""
    low = dict(zip(CLASSES, np.quantile(areas(facts), TAILS[0], axis=0), strict=True))
    count = how_many(facts.runs_of("Proposed"))
    text = f"In 97.5 % of repetitions ours are above {listed(low, '.4f')} ({count})."
    return min(low.values()) > facts.value(bound), text


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
    return (V.DIFFERS if right.low.min() > guessing else V.COMPATIBLE), (
        f"In ours {min(ours):.0%} to {max(ours):.0%} of the heat of a class lies in the middle, "
        f"which is {area:.0%} of the image. With the middle covered, the balanced accuracy of ours "
        f"is {least:.1%} to {most:.1%}; guessing would reach {guessing:.0%} ({count})."
    )


def elsewhere(facts, claim):
    """How often is the recorded Proposed right on images of other collections?"""
    _, said, count = _outside(facts)
    accuracy = shift.by_source(said).droplevel(1).accuracy
    others = accuracy.drop(["test", *shift.ALTERED])
    return others.min() >= accuracy["test"], (
        "The paper's test images are of the same collection as those trained on. Ours is right on "
        f"{accuracy['test']:.1%} of such images, and of images from elsewhere on "
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


def _in_both_mixes(facts: Facts, pairs: list, tell):
    """What ``tell`` shows of each pair of models: signs, and half a sentence."""
    shown, texts = [], []
    for mix, title in compare.MIXES.items():
        signs, told = zip(*(tell(facts, *pair, mix) for pair in pairs), strict=True)
        shown.append(np.concatenate(signs))
        texts.append(f"{title.capitalize()}, {'; '.join(told)}.")
    return verdict_of(*shown), f"In our runs: {' '.join(texts)}"


@cache
def ece_gaps(facts: Facts, first: str, second: str, mix: str = "own") -> pd.DataFrame:
    """Class-wise ECE of ``first`` minus that of ``second`` in the recorded runs, in a class mix.

    A row a class and a last row ``"mean"``: ``gap``, the mean over pairs of runs; ``least`` and
    ``greatest`` of a pair; ``p``, two-sided and over the classes adjusted by Holm, of a permutation
    that exchanges the two models image by image; ``shown``, +1 or -1 where p is below 0.05 and
    the gap larger than seeds explain, else 0.
    """
    runs = facts.runs_of(first, second)
    pairs = [[r.predictions("test") for r in two] for two in runs]
    p, p2 = ([test.probabilities for test in tests] for tests in zip(*pairs, strict=True))
    how = {"bins": facts.bins, "resamples": facts.resamples, "seed": facts.seed}
    how["sample_weight"] = recorded.mix_weights(runs[0][0], mix)
    gaps, p, _ = calibration_difference(np.array(p), pairs[0][0].labels, np.array(p2), **how)
    gap, low, high = gaps.mean(axis=0), gaps.min(axis=0), gaps.max(axis=0)
    p[:-1] = holm(p[:-1])
    reach = compare.reach_of_seeds(gaps, [run.config.seed for run, _ in runs])
    shown = np.where((p < 0.05) & (np.abs(gap) > reach), np.sign(gap), 0).astype(int)
    columns = {"gap": gap, "least": low, "greatest": high, "p": p, "shown": shown}
    return pd.DataFrame(columns, index=[*CLASSES, "mean"])


def _tell_gaps(facts: Facts, first: str, second: str, mix: str):
    table = ece_gaps(facts, first, second, mix)
    mean, each = table.loc["mean"], table.drop("mean")
    up, down = (", ".join(each.index[each.shown == sign]) or "no class" for sign in (1, -1))
    return table.shown, (
        f"the mean class-wise ECE of {first} minus that of {second} is {mean.gap:+.4f} (p = "
        f"{mean.p:.3f}; single runs {mean.least:+.4f} to {mean.greatest:+.4f}; "
        f"{how_many(facts.runs_of(first, second))}), shown to be higher in {up} and lower in {down}"
    )


def higher_ece(facts, claim, pairs: list):
    """Is in each pair the first model's ECE higher than the second's, in every class?"""
    return _in_both_mixes(facts, pairs, _tell_gaps)


@cache
def _after_step(facts: Facts, base: str, other: str, mix: str):
    """``base`` after vector scaling, which contains LLS, against ``other`` as trained: whether its
    NLL is shown to be lower (-1) or higher (+1)."""
    sides = (NETWORK[other], ""), (NETWORK[base], recorded.STEP)
    published = recorded_setting(facts.recorded, AS_PUBLISHED)
    found = compare.compare(published, *sides, mix, facts.bins, facts.resamples)
    return [found.shows("NLL")], verdict.tell(found, *sides).replace("**", "").rstrip(".")


def no_better(facts, claim, pairs: list):
    """Does a step after training leave every first model no better than the second as trained?"""
    return _in_both_mixes(facts, pairs, _after_step)


def better_than(facts, claim, of: str, setting: str):
    """Is the recorded Proposed better in this than under another setting?"""
    ours = repetitions(facts, "Proposed")[of]
    others = repetitions(facts, "Proposed", setting=setting)[of]
    low, high = np.quantile(ours - others, TAILS)
    return verdict_of([int(low > 0) - int(high < 0)]), (
        f"In ours {of} is {ours.mean():.4f}, and {others.mean():.4f} {setting}; the difference in "
        f"95 % of repetitions is {low:+.4f} to {high:+.4f} ({how_many(facts.runs_of('Proposed'))})."
    )


CHECKS = (measure, measured_gain, scale, areas_above, heat, elsewhere)
CHECKS += (higher_ece, no_better, better_than)
