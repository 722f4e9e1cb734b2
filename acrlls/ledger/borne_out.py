"""Do the recorded runs on the real images bear out what the paper says in words?

Two models are compared as they were trained and tested, on our images in their own class mix: in
another mix neither would be calibrated.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls import calibration
from acrlls.ledger.facts import (
    COMPATIBLE,
    DIFFERS,
    NETWORK,
    NOISE,
    PUBLISHED,
    REPRODUCED,
    UNCHECKABLE,
    Facts,
    how_many,
    listed,
    recorded_setting,
)
from acrlls.ledger.reproduced import TAILS, areas, repetitions
from acrlls.paper import CLASSES
from acrlls.runs import load_run
from acrlls.tables import compare, recorded, shift, verdict

# --- Statements about one model ----------------------------------------------------------------


def areas_above(facts, claim, bound: str):
    """Is every AUC above the bound in the recorded Proposed?"""
    low = dict(zip(CLASSES, np.quantile(areas(facts), TAILS[0], axis=0), strict=True))
    count = how_many(facts.runs_of("Proposed"))
    text = f"In 97.5 % of repetitions ours are above {listed(low, '.4f')} ({count})."
    return min(low.values()) > facts.value(bound), text


def mistaken(facts, claim, name: str, as_: str, at_least: float = 0, at_most: float = 1):
    """What share of the mistakes with one class takes it for this other, in ours?"""
    runs, calls = facts.runs_of("Proposed"), np.zeros(len(CLASSES), int)
    for (run,) in runs:
        test = run.predictions("test")
        calls += calibration.confusion(test.probabilities, test.labels)[CLASSES.index(name)]
    calls = dict(zip(CLASSES, calls, strict=True))
    total = sum(k for c, k in calls.items() if c != name)
    text = f"Ours takes {calls[as_]} of {total} mistaken images of {name} for {as_} "
    return at_least <= calls[as_] / total <= at_most, f"{text}({how_many(runs)})."


def heat(facts, claim):
    """Do the heat of the recorded Proposed and its answers depend on the middle of the image?"""
    runs = shift.recorded([run for (run,) in facts.runs_of("Proposed")])
    if not runs:
        return UNCHECKABLE, "It is a figure without numbers, and no heat of ours is recorded."
    shares, said = shift.heat_shares(runs)["middle"], shift.by_source(runs).droplevel(1)
    area, ours, right = shares.iloc[0], shares.iloc[1:], said.accuracy["middle covered"]
    labels = runs[0].predictions("test").labels
    most = np.bincount(labels).max() / len(labels)
    return (DIFFERS if right > most else COMPATIBLE), (
        f"In ours {ours.min():.0%} to {ours.max():.0%} of the heat of a class lies in the middle, "
        f"which is {area:.0%} of the image. With the middle covered, ours is right on {right:.1%} "
        f"of the test images; always to answer the commonest class is right on {most:.1%} "
        f"({how_many(runs)})."
    )


def elsewhere(facts, claim):
    """How often is the recorded Proposed right on images of other collections?"""
    runs = shift.recorded([run for (run,) in facts.runs_of("Proposed")])
    if not runs:
        return UNCHECKABLE, "The test images are of the same collection as those trained on."
    table = shift.by_source(runs).droplevel(1)
    own, others = table.loc["test"], table.drop(["test", *shift.ALTERED])
    each = listed(others.accuracy, ".1%")
    return others.accuracy.min() >= own.accuracy, (
        "The paper's test images are of the same collection as those trained on. Ours is right on "
        f"{own.accuracy:.1%} of such images, and of images from elsewhere on {each} "
        f"({how_many(runs)})."
    )


# --- Statements about two models ---------------------------------------------------------------


def verdict_of(shown) -> str:
    """The verdict on "all are greater" by signs: +1 shown to be so, -1 the reverse, 0 neither."""
    return REPRODUCED if min(shown) == 1 else DIFFERS if min(shown) == -1 else NOISE


@cache
def ece_gaps(facts: Facts, first: str, second: str) -> pd.DataFrame:
    """Class-wise ECE of ``first`` minus that of ``second`` in the recorded runs.

    Returns:
        A row a class and a last row ``"mean"``: ``gap``, the mean over pairs of runs; ``least`` and
        ``greatest`` of a pair; ``p``, two-sided and over the classes adjusted by Holm, of a
        permutation that exchanges the two models image by image; ``shown``, +1 or -1 where p is
        below 0.05 and every pair agrees on the sign, else 0.
    """
    pairs = facts.runs_of(first, second)
    y = pairs[0][0].predictions("test").labels
    p = np.array([[run.predictions("test").probabilities for run in pair] for pair in pairs])

    def gaps(swap):
        two = np.where(swap[:, None], p[:, ::-1], p)
        ece = [[calibration.classwise_ece(q, y, facts.bins) for q in pair] for pair in two]
        gap = np.subtract(*np.swapaxes(ece, 0, 1))
        return np.column_stack([gap, gap.mean(axis=1)])

    observed, rng = gaps(np.zeros(len(y), bool)), np.random.default_rng(facts.seed)
    drawn = [gaps(rng.random(len(y)) < 0.5).mean(axis=0) for _ in range(facts.resamples)]
    gap, low, high = observed.mean(axis=0), observed.min(axis=0), observed.max(axis=0)
    p_values = (1 + (np.abs(drawn) >= np.abs(gap) - 1e-12).sum(axis=0)) / (1 + len(drawn))
    p_values[:-1] = calibration.holm(p_values[:-1])
    shown = np.where((p_values < 0.05) & (np.sign(low) == np.sign(high)), np.sign(gap), 0)
    columns = {"gap": gap, "least": low, "greatest": high, "p": p_values}
    return pd.DataFrame(columns, index=[*CLASSES, "mean"]).assign(shown=shown.astype(int))


def tell_gaps(table: pd.DataFrame, first: str, second: str, count: str) -> str:
    """Half a sentence of :func:`ece_gaps`; ``count`` says of how many runs."""
    mean, each = table.loc["mean"], table.drop("mean")
    up, down = (", ".join(each.index[each.shown == sign]) or "no class" for sign in (1, -1))
    several = mean.least < mean.greatest
    ends = f"{mean.least:+.4f} to {mean.greatest:+.4f} over " if several else ""
    return (
        f"the mean class-wise ECE of {first} minus that of {second} is {mean.gap:+.4f} (p = "
        f"{mean.p:.3f}; {ends}{count}); by class it is {listed(each.gap, '+.4f')}, shown to be "
        f"higher in {up} and lower in {down}"
    )


def higher_ece(facts, claim, pairs: list):
    """Is in each pair the ECE of the first model higher than that of the second, in every class?"""
    tables = {tuple(pair): ece_gaps(facts, *pair) for pair in pairs}
    told = [tell_gaps(t, *pair, how_many(facts.runs_of(*pair))) for pair, t in tables.items()]
    shown = pd.concat([table.shown.drop("mean") for table in tables.values()])
    return verdict_of(shown), f"In ours, {'; '.join(told)}."


@cache
def after_step(facts: Facts, base: str, other: str) -> compare.Difference:
    """``base`` after vector scaling, which contains LLS, against ``other`` as trained."""
    sides = (NETWORK[other], ""), (NETWORK[base], recorded.STEP)
    published = recorded_setting(facts.recorded, PUBLISHED)
    return compare.compare(published, *sides, bins=facts.bins, resamples=facts.resamples)


@cache
def loss(folder: Path, step: str = "") -> float:
    """NLL of a recorded run on its test images, as trained or after a post-hoc step."""
    run = load_run(folder)
    return calibration.nll(recorded.probabilities(run, step), run.predictions("test").labels)


def methods_that_help(facts: Facts, base: str, other: str) -> int:
    """How many post-hoc methods give ``base`` a lower mean NLL than ``other`` has as trained."""
    pairs = [(a.folder, b.folder) for a, b in facts.runs_of(base, other)]
    return sum(sum(loss(a, name) - loss(b) for a, b in pairs) < 0 for name in calibration.METHODS)


def no_better(facts, claim, pairs: list):
    """Does a step after training leave every first model no better than the second as trained?"""
    steps, told = {tuple(pair): after_step(facts, *pair) for pair in pairs}, []
    for (base, other), found in steps.items():
        sides = (NETWORK[other], ""), (NETWORK[base], recorded.STEP)
        count = f"{methods_that_help(facts, base, other)} of {len(calibration.METHODS)}"
        told.append(verdict.tell(found, *sides).replace("**", "").rstrip("."))
        told.append(f"{count} methods tried give {base} a lower NLL than {other} has as trained")
    shown = [found.shows("NLL") for found in steps.values()]
    return verdict_of(shown), f"In ours, {'; '.join(told)}."


def better_than(facts, claim, of: str, setting: str):
    """Is the recorded Proposed better in this than under another setting?"""
    ours = repetitions(facts, "Proposed")[of]
    others = repetitions(facts, "Proposed", setting=setting)[of]
    low, high = np.quantile(ours - others, TAILS)
    return verdict_of([int(low > 0) - int(high < 0)]), (
        f"In ours {of} is {ours.mean():.4f}, and {others.mean():.4f} {setting}; the difference in "
        f"95 % of repetitions is {low:+.4f} to {high:+.4f} ({how_many(facts.runs_of('Proposed'))})."
    )
